/* SPDX-License-Identifier: MIT */
/* Products whose factors are rounded to bfloat16 (tensor/gemm_bf16.h): each kernel that this processor can
   run is compared with sums in double precision of factors that are rounded here in another way. */
#include "tensor/gemm_bf16.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rounds to 8 significant bits by arithmetic in double precision, where gemm_bf16.c works on bits. The
   smallest step is 2^-133, that of subnormal numbers. */
static double rounded(float x) {
    int exponent;
    if (!isfinite(x) || x == 0) return (double)x;
    frexp((double)x, &exponent);
    double step = ldexp(1, exponent - 8 < -133 ? -133 : exponent - 8), result = rint((double)x / step) * step;
    return fabs(result) >= 0x1p128 ? copysign(INFINITY, result) : result;
}

/* Returns n numbers at `shift` bytes behind an aligned address, in a buffer of their exact size, and the
   same numbers as they are in fp32 in `values`. */
static char *numbers(int64_t n, DType type, size_t shift, uint32_t seed, float *values) {
    size_t size = dtype_size(type);
    char *data = mem_alloc((size_t)n * size + shift);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        float x = ldexpf((float)(seed >> 8), -23) - 1;
        uint32_t bits;
        memcpy(&bits, &x, 4);
        /* Halves between 2^-14 and 1 with any sign and mantissa */
        uint16_t part = type == F16 ? (uint16_t)(0x0400 + (bits >> 3) % 0x3800 + (bits >> 16 & 0x8000))
                                    : (uint16_t)(bits >> 16);
        memcpy(data + shift + (size_t)i * size, type == F32 ? (const void *)&bits : &part, size);
    }
    widen(type, data + shift, n, values);
    return data;
}

typedef struct {
    int64_t m, n, k;
    Layout layout_a, layout_b;
    DType type_a, type_b;
    size_t shift;
    float alpha;
    bool add;
} Case;

/* The sum of products of rounded numbers, and that of their absolute values. */
static double exact(const Case *s, const float *a, const float *b, int64_t i, int64_t j, double *size) {
    double sum = 0;
    *size = 0;
    for (int64_t p = 0; p < s->k; p++) {
        double x = rounded(s->layout_a == AS_IS ? a[i * s->k + p] : a[p * s->m + i]);
        double y = rounded(s->layout_b == AS_IS ? b[p * s->n + j] : b[j * s->k + p]);
        sum += x * y;
        *size += fabs(x * y);
    }
    return sum;
}

static void test_case(const Case *s, const char *kernel_name, Bf16Kernel kernel) {
    enum { GAP = 3 }; /* columns of C that do not belong to the product */
    int64_t ldc = s->n + GAP;
    float *a = mem_alloc((size_t)(s->m * s->k) * 4), *b = mem_alloc((size_t)(s->k * s->n) * 4);
    char *data_a = numbers(s->m * s->k, s->type_a, s->shift, 1, a),
         *data_b = numbers(s->k * s->n, s->type_b, s->shift, 2, b);
    float *c = mem_alloc((size_t)(s->m * ldc) * 4);
    int64_t floats = gemm_bf16_workspace(s->m, s->n, s->k);
    float *workspace = mem_alloc((size_t)floats * 4);
    for (int64_t i = 0; i < floats; i++) workspace[i] = NAN;
    for (int64_t i = 0; i < s->m * ldc; i++) c[i] = s->add || i % ldc >= s->n ? 0.5f : NAN;
    gemm_bf16(kernel, s->m, s->n, s->k, s->alpha,
              (Factor) { s->type_a, s->layout_a, data_a + s->shift, s->layout_a == AS_IS ? s->k : s->m },
              (Factor) { s->type_b, s->layout_b, data_b + s->shift, s->layout_b == AS_IS ? s->n : s->k },
              s->add, c, ldc, workspace);
    double worst = 0;
    bool untouched = true;
    for (int64_t i = 0; i < s->m; i++) {
        for (int64_t j = 0; j < s->n; j++) {
            double size, want = (double)s->alpha * exact(s, a, b, i, j, &size) + (s->add ? 0.5 : 0);
            worst = test_worse(worst,
                               fabs((double)c[i * ldc + j] - want) / (fabs((double)s->alpha) * size + 0.5));
        }
        for (int64_t j = s->n; j < ldc; j++) untouched = untouched && c[i * ldc + j] == 0.5f;
    }
    char name[200];
    snprintf(name, sizeof name, "%s, [%lld, %lld] x [%lld, %lld], %s%s x %s%s, shift %zu%s", kernel_name,
             (long long)s->m, (long long)s->k, (long long)s->k, (long long)s->n, dtype_name(s->type_a),
             s->layout_a == AS_IS ? "" : " transposed", dtype_name(s->type_b),
             s->layout_b == AS_IS ? "" : " transposed", s->shift, s->add ? ", added" : "");
    test_below(name, untouched ? worst : NAN, 3e-7);
    free(a);
    free(b);
    free(c);
    free(data_a);
    free(data_b);
    free(workspace);
}

/* Shapes at and around the sides of strips, panels, squares and blocks. */
static void test_shapes(Bf16Kernel kernel, const char *name) {
    static const int64_t sizes[][3] = { { 1, 1, 1 },    { 12, 32, 2 },   { 4, 16, 32 },  { 5, 17, 33 },
                                        { 8, 48, 31 },  { 13, 40, 65 },  { 77, 96, 40 }, { 25, 31, 511 },
                                        { 9, 33, 513 }, { 3, 15, 1025 }, { 241, 3, 7 },  { 2, 300, 64 } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int variant = 0; variant < 4; variant++) {
            Case s = { .m = sizes[i][0], .n = sizes[i][1], .k = sizes[i][2], .alpha = 1 };
            if (variant & 1) s.layout_a = TRANSPOSED;
            if (variant & 2) s.layout_b = TRANSPOSED;
            s.type_a = (DType)((i + (size_t)variant) % 3);
            s.type_b = (DType)(i / 3 % 3);
            s.shift = i % 4;
            s.add = i % 2;
            if (i % 3 == 2) s.alpha = -0.625f;
            test_case(&s, name, kernel);
        }
}

/* Multiplies single numbers by 1, which shows how they are rounded. */
static void test_rounding(Bf16Kernel kernel, const char *name) {
    static const struct {
        float x, want;
    } CASES[] = { { 1 + 0x1p-8f, 1 },               /* a tie, to the even number below */
                  { 1 + 3 * 0x1p-8f, 1 + 0x1p-6f }, /* a tie, to the even number above */
                  { 1 + 0x1p-8f + 0x1p-23f, 1 + 0x1p-7f },
                  { -1 - 3 * 0x1p-8f, -1 - 0x1p-6f },
                  { 2 - 0x1p-23f, 2 },           /* the carry reaches the exponent */
                  { 0x1.fffffep127f, INFINITY }, /* and beyond the largest number */
                  { 0x1.fep127f, 0x1.fep127f },  /* the largest bfloat16 number */
                  { INFINITY, INFINITY },
                  { -INFINITY, -INFINITY },
                  { 0x1p-126f, 0x1p-126f }, /* the smallest normal number */
                  { 0, 0 } };
    float one = 1, c, workspace[64];
    bool ok = gemm_bf16_workspace(1, 1, 1) <= 64;
    for (size_t i = 0; ok && i < sizeof CASES / sizeof *CASES; i++) {
        gemm_bf16(kernel, 1, 1, 1, 1, (Factor) { F32, AS_IS, &CASES[i].x, 1 },
                  (Factor) { F32, AS_IS, &one, 1 }, false, &c, 1, workspace);
        ok = c == CASES[i].want;
        if (!ok)
            printf("# %a became %a instead of %a\n", (double)CASES[i].x, (double)c, (double)CASES[i].want);
    }
    uint32_t payload = 0x7f800001; /* the high half alone would be infinity */
    float nan;
    memcpy(&nan, &payload, 4);
    gemm_bf16(kernel, 1, 1, 1, 1, (Factor) { F32, AS_IS, &nan, 1 }, (Factor) { F32, AS_IS, &one, 1 }, false,
              &c, 1, workspace);
    char label[80];
    snprintf(label, sizeof label, "%s, rounding", name);
    test_true(label, ok && isnan(c), "ties, carries, infinity and NaN");
}

int main(void) {
    test_true("bf16_kernel", bf16_kernel_runs(bf16_kernel()) && bf16_kernel_runs(BF16_PORTABLE), "%s",
              bf16_kernel_name(bf16_kernel()));
    for (int i = 0; i < BF16_KERNELS; i++) {
        Bf16Kernel kernel = (Bf16Kernel)i;
        if (!bf16_kernel_runs(kernel)) {
            printf("# this processor lacks %s\n", bf16_kernel_name(kernel));
            continue;
        }
        test_shapes(kernel, bf16_kernel_name(kernel));
        test_rounding(kernel, bf16_kernel_name(kernel));
    }
    return test_finish();
}
