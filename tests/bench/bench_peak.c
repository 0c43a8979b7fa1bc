/* SPDX-License-Identifier: MIT */
/* Measures the processor's peaks with all threads: multiply-adds in fp32, and pairs of bfloat16 products
   where the processor has the instruction for them. Prints GFLOP/s. */
#include "io/system.h"
#include "tensor/bf16_kernels.h"
#include "tensor/threads.h"

#ifdef __FMA__
#    include <immintrin.h>
#endif
#include <omp.h>
#include <stdio.h>

/* Ten vectors of the widest kind are enough independent sums to hide the latency of an instruction, and
   stay in registers. */
enum { VECTORS = 10, TURNS = 1 << 24 };
#if defined __AVX512F__
enum { LANES = 16 };
typedef __m512 Vector;
static inline Vector fused(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
#elif defined __FMA__
enum { LANES = 8 };
typedef __m256 Vector;
static inline Vector fused(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
#else
enum { LANES = 4 };
typedef float Vector __attribute__((vector_size(4 * LANES)));
static inline Vector fused(Vector a, Vector b, Vector c) { return a * b + c; }
#endif

/* Returns the operations of a thread. */
static double fp32_loop(float *result) {
    Vector sum[VECTORS], factor = { 0 }, one = { 0 };
    for (int l = 0; l < LANES; l++) factor[l] = 0.5f, one[l] = 1;
#pragma GCC unroll 10
    for (int i = 0; i < VECTORS; i++)
        sum[i] = one * (float)i; /* different, or the compiler would keep one of them */
    for (int turn = 0; turn < TURNS; turn++) {
#pragma GCC unroll 10
        for (int i = 0; i < VECTORS; i++) sum[i] = fused(sum[i], factor, one);
    }
#pragma GCC unroll 10
    for (int i = 0; i < VECTORS; i++) *result += sum[i][0];
    return 2.0 * LANES * VECTORS * TURNS;
}

#ifdef __x86_64__
/* The kernel on a strip and a panel that stay in the core's first cache. */
static double bf16_loop(float *result) {
    enum { PAIRS = 64 };
    static const uint16_t strip[STRIP_ROWS * 2 * PAIRS], panel[PAIRS * 2 * PANEL_COLUMNS];
    float c[STRIP_ROWS * PANEL_COLUMNS];
    const StripProduct s = { STRIP_ROWS, PANEL_COLUMNS, PAIRS, { strip, 2 * PAIRS, 2 }, panel, 1, false,
                             c,          PANEL_COLUMNS };
    const int turns = TURNS / 512;
    for (int turn = 0; turn < turns; turn++) bf16_avx512.multiply(&s);
    *result += c[0];
    return 4.0 * STRIP_ROWS * PANEL_COLUMNS * PAIRS * turns;
}
#endif

/* Returns the GFLOP/s of all threads in the best of several runs. */
static double peak(bool bf16) {
    double best = 0;
    for (int run = 0; run < 5; run++) {
        double start = system_seconds(), operations = 0;
        float result = 0;
#pragma omp parallel reduction(+ : operations, result)
#ifdef __x86_64__
        operations += bf16 ? bf16_loop(&result) : fp32_loop(&result);
#else
        operations += fp32_loop(&result);
#endif
        double rate = result == -1 ? 0 : operations / (system_seconds() - start) * 1e-9; /* uses the result */
        if (rate > best) best = rate;
    }
    return best;
}

int main(int argc, char *argv[]) {
    (void)argc;
    threads_restart(argv);
    printf("# %d threads, peak %.0f GFLOP/s in fp32", threads_start(0), peak(false));
#ifdef __x86_64__
    if (bf16_avx512.runs()) printf(", %.0f in bfloat16", peak(true));
#endif
    printf("\n");
    return 0;
}
