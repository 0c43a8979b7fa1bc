/* SPDX-License-Identifier: MIT */
/* Matrix multiplication. gemm.c is the only file that calls BLAS. All matrices are row-major fp32. */
#ifndef TI_GEMM_H
#define TI_GEMM_H

#include "io/base.h"

/* Whether a factor is in memory as it is multiplied, or transposed. */
typedef enum { AS_IS, TRANSPOSED } Layout;

/* C = alpha op(A) op(B) + beta C,  op(A) [m, k], op(B) [k, n], C [m, n]. lda, ldb and ldc are the numbers of
   floats from one row to the next in memory, where A is [k, m] if it is TRANSPOSED. If beta is 0, C is
   overwritten even where it contains NaN. This function runs on the calling thread alone. Parallel callers
   divide the work into tiles that depend only on the shape, so that the bits do not depend on the number of
   threads. A size beyond BLAS's int is a programming error (CHECK), since tiles are far smaller. */
void gemm(Layout layout_a, Layout layout_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
          int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

/* How a product [m, n] with inner length k is divided into tiles for parallel callers. The division depends
   on the shape alone. A tile has at most 256 rows and 256 columns, and there are at least 16 tiles unless
   they would be too small. Tiles are tall rather than wide: in most products the columns belong to weights,
   which each tile converts to fp32 for itself. Tile i is the rows [row, row + rows) and the columns
   [column, column + columns). The tiles are numbered in bands of four rows of tiles, and within a band from
   top to bottom and then to the right. Thus tiles with neighbouring numbers mostly have the same columns and
   find their weights in cache. */
typedef struct {
    int64_t m, n, rows, columns; /* rows and columns of a full tile; the last ones may be smaller */
    int64_t across, count;       /* tiles in a row of tiles, and in total */
} Tiles;
typedef struct {
    int64_t row, rows, column, columns;
} Tile;
Tiles gemm_tiles(int64_t m, int64_t n, int64_t k);
Tile gemm_tile(const Tiles *t, int64_t i);

/* Callers that read weights through weight_panel divide the inner dimension into blocks of this length and
   accumulate their products, so that a panel converted to fp32 stays in cache. */
enum { GEMM_INNER = 512 };

/* Makes BLAS use the calling thread alone, since all parallelism is OpenMP's. It must be called
   before the first gemm. */
void blas_start(void);

enum { BLAS_BUFFER = 128 << 20 }; /* bytes of address space that BLAS reserves for a thread */
/* Whether the address space has room for the buffers of this many threads. This function does not call
   OpenBLAS, so it may be used before OpenBLAS has started. */
bool blas_has_room(int threads);
/* Makes OpenBLAS reserve the buffers of this many threads now, since OpenBLAS would retry for ever if it
   could not reserve one later. Returns false when there is no room for them. */
bool blas_reserve(int threads);

/* The name of the kernels that OpenBLAS chose for this processor: "Haswell", "Zen", "SkylakeX", ... */
const char *blas_kernel(void);
/* OpenBLAS's version, build options and kernels. If all three are equal, products have the same bits. */
const char *blas_build(void);

#endif
