/* SPDX-License-Identifier: MIT */
/* Matrix products by OpenBLAS, their division into tiles, and the calls that set OpenBLAS up and query it. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "tensor/gemm.h"

#include <cblas.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

/* Every build of OpenBLAS has these functions, but the cblas.h of some distributions lacks the first three,
   and none declares the last two. */
void openblas_set_num_threads(int num_threads);
char *openblas_get_corename(void);
char *openblas_get_config(void);
void *blas_memory_alloc(int kind);
void blas_memory_free(void *buffer);

static int blas_int(int64_t n) {
    CHECK(n >= 0 && n <= INT_MAX);
    return (int)n;
}

/* OpenBLAS usually copies both factors into another layout before it multiplies. Its AVX-512 kernels do not
   copy the factors of products with up to 100^3 multiply-adds. Such products run at the processor's peak,
   while larger ones are a tenth slower. So with these kernels every product is divided into such small ones,
   unless B is transposed, since then the small ones are slower. */
enum { SMALL_PRODUCT = 1000000, BLOCK_ROWS_MIN = 32, BLOCK_COLUMNS = 64, BLOCK_INNER = 480 };

static bool small_products_are_faster(void) {
    static const char *const kernels[] = { "SkylakeX", "Cooperlake", "SapphireRapids" };
    const char *kernel = openblas_get_corename();
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (!strcmp(kernel, kernels[i])) return true;
    return false;
}

/* Divides a length into the fewest equal parts of at most `most` and returns the size of a part, rounded up
   to a multiple of 16 where there is more than one. */
static int64_t part_size(int64_t length, int64_t most) {
    if (length <= most) return max_i64(length, 1);
    return ceil_div(ceil_div(length, ceil_div(length, most)), 16) * 16;
}

static void blas(Layout layout_a, Layout layout_b, int64_t m, int64_t n, int64_t k, float alpha,
                 const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                 int64_t ldc) {
    cblas_sgemm(CblasRowMajor, layout_a == AS_IS ? CblasNoTrans : CblasTrans,
                layout_b == AS_IS ? CblasNoTrans : CblasTrans, blas_int(m), blas_int(n), blas_int(k), alpha,
                a, blas_int(lda), b, blas_int(ldb), beta, c, blas_int(ldc));
}

void gemm(Layout layout_a, Layout layout_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
          int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
    if (m == 0 || n == 0) return;
    CHECK(lda >= (layout_a == AS_IS ? k : m) && ldb >= (layout_b == AS_IS ? n : k) && ldc >= n);
    if (layout_b == TRANSPOSED || k == 0 || !small_products_are_faster()) {
        blas(layout_a, layout_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        return;
    }
    int64_t depth = part_size(k, BLOCK_INNER), columns = min_i64(n, BLOCK_COLUMNS);
    int64_t rows = SMALL_PRODUCT / (columns * depth) / BLOCK_ROWS_MIN * BLOCK_ROWS_MIN;
    for (int64_t p = 0; p < k; p += depth)
        for (int64_t j = 0; j < n; j += columns)
            for (int64_t i = 0; i < m; i += rows)
                blas(layout_a, layout_b, min_i64(rows, m - i), min_i64(columns, n - j), min_i64(depth, k - p),
                     alpha, layout_a == AS_IS ? a + i * lda + p : a + p * lda + i, lda, b + p * ldb + j, ldb,
                     p > 0 ? 1 : beta, c + i * ldc + j, ldc);
}

/* Bounds for tiles, in this order: the maximum number of rows and columns; the number of rows and the
   number of columns at which a tile is no longer halved; the number of tiles that is aimed at; the cost
   of converting a tile's weights to fp32, expressed as a number of additional rows; and the rows of
   tiles in a band. */
enum { TILE_MAX = 256, ROWS_MIN = 64, COLUMNS_MIN = 32, TILES_WANTED = 16, WIDENING = 32, BAND = 4 };

Tiles gemm_tiles(int64_t m, int64_t n, int64_t k) {
    /* A tile with fewer multiply-adds takes less time to compute than to hand to a thread. */
    const int64_t worth = 1 << 19;
    Tiles t = { m, n, part_size(m, TILE_MAX), part_size(n, TILE_MAX), 0, 0 };
    for (;;) {
        t.across = ceil_div(n, t.columns);
        t.count = ceil_div(m, t.rows) * t.across;
        bool cut_rows = t.rows > ROWS_MIN && (t.rows > 4 * t.columns || t.columns <= BLOCK_COLUMNS);
        if (t.count >= TILES_WANTED || (!cut_rows && t.columns <= COLUMNS_MIN) ||
            (t.rows + WIDENING) * t.columns * k < 2 * worth)
            return t;
        if (cut_rows) /* the tiles are very tall, or already so narrow that gemm would not divide them */
            t.rows = part_size(t.rows, (t.rows + 1) / 2);
        else
            t.columns = part_size(t.columns, (t.columns + 1) / 2);
    }
}

Tile gemm_tile(const Tiles *t, int64_t i) {
    int64_t band = i / (BAND * t->across), in_band = i % (BAND * t->across);
    int64_t down = min_i64(BAND, t->count / t->across - band * BAND);
    int64_t row = (band * BAND + in_band % down) * t->rows, column = in_band / down * t->columns;
    return (Tile) { row, min_i64(t->rows, t->m - row), column, min_i64(t->columns, t->n - column) };
}

void blas_start(void) { openblas_set_num_threads(1); }

/* OpenBLAS has room for at least 50 buffers, and ends the program when more buffers are requested at once
   than it has room for. It does not tell this number, so no more than 50 are reserved. Further threads get
   theirs when they need them. */
enum { BLAS_THREADS = 50 };

bool blas_has_room(int threads) {
    void *buffers[BLAS_THREADS];
    int count = threads < BLAS_THREADS ? threads : BLAS_THREADS, mapped = 0;
    for (; mapped < count; mapped++) {
        buffers[mapped] = mmap(NULL, BLAS_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (buffers[mapped] == MAP_FAILED) break;
    }
    for (int i = 0; i < mapped; i++) munmap(buffers[i], BLAS_BUFFER);
    return mapped == count;
}

/* OpenBLAS keeps the memory of a freed buffer and gives it to the next thread that needs one. Thus allocating
   and freeing all buffers reserves them. */
bool blas_reserve(int threads) {
    if (!blas_has_room(threads)) return false;
    void *buffers[BLAS_THREADS];
    int count = threads < BLAS_THREADS ? threads : BLAS_THREADS;
    for (int i = 0; i < count; i++) buffers[i] = blas_memory_alloc(0);
    for (int i = 0; i < count; i++) blas_memory_free(buffers[i]);
    return true;
}

const char *blas_kernel(void) { return openblas_get_corename(); }

const char *blas_build(void) { return openblas_get_config(); }
