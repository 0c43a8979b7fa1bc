/* SPDX-License-Identifier: MIT */
/* What gemm_bf16 does in its innermost loops, for a kind of processor. A kernel multiplies a strip of A by a
   panel of B:

       C[r][j] (+)= alpha sum_p (A[r][2p] B[2p][j] + A[r][2p+1] B[2p+1][j])

   for rows r < STRIP_ROWS, columns j < PANEL_COLUMNS and pairs p. The instruction that this is made for
   multiplies pairs of bfloat16 numbers and adds both products to an fp32 sum. So numbers that are
   neighbours along the inner dimension lie side by side in both factors. */
#ifndef TI_BF16_KERNELS_H
#define TI_BF16_KERNELS_H

#include "io/base.h"

/* 12 rows of two vectors of sums are 24 of AVX-512's 32 registers, and enough sums to hide the latency of the
   instruction. */
enum { STRIP_ROWS = 12, PANEL_COLUMNS = 32 };

/* Numbers are rounded in chunks. A chunk becomes one row of a panel, or one row of 16 pairs of a square that
   is transposed as a whole. */
enum { CHUNK = PANEL_COLUMNS };

/* A strip of A, in one of two layouts. Pair p of row r is at[r * row + p * pair] and the number after it. */
typedef struct {
    const uint16_t *at;
    int64_t row, pair; /* numbers from one row to the next, and from one pair to the next */
} Strip;

/* The product of `rows` rows of a strip and a panel, `pairs` pairs long. In the panel, pair p of column j
   is panel[2 * (p * PANEL_COLUMNS + j)] and the number after it. Only `columns` columns of C are written,
   but the panel has all of them. */
typedef struct {
    int64_t rows, columns, pairs;
    Strip strip;
    const uint16_t *panel;
    float alpha;
    bool add; /* whether the product is added to C */
    float *c;
    int64_t ldc;
} StripProduct;

typedef struct {
    const char *name;
    bool (*runs)(void); /* whether this processor has the instructions */
    void (*multiply)(const StripProduct *s);
    /* Rounds numbers to the nearest bfloat16, ties to the even one, and adds zeros up to a whole chunk. NaN
       stays NaN. */
    void (*round)(const float *numbers, int64_t count, uint16_t *to);
    /* Does the same with two rows, and interleaves them to pairs of an even and an odd number. Chunk c of
       pairs begins at to + c * stride. */
    void (*interleave)(const float *even, const float *odd, int64_t count, uint16_t *to, int64_t stride);
} Bf16Functions;

extern const Bf16Functions bf16_portable;
#ifdef __x86_64__
extern const Bf16Functions bf16_avx512;
#endif

#endif
