/* SPDX-License-Identifier: MIT */
/* Products of bfloat16 matrices: the packing of the factors and the loop over blocks. What depends on the
   processor is in bf16_avx512.c, and in bf16_portable.c for all other processors.

   Both factors are rounded block by block, into memory that stays in the core's caches. A block has INNER
   numbers along the inner dimension k:

                 k                        n
            +---------+            +----+----+----+
          m | strip   |          k |    |    |    |        A is divided into strips of 12 rows, and B
            +---------+            |panel    |    |        into panels of 32 columns. A kernel
            | strip   |            |    |    |    |        multiplies one strip by one panel.
            +---------+            +----+----+----+

   A panel [pairs, 32] has the pair B[2p][j], B[2p+1][j] for each of its columns, so that a vector holds the
   pairs of 16 columns. The kernel multiplies such a vector by one pair of A, which it reads and repeats 16
   times. So A needs no layout of its own: where its rows are rows in memory, rounding them is enough, and a
   weight that is bfloat16 in the file is not copied at all. Where its columns are rows in memory, pairs of
   these rows are interleaved.

                       rows of numbers along k          rows of numbers along m or n
       A               rounded: [rows, k]               two rows interleaved: [pairs, rows]
       B               transposed, pair by pair         two rows interleaved: [pairs, 32]  */
#include "tensor/gemm_bf16.h"

#include "tensor/bf16_kernels.h"
#include "tensor/transpose.h"

#include <string.h>

/* A block of A with ROWS_MAX rows and INNER numbers takes 240 KB, and a panel takes 32 KB. */
enum { INNER = 512, ROWS_MAX = 20 * STRIP_ROWS };

/* Squares of 16 x 16 pairs are transposed as a whole. */
enum { SIDE = TRANSPOSE_SIDE };
_Static_assert(CHUNK == 2 * SIDE, "a chunk is a row of pairs of a square");

static const Bf16Functions *functions_of(Bf16Kernel kernel) {
#ifdef __x86_64__
    if (kernel == BF16_AVX512) return &bf16_avx512;
#endif
    return kernel == BF16_PORTABLE ? &bf16_portable : NULL;
}

bool bf16_kernel_runs(Bf16Kernel kernel) { return functions_of(kernel) && functions_of(kernel)->runs(); }

const char *bf16_kernel_name(Bf16Kernel kernel) { return functions_of(kernel)->name; }

Bf16Kernel bf16_kernel(void) { return bf16_kernel_runs(BF16_AVX512) ? BF16_AVX512 : BF16_PORTABLE; }

static const void *number_at(const Factor *f, int64_t row, int64_t column) {
    return (const char *)f->data + (size_t)(row * f->stride + column) * dtype_size(f->type);
}

Factor weight_factor(const Weight *w, Layout layout, int64_t row, int64_t column) {
    int64_t width = weight_width(w);
    CHECK(row >= 0 && row < w->shape.dim[0] && column >= 0 && column < width);
    Factor f = { w->dtype, layout, w->data, width };
    f.data = number_at(&f, row, column);
    return f;
}

static int64_t pairs_of(int64_t depth) { return ceil_div(depth, 2); }
static int64_t chunks_of(int64_t count) { return ceil_div(count, CHUNK); }

/* The most numbers of a row that are rounded at a time. */
enum { PIECE = INNER };

/* Returns a piece of a row of the factor's memory in fp32: where it is if that is possible, or else a copy in
   `space` [PIECE]. */
static inline const float *fp32_piece(const Factor *f, int64_t row, int64_t column, int64_t count,
                                      float *space) {
    const void *at = number_at(f, row, column);
    if (f->type == F32 && (uintptr_t)at % sizeof(float) == 0) return at;
    widen(f->type, at, count, space);
    return space;
}

/* Interleaves the numbers [column, column + count) of two rows of the factor's memory: `row` and the next
   one, or zeros when the row is `alone`. */
static void interleave_rows(const Bf16Functions *kernel, const Factor *f, int64_t row, bool alone,
                            int64_t column, int64_t count, uint16_t *to, int64_t stride) {
    static const float zeros[PIECE];
    float even_space[PIECE], odd_space[PIECE];
    for (int64_t done = 0; done < count; done += PIECE) {
        int64_t part = min_i64(PIECE, count - done);
        const float *even = fp32_piece(f, row, column + done, part, even_space);
        const float *odd = alone ? zeros : fp32_piece(f, row + 1, column + done, part, odd_space);
        kernel->interleave(even, odd, part, to + done / CHUNK * stride, stride);
    }
}

/* The part of a product that is packed at a time: rows [row, row + rows) of A or columns [column, column +
   columns) of B, which are called lines here, and the numbers [first, first + depth) along k. */
typedef struct {
    int64_t line, lines, first, depth;
} Part;

/* Rounds a part of A, in `space` unless it can be read where it is. */
static Strip pack_left(const Bf16Functions *kernel, const Factor *f, Part p, uint16_t *space) {
    if (f->type == BF16 && f->layout == AS_IS && p.depth % 2 == 0 &&
        (uintptr_t)f->data % sizeof(uint16_t) == 0)
        return (Strip) { number_at(f, p.line, p.first), f->stride, 2 };
    if (f->layout == TRANSPOSED) {
        int64_t row = 2 * CHUNK * chunks_of(p.lines);
        for (int64_t i = 0; i < pairs_of(p.depth); i++)
            interleave_rows(kernel, f, p.first + 2 * i, 2 * i + 1 == p.depth, p.line, p.lines,
                            space + i * row, 2 * CHUNK);
        return (Strip) { space, 2, row };
    }
    int64_t row = CHUNK * chunks_of(p.depth);
    float fp32[PIECE];
    for (int64_t r = 0; r < p.lines; r++)
        kernel->round(fp32_piece(f, p.line + r, p.first, p.depth, fp32), p.depth, space + r * row);
    return (Strip) { space, row, 2 };
}

/* Transposes the pairs of up to 16 lines of B, which are rows in memory, to 16 columns of a panel. Lines
   that B lacks become columns of zeros. A pair is moved as if it were a float. */
static void transpose_pairs(const Bf16Functions *kernel, const Factor *f, Part p, uint16_t *to) {
    uint16_t lines[SIDE][PIECE];
    float square[SIDE * SIDE], fp32[PIECE];
    size_t row = CHUNK * sizeof **lines;
    for (int64_t j = 0; j < SIDE; j++)
        if (j < p.lines)
            kernel->round(fp32_piece(f, p.line + j, p.first, p.depth, fp32), p.depth, lines[j]);
        else
            memset(lines[j], 0, row * (size_t)chunks_of(p.depth));
    for (int64_t done = 0; done < p.depth; done += CHUNK) {
        for (int64_t j = 0; j < SIDE; j++) memcpy(square + j * SIDE, lines[j] + done, row);
        transpose_square(square);
        for (int64_t i = 0; i < min_i64(SIDE, pairs_of(p.depth - done)); i++)
            memcpy(to + (done / 2 + i) * 2 * PANEL_COLUMNS, square + i * SIDE, row);
    }
}

/* Rounds a part of B to panels [lines / 32][pairs][32] of pairs. The missing columns of the last panel are
   zero. */
static void pack_right(const Bf16Functions *kernel, const Factor *f, Part p, uint16_t *panels) {
    int64_t pairs = pairs_of(p.depth), panel = 2 * pairs * PANEL_COLUMNS;
    if (f->layout == AS_IS) {
        for (int64_t i = 0; i < pairs; i++)
            interleave_rows(kernel, f, p.first + 2 * i, 2 * i + 1 == p.depth, p.line, p.lines,
                            panels + 2 * i * PANEL_COLUMNS, panel);
        return;
    }
    for (int64_t j = 0; j < PANEL_COLUMNS * chunks_of(p.lines); j += SIDE) {
        Part lines = { p.line + j, max_i64(0, min_i64(SIDE, p.lines - j)), p.first, p.depth };
        transpose_pairs(kernel, f, lines, panels + j / PANEL_COLUMNS * panel + 2 * (j % PANEL_COLUMNS));
    }
}

/* The numbers of B's panels and of a block of A, which consist of whole chunks. */
static int64_t right_numbers(int64_t n, int64_t k) {
    return 2 * pairs_of(min_i64(k, INNER)) * CHUNK * chunks_of(n);
}
static int64_t left_numbers(int64_t m, int64_t k) {
    int64_t rows = min_i64(m, ROWS_MAX), depth = min_i64(k, INNER);
    return max_i64(rows * CHUNK * chunks_of(depth), 2 * pairs_of(depth) * CHUNK * chunks_of(rows));
}

int64_t gemm_bf16_workspace(int64_t m, int64_t n, int64_t k) {
    return (right_numbers(n, k) + left_numbers(m, k)) / 2;
}

void gemm_bf16(Bf16Kernel name, int64_t m, int64_t n, int64_t k, float alpha, Factor a, Factor b, bool add,
               float *c, int64_t ldc, float *workspace) {
    const Bf16Functions *kernel = functions_of(name);
    uint16_t *panels = (uint16_t *)(void *)workspace, *space = panels + right_numbers(n, k);
    CHECK(kernel && k > 0 && ldc >= n);
    for (int64_t p = 0; p < k; p += INNER) {
        int64_t depth = min_i64(INNER, k - p), pairs = pairs_of(depth);
        pack_right(kernel, &b, (Part) { 0, n, p, depth }, panels);
        for (int64_t i = 0; i < m; i += ROWS_MAX) {
            int64_t rows = min_i64(ROWS_MAX, m - i);
            Strip left = pack_left(kernel, &a, (Part) { i, rows, p, depth }, space);
            for (int64_t j = 0; j < n; j += PANEL_COLUMNS)
                for (int64_t r = 0; r < rows; r += STRIP_ROWS) {
                    StripProduct s = { min_i64(STRIP_ROWS, rows - r),
                                       min_i64(PANEL_COLUMNS, n - j),
                                       pairs,
                                       { left.at + r * left.row, left.row, left.pair },
                                       panels + 2 * pairs * j,
                                       alpha,
                                       add || p > 0,
                                       c + (i + r) * ldc + j,
                                       ldc };
                    kernel->multiply(&s);
                }
        }
    }
}
