/* SPDX-License-Identifier: MIT */
/* The kernel of gemm_bf16 for x86-64 processors with AVX512-BF16. Its instruction vdpbf16ps takes two vectors
   of 16 pairs of bfloat16 numbers, multiplies them number by number, and adds both products of a pair to the
   fp32 sum in the same lane:

       sum[l] += a[2l + 1] b[2l + 1];    sum[l] += a[2l] b[2l]

   Here b is a vector of a panel of B, where lane l is a column, and a is one pair of A in all lanes. Only
   the functions of this file use these instructions, whatever -march is, and gemm_bf16.c calls them only
   where the processor has them. Thus a portable build has the kernel as well. */
#include "tensor/bf16_kernels.h"

#ifdef __x86_64__

#    include <immintrin.h>
#    include <string.h>

#    define USES_AVX512 __attribute__((target("avx512f,avx512bw,avx512bf16")))

static bool runs(void) { return __builtin_cpu_supports("avx512bf16"); }

/* Reads the pair at `at` and repeats it in all lanes. */
USES_AVX512 static inline __m512bh repeat_pair(const uint16_t *at) {
    int pair;
    memcpy(&pair, at, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

enum { LANES = 16 };

/* The mask of the first lanes. The count may be less than 0 or more than 16. */
USES_AVX512 static inline __mmask16 first_lanes(int64_t count) {
    return (__mmask16)(count >= LANES ? 0xffff : count > 0 ? (1u << count) - 1 : 0);
}

/* Writes up to 16 columns of one row of C. */
USES_AVX512 static inline void write_row(const StripProduct *s, __m512 sum, int64_t columns, float *c) {
    __mmask16 mask = first_lanes(columns);
    sum = _mm512_mul_ps(sum, _mm512_set1_ps(s->alpha));
    if (s->add) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, c));
    _mm512_mask_storeu_ps(c, mask, sum);
}

/* Computes the product for a constant number of sums, `rows` rows of `vectors` vectors, so that the
   compiler keeps all of them in registers. Rows that the strip lacks repeat its last one, and are not
   written. */
USES_AVX512 static inline __attribute__((always_inline)) void multiply_by(const StripProduct *s, int rows,
                                                                          int vectors) {
    __m512 sum[STRIP_ROWS][2];
    int64_t row[STRIP_ROWS];
#    pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        row[r] = min_i64(r, s->rows - 1) * s->strip.row;
        for (int v = 0; v < vectors; v++) sum[r][v] = _mm512_setzero_ps();
    }
    for (int64_t p = 0; p < s->pairs; p++) {
        const uint16_t *a = s->strip.at + p * s->strip.pair, *panel = s->panel + 2 * p * PANEL_COLUMNS;
        __m512bh b0 = (__m512bh)_mm512_loadu_si512(panel);
        __m512bh b1 = vectors == 2 ? (__m512bh)_mm512_loadu_si512(panel + 2 * LANES) : b0;
#    pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            __m512bh pair = repeat_pair(a + row[r]);
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], pair, b0);
            if (vectors == 2) sum[r][1] = _mm512_dpbf16_ps(sum[r][1], pair, b1);
        }
    }
#    pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        if (r >= s->rows) break;
        write_row(s, sum[r][0], s->columns, s->c + r * s->ldc);
        if (vectors == 2) write_row(s, sum[r][1], s->columns - LANES, s->c + r * s->ldc + LANES);
    }
}

/* Where a panel has 16 columns or fewer, one vector in a row suffices. */
USES_AVX512 static inline __attribute__((always_inline)) void multiply_rows(const StripProduct *s, int rows) {
    if (s->columns > LANES)
        multiply_by(s, rows, 2);
    else
        multiply_by(s, rows, 1);
}

USES_AVX512 static void multiply(const StripProduct *s) {
    if (s->rows > 8)
        multiply_rows(s, STRIP_ROWS);
    else if (s->rows > 4)
        multiply_rows(s, 8);
    else
        multiply_rows(s, 4);
}

/* Rounds the 16 numbers at `low` and the 16 at `high`, or fewer and zeros. Like the multiplication, the
   instruction takes subnormal numbers for zeros. */
USES_AVX512 static inline __m512i round_vectors(const float *low, int64_t low_count, const float *high,
                                                int64_t high_count) {
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(first_lanes(high_count), high),
                                        _mm512_maskz_loadu_ps(first_lanes(low_count), low));
}

USES_AVX512 static void round_numbers(const float *numbers, int64_t count, uint16_t *to) {
    for (int64_t i = 0; i < count; i += CHUNK)
        _mm512_storeu_si512(to + i,
                            round_vectors(numbers + i, count - i, numbers + i + LANES, count - i - LANES));
}

/* Rounds 16 even and 16 odd numbers together, and moves number i of the even ones to place 2 i and that of
   the odd ones to place 2 i + 1. */
USES_AVX512 static void interleave(const float *even, const float *odd, int64_t count, uint16_t *to,
                                   int64_t stride) {
    uint16_t places[CHUNK];
    for (int i = 0; i < CHUNK; i++) places[i] = (uint16_t)(i / 2 + i % 2 * LANES);
    __m512i order = _mm512_loadu_si512(places);
    for (int64_t first = 0; first < count; first += CHUNK, to += stride)
        for (int64_t i = first, half = 0; half < 2; half++, i += LANES) {
            __m512i rounded = round_vectors(even + i, count - i, odd + i, count - i);
            _mm512_storeu_si512(to + half * CHUNK, _mm512_permutexvar_epi16(order, rounded));
        }
}

const Bf16Functions bf16_avx512 = { "AVX512-BF16", runs, multiply, round_numbers, interleave };

#else
typedef int NoKernel; /* ISO C does not allow an empty file. */
#endif
