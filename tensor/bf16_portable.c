/* SPDX-License-Identifier: MIT */
/* The kernel of gemm_bf16 in plain C, for processors without instructions for bfloat16. */
#include "tensor/bf16_kernels.h"
#include "tensor/vmath.h"

#include <string.h>

static bool runs(void) { return true; }

/* Rounds to the nearest bfloat16, which is the high half of the result. Ties go to the even number. The carry
   of the addition may reach the exponent, and even make it that of infinity, as it should. A NaN keeps its
   high bits, one of which is set so that it stays NaN. */
static inline uint32_t round_number(float x) {
    uint32_t bits = float_bits(x), rounded = bits + 0x7fff + (bits >> 16 & 1);
    return (bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : rounded;
}

static void round_numbers(const float *numbers, int64_t count, uint16_t *to) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) to[i] = (uint16_t)(round_number(numbers[i]) >> 16);
    for (int64_t i = count; i % CHUNK != 0; i++) to[i] = 0;
}

/* In memory, the low half of a pair comes first. */
static void interleave(const float *even, const float *odd, int64_t count, uint16_t *to, int64_t stride) {
    for (int64_t first = 0; first < count; first += CHUNK, to += stride) {
        int64_t part = min_i64(CHUNK, count - first);
#pragma omp simd
        for (int64_t i = 0; i < part; i++) {
            uint32_t pair = round_number(even[first + i]) >> 16 | (round_number(odd[first + i]) & 0xffff0000);
            memcpy(to + 2 * i, &pair, sizeof pair);
        }
        memset(to + 2 * part, 0, (size_t)(2 * (CHUNK - part)) * sizeof *to);
    }
}

/* Both products of a pair are exact in fp32, since 8 bits times 8 bits are 16. */
static void multiply(const StripProduct *s) {
    for (int64_t r = 0; r < s->rows; r++) {
        float sum[PANEL_COLUMNS] = { 0 };
        for (int64_t p = 0; p < s->pairs; p++) {
            const uint16_t *a = s->strip.at + r * s->strip.row + p * s->strip.pair;
            float a0 = float_from_bits((uint32_t)a[0] << 16), a1 = float_from_bits((uint32_t)a[1] << 16);
            uint32_t b[PANEL_COLUMNS];
            memcpy(b, s->panel + 2 * p * PANEL_COLUMNS, sizeof b);
#pragma omp simd
            for (int j = 0; j < PANEL_COLUMNS; j++) {
                sum[j] += a0 * float_from_bits(b[j] << 16);
                sum[j] += a1 * float_from_bits(b[j] & 0xffff0000);
            }
        }
        float *c = s->c + r * s->ldc;
        for (int64_t j = 0; j < s->columns; j++) c[j] = s->add ? c[j] + s->alpha * sum[j] : s->alpha * sum[j];
    }
}

const Bf16Functions bf16_portable = { "portable", runs, multiply, round_numbers, interleave };
