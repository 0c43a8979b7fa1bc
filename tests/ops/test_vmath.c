/* SPDX-License-Identifier: MIT */
/* Compares vexp, vsigmoid and vnormal with double precision, on every STRIDE-th of all floats (STRIDE is odd,
   so that every exponent and all low bits of the mantissa occur) and on every float near the places where a
   function changes to another formula. The bounds are those that tensor/vmath.h gives. Sums are compared as
   well. */
#include "tensor/rng.h"
#include "tensor/vmath.h"
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>

enum { STRIDE = 211, BLOCK = 2048 };

/* The largest errors. Those of exp and sigmoid are in ulp; those of sigmoid's tail and of the normal
   distribution are absolute. */
typedef struct {
    double exp, sigmoid, tail, cdf, density;
    int64_t wrong; /* the number of results that should be NaN or inf and are not, or are negative */
} Errors;

/* Returns the error in units in the last place (ulp) of the true value. The ulp of a subnormal is 2^-149. */
static double ulps(float got, double want) {
    int exponent;
    frexp(want, &exponent);
    return fabs((double)got - want) / ldexp(1, exponent > -125 ? exponent - 24 : -149);
}

static void compare(float x, float e, float s, Normal p, Errors *errors) {
    if (isnan(x)) {
        errors->wrong += !isnan(e) || !isnan(s) || !isnan(p.cdf) || !isnan(p.density);
        return;
    }
    double want = exp((double)x);
    if ((double)(float)want <= 0x1.fffffep127) /* otherwise the result has to be inf */
        errors->exp = test_worse(errors->exp, ulps(e, want));
    else
        errors->wrong += e != INFINITY;
    want = 1 / (1 + exp(-(double)x));
    if (x > -87.3f)
        errors->sigmoid = test_worse(errors->sigmoid, ulps(s, want));
    else
        errors->tail = test_worse(errors->tail, fabs((double)s - want));
    errors->cdf = test_worse(errors->cdf, fabs((double)p.cdf - erfc(-(double)x * sqrt(0.5)) / 2));
    want = exp(-(double)x * (double)x / 2) * 0.39894228040143268;
    errors->density = test_worse(errors->density, fabs((double)p.density - want));
    errors->wrong += !(p.cdf >= 0) || !(p.density >= 0);
}

/* Tests the floats whose bits are first, first + stride, ... The functions are called in loops, as the ops
   do, so that the vector code is tested. */
static void test_block(uint32_t first, uint32_t stride, Errors *errors) {
    float x[BLOCK], e[BLOCK], s[BLOCK], cdf[BLOCK], density[BLOCK];
    for (uint32_t i = 0; i < BLOCK; i++) x[i] = float_from_bits(first + i * stride);
#pragma omp simd
    for (int i = 0; i < BLOCK; i++) e[i] = vexp(x[i]);
#pragma omp simd
    for (int i = 0; i < BLOCK; i++) s[i] = vsigmoid(x[i]);
#pragma omp simd
    for (int i = 0; i < BLOCK; i++) {
        Normal p = vnormal(x[i]);
        cdf[i] = p.cdf;
        density[i] = p.density;
    }
    for (int i = 0; i < BLOCK; i++) compare(x[i], e[i], s[i], (Normal) { cdf[i], density[i] }, errors);
}

static void test_range(const char *name, uint32_t first, uint64_t last, uint32_t stride) {
    Errors worst = { 0 };
    int64_t blocks = (int64_t)((last - first) / ((uint64_t)BLOCK * stride)) + 1;
#pragma omp parallel
    {
        Errors mine = { 0 };
#pragma omp for schedule(static)
        for (int64_t b = 0; b < blocks; b++) test_block(first + (uint32_t)b * BLOCK * stride, stride, &mine);
#pragma omp critical
        {
            worst.exp = test_worse(worst.exp, mine.exp);
            worst.sigmoid = test_worse(worst.sigmoid, mine.sigmoid);
            worst.tail = test_worse(worst.tail, mine.tail);
            worst.cdf = test_worse(worst.cdf, mine.cdf);
            worst.density = test_worse(worst.density, mine.density);
            worst.wrong += mine.wrong;
        }
    }
    char text[100];
    snprintf(text, sizeof text, "exp, ulp, %s", name);
    test_below(text, worst.exp, 1.1);
    snprintf(text, sizeof text, "sigmoid, ulp, %s", name);
    test_below(text, worst.sigmoid, 2.6);
    snprintf(text, sizeof text, "sigmoid below -87.3, absolute, %s", name);
    test_below(text, worst.tail, 2e-38);
    snprintf(text, sizeof text, "Phi, absolute, %s", name);
    test_below(text, worst.cdf, 1.4e-7);
    snprintf(text, sizeof text, "phi, absolute, %s", name);
    test_below(text, worst.density, 5e-8);
    snprintf(text, sizeof text, "NaN, inf, signs, %s", name);
    test_true(text, worst.wrong == 0, "%lld wrong", (long long)worst.wrong);
}

/* Tests every float from a to b, which have the same sign. */
static void test_between(const char *name, float a, float b) {
    test_range(name, float_bits(a), float_bits(b), 1);
}

static void test_special(void) {
    test_true("exp(-inf)", vexp(-INFINITY) == 0 && !signbit(vexp(-INFINITY)), "0");
    test_true("exp(inf)", vexp(INFINITY) == INFINITY, "inf");
    test_true("exp(0), exp(-0)", vexp(0.0f) == 1 && vexp(-0.0f) == 1, "1");
    test_true("sigmoid(-inf), (inf), (0)",
              vsigmoid(-INFINITY) == 0 && vsigmoid(INFINITY) == 1 && vsigmoid(0.0f) == 0.5f, "0, 1, 0.5");
    test_true("Phi(-inf), (inf), (0)",
              vnormal(-INFINITY).cdf == 0 && vnormal(INFINITY).cdf == 1 &&
                  fabsf(vnormal(0.0f).cdf - 0.5f) < 1e-7f,
              "0, 1, 0.5");
    test_true("phi(-inf), (inf)", vnormal(-INFINITY).density == 0 && vnormal(INFINITY).density == 0, "0, 0");
    test_true("NaN", isnan(vexp(NAN)) && isnan(vsigmoid(NAN)) && isnan(vnormal(NAN).cdf), "stays");
}

/* Compares the sums with double precision, for every length up to LENGTHS (several blocks) and for a long
   array. */
static void test_sums(void) {
    enum { LONG = 1000003, LENGTHS = 2100 };
    float *x = mem_alloc(LONG * sizeof *x), *y = mem_alloc(LONG * sizeof *y);
    Generator random;
    generator_seed(&random, 1);
    generator_rand(&random, x, LONG);
    generator_rand(&random, y, LONG);
    double worst = 0;
    for (int k = 1; k <= LENGTHS + 1; k++) {
        int64_t n = k <= LENGTHS ? k : LONG;
        double sum = 0, squares = 0, difference = 0, centred = 0;
        for (int64_t i = 0; i < n; i++) {
            double a = (double)x[i], b = (double)y[i];
            sum += a;
            squares += (a + 2) * (a + 2);
            difference += (a - b) * (a - b);
            centred += b * (a + 2);
        }
        worst = test_worse(worst, fabs(vsum(x, n) / sum - 1));
        worst = test_worse(worst, fabs(vsum_squares(x, -2.0f, n) / squares - 1));
        worst = test_worse(worst, fabs(vsum_squared_difference(x, y, n) / difference - 1));
        worst = test_worse(worst, fabs(vdot_centred(y, x, -2.0f, n) / centred - 1));
    }
    test_below("sums, relative", worst, 1e-6);
    free(x);
    free(y);
}

int main(void) {
    test_range("all floats, strided", 0, UINT32_MAX, STRIDE);
    test_between("0 to 2^-148", 0.0f, 0x1p-148f);
    test_between("exp's overflow", 88.0f, 89.5f);
    test_between("exp's subnormals", -87.0f, -105.0f);
    test_between("where Phi's fit ends", 4.9f, 5.1f);
    test_between("where Phi's fit ends, negative", -4.9f, -5.1f);
    test_between("Phi's bend", 0.5f, 0.6f);
    test_special();
    test_sums();
    return test_finish();
}
