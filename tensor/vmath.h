/* SPDX-License-Identifier: MIT */
/* Mathematical functions for vector code: exp, sigmoid, the normal distribution, and sums in a fixed order.
   The functions of one float have no branches, tables or library calls, so that the compiler turns loops that
   call them into vector code. tests/ops/test_vmath.c compares them with double precision over the whole range
   of floats, and checks the error bounds that are given here. All functions return NaN for NaN. */
#ifndef TI_VMATH_H
#define TI_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float float_from_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Returns a b + c, with a single rounding if the processor computes this as fast as a product. */
static inline float multiply_add(float a, float b, float c) {
#ifdef FP_FAST_FMAF
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

/* e^x within 1.1 ulp, also where the result is subnormal; e^-inf is 0, and above 88.72 the result is inf.

   x = n ln 2 + r with a whole number n and |r| <= ln(2) / 2, so that e^x = 2^n e^r. */
static inline float vexp(float x) {
    /* Adding 1.5 * 2^23 rounds to a whole number n and leaves n in the low bits of the sum. */
    const float magic = 12582912.0f;
    float shifted = multiply_add(x, 1.44269504f, magic);
    float n = shifted - magic;
    /* ln 2 = 0.693359375 - 2.1219444e-4, where the first number has so few digits that its product
       with n is exact. */
    float r = multiply_add(n, 2.12194440e-4f, multiply_add(n, -0.693359375f, x));
    /* e^r = 1 + r + r^2 p(r), where the polynomial p is the minimax fit of (e^r - 1 - r) / r^2. */
    float p = 0.0013950724f;
    p = multiply_add(p, r, 0.008369025f);
    p = multiply_add(p, r, 0.041666202f);
    p = multiply_add(p, r, 0.16666518f);
    p = multiply_add(p, r, 0.5f);
    float y = 1.0f + multiply_add(r * r, p, r);
    /* 2^n as two factors: a float made of exponent bits alone can be neither 2^128 nor subnormal. */
    uint32_t e = float_bits(shifted) - float_bits(magic) + 256; /* n + 256 >= 0 */
    uint32_t half = e >> 1;
    y = y * float_from_bits((half - 1) << 23) * float_from_bits((e - half - 1) << 23);
    /* Beyond these bounds the two factors cannot represent 2^n, and y is meaningless. For x = NaN both
       comparisons are false and y is NaN. */
    y = x < -104.0f ? 0.0f : y;
    return x > 89.0f ? INFINITY : y;
}

/* 1 / (1 + e^-x), within 2.6 ulp for x > -87.3. Below that the result is smaller than any normal float, and
   the absolute error is at most 2e-38. */
static inline float vsigmoid(float x) { return 1.0f / (1.0f + vexp(-x)); }

/* The standard normal distribution at x: its cdf Phi within 1.4e-7 and its density phi = Phi' within 5e-8. */
typedef struct {
    float cdf, density;
} Normal;

/* phi(x) = e^(-x^2 / 2) / sqrt(2 pi), and Phi(-a) = phi(a) M(a) for a >= 0, where M is Mills' ratio. M is
   approximated by a polynomial that was fitted so that the error of phi M is small on [0, 5] (test_vmath.c
   measures it), and beyond 5 by M(5), since phi is less than 2e-6 there. */
static inline Normal vnormal(float x) {
    float density = 0.39894228f * vexp(-0.5f * x * x);
    float a = fabsf(x);
    a = a > 5.0f ? 5.0f : a;
    float m = -5.7198076e-07f;
    m = multiply_add(m, a, 1.4937899e-05f);
    m = multiply_add(m, a, -0.00017528269f);
    m = multiply_add(m, a, 0.0012379107f);
    m = multiply_add(m, a, -0.0059915986f);
    m = multiply_add(m, a, 0.021666866f);
    m = multiply_add(m, a, -0.062825084f);
    m = multiply_add(m, a, 0.15451145f);
    m = multiply_add(m, a, -0.33261392f);
    m = multiply_add(m, a, 0.62653232f);
    m = multiply_add(m, a, -0.99999154f);
    m = multiply_add(m, a, 1.253314f);
    float tail = density * m;
    return (Normal) { x < 0 ? tail : 1.0f - tail, density };
}

/* The functions below sum blocks of this many elements in fp32, in vector lanes, and add the blocks' sums in
   double precision. So the relative error stays near that of one fp32 rounding, however long the array is. */
enum { VSUM_BLOCK = 256 };

/* sum x_i */
static inline double vsum(const float *x, int64_t n) {
    double total = 0;
    for (int64_t start = 0; start < n; start += VSUM_BLOCK) {
        int64_t end = start + VSUM_BLOCK < n ? start + VSUM_BLOCK : n;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = start; i < end; i++) sum += x[i];
        total += (double)sum;
    }
    return total;
}

/* sum (x_i - c)^2 */
static inline double vsum_squares(const float *x, float c, int64_t n) {
    double total = 0;
    for (int64_t start = 0; start < n; start += VSUM_BLOCK) {
        int64_t end = start + VSUM_BLOCK < n ? start + VSUM_BLOCK : n;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = start; i < end; i++) sum += (x[i] - c) * (x[i] - c);
        total += (double)sum;
    }
    return total;
}

/* sum (x_i - y_i)^2 */
static inline double vsum_squared_difference(const float *x, const float *y, int64_t n) {
    double total = 0;
    for (int64_t start = 0; start < n; start += VSUM_BLOCK) {
        int64_t end = start + VSUM_BLOCK < n ? start + VSUM_BLOCK : n;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = start; i < end; i++) sum += (x[i] - y[i]) * (x[i] - y[i]);
        total += (double)sum;
    }
    return total;
}

/* sum y_i (x_i - c) */
static inline double vdot_centred(const float *y, const float *x, float c, int64_t n) {
    double total = 0;
    for (int64_t start = 0; start < n; start += VSUM_BLOCK) {
        int64_t end = start + VSUM_BLOCK < n ? start + VSUM_BLOCK : n;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = start; i < end; i++) sum += y[i] * (x[i] - c);
        total += (double)sum;
    }
    return total;
}

#endif
