/* Matrix multiplication: the one door to BLAS. All matrices are row-major fp32. */
#ifndef TI_GEMM_H
#define TI_GEMM_H

#include "io/base.h"

/* How a factor lies in memory. */
typedef enum { AS_IS, TRANSPOSED } Layout;

/* C = alpha op(A) op(B) + beta C,  op(A) [m, k], op(B) [k, n], C [m, n]. lda, ldb, ldc: floats from one row
   to the next as the matrix lies in memory (A is [k, m] there if TRANSPOSED). beta 0 overwrites C, whatever
   it held (NaN included). Runs on the calling thread alone: parallel callers divide the work into tiles that
   follow from the shape, so that the bits don't depend on the number of threads. A size that BLAS's int
   cannot hold is a programming error: tiles are far smaller. */
void gemm(Layout layout_a, Layout layout_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
          int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

/* How a product [m, n] with inner length k is cut for parallel callers: it follows from the shape alone.
   Tiles have at most 256 rows and 256 columns and at least 16 of them are made where there is work for it;
   they are rather tall than wide, since weights, which stand in the columns of most products, are widened for
   each tile. Tile i is the rows [row, row + rows) and columns [column, column + columns). They are numbered
   in bands of four rows of tiles, each from its top to its bottom and then on to the right: neighbours have
   mostly the same columns. */
typedef struct {
    int64_t m, n, rows, columns; /* of a full tile; the last ones may be smaller */
    int64_t across, count;       /* tiles in a row of tiles, and in all */
} Tiles;
typedef struct {
    int64_t row, rows, column, columns;
} Tile;
Tiles gemm_tiles(int64_t m, int64_t n, int64_t k);
Tile gemm_tile(const Tiles *t, int64_t i);

/* Callers that read weights through weight_panel take the inner dimension in blocks of this length, each
   added to the last, so that a widened panel stays in cache. */
enum { GEMM_INNER = 512 };

/* Before the first gemm of the process: BLAS keeps to one thread (ours are OpenMP's). */
void blas_start(void);

enum { BLAS_BUFFER = 128 << 20 }; /* bytes of address space for a thread, of which BLAS uses some */
/* Whether they are to be had for so many threads. OpenBLAS is not asked, so that this may come before it has
   started. */
bool blas_has_room(int threads);
/* Gets them before the first thread asks for its share: where there are none OpenBLAS tries for ever. False:
   there are none. */
bool blas_reserve(int threads);

/* The kernel that OpenBLAS chose for this processor: "Haswell", "Zen", "SkylakeX", ... */
const char *blas_kernel(void);
/* OpenBLAS's version, how it was built and its kernel: where that is the same, so are the bits of a
   product. */
const char *blas_build(void);

#endif
