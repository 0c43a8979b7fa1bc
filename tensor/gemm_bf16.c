/* Products of bfloat16 matrices: rounding and packing of the factors, the loop over blocks, and the portable
   kernel. bf16_avx512.c has the kernel for AVX512-BF16.

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
#include "tensor/vmath.h"

#include <string.h>

/* A block of A with ROWS_MAX rows and INNER numbers takes 240 KB, and a panel takes 32 KB. */
enum { INNER = 512, ROWS_MAX = 20 * STRIP_ROWS };

/* Numbers are rounded in chunks. A chunk becomes one row of a panel, or one row of 16 pairs of a square that
   is transposed as a whole. */
enum { CHUNK = PANEL_COLUMNS, SIDE = TRANSPOSE_SIDE };
_Static_assert(CHUNK == 2 * SIDE, "a chunk is a row of pairs of a square");

/* Rounds to the nearest bfloat16, which is the high half of the result. Ties go to the even number. The carry
   of the addition may reach the exponent, and even make it that of infinity, as it should. A NaN keeps its
   high bits, one of which is set so that it stays NaN. */
static inline uint32_t round_to_bf16(float x) {
    uint32_t bits = float_bits(x), rounded = bits + 0x7fff + (bits >> 16 & 1);
    return (bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : rounded;
}

/* Returns two numbers as the kernels read them: in memory, the even one comes first. */
static inline uint32_t pair_of(float even, float odd) {
    return round_to_bf16(even) >> 16 | (round_to_bf16(odd) & 0xffff0000);
}

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

/* Returns CHUNK numbers in a row of the factor's memory in fp32, of which only `count` are there and the
   others are zeros. They are read where they are if that is possible, and else copied to `space`. */
static inline const float *fp32_numbers(const Factor *f, int64_t row, int64_t column, int64_t count,
                                        float *space) {
    const void *at = number_at(f, row, column);
    if (f->type == F32 && (uintptr_t)at % sizeof(float) == 0 && count == CHUNK) return at;
    memset(space, 0, CHUNK * sizeof *space);
    widen(f->type, at, count, space);
    return space;
}

/* Rounds up to CHUNK numbers in a row of the factor's memory, and adds zeros to make them CHUNK. */
static inline void round_chunk(const Factor *f, int64_t row, int64_t column, int64_t count,
                               uint16_t *restrict to) {
    float space[CHUNK];
    const float *numbers = fp32_numbers(f, row, column, count, space);
#pragma omp simd
    for (int i = 0; i < CHUNK; i++) to[i] = (uint16_t)(round_to_bf16(numbers[i]) >> 16);
}

/* Interleaves up to CHUNK numbers of two rows of the factor's memory: `row` and the next one, or zeros when
   the row is `alone`. Adds zeros to make them CHUNK pairs. */
static inline void interleave_chunk(const Factor *f, int64_t row, bool alone, int64_t column, int64_t count,
                                    uint16_t *restrict to) {
    static const float zeros[CHUNK];
    float even_space[CHUNK], odd_space[CHUNK];
    const float *even = fp32_numbers(f, row, column, count, even_space);
    const float *odd = alone ? zeros : fp32_numbers(f, row + 1, column, count, odd_space);
#pragma omp simd
    for (int i = 0; i < CHUNK; i++) {
        uint32_t pair = pair_of(even[i], odd[i]);
        memcpy(to + 2 * i, &pair, sizeof pair);
    }
}

/* The part of a product that is packed at a time: rows [row, row + rows) of A or columns [column, column +
   columns) of B, which are called lines here, and the numbers [first, first + depth) along k. */
typedef struct {
    int64_t line, lines, first, depth;
} Part;

static int64_t pairs_of(int64_t depth) { return ceil_div(depth, 2); }
static int64_t chunks_of(int64_t count) { return ceil_div(count, CHUNK); }

/* Rounds a part of A, in `space` unless it can be read where it is. */
static Strip pack_left(const Factor *f, Part p, uint16_t *space) {
    if (f->type == BF16 && f->layout == AS_IS && p.depth % 2 == 0 &&
        (uintptr_t)f->data % sizeof(uint16_t) == 0)
        return (Strip) { number_at(f, p.line, p.first), f->stride, 2 };
    if (f->layout == TRANSPOSED) {
        int64_t row = 2 * CHUNK * chunks_of(p.lines);
        for (int64_t i = 0; i < pairs_of(p.depth); i++)
            for (int64_t j = 0; j < p.lines; j += CHUNK)
                interleave_chunk(f, p.first + 2 * i, 2 * i + 1 == p.depth, p.line + j,
                                 min_i64(CHUNK, p.lines - j), space + i * row + 2 * j);
        return (Strip) { space, 2, row };
    }
    int64_t row = CHUNK * chunks_of(p.depth);
    for (int64_t r = 0; r < p.lines; r++)
        for (int64_t j = 0; j < p.depth; j += CHUNK)
            round_chunk(f, p.line + r, p.first + j, min_i64(CHUNK, p.depth - j), space + r * row + j);
    return (Strip) { space, row, 2 };
}

/* Transposes the pairs of up to 16 lines of B, which are rows in memory, to 16 columns of a panel. Lines
   that B lacks become columns of zeros. A pair is moved as if it were a float. */
static void transpose_pairs(const Factor *f, Part p, uint16_t *to) {
    float square[SIDE * SIDE];
    uint16_t numbers[CHUNK] = { 0 };
    for (int64_t done = 0; done < p.depth; done += CHUNK) {
        int64_t part = min_i64(CHUNK, p.depth - done);
        for (int64_t j = 0; j < SIDE; j++) {
            if (j < p.lines) round_chunk(f, p.line + j, p.first + done, part, numbers);
            if (j == p.lines) memset(numbers, 0, sizeof numbers);
            memcpy(square + j * SIDE, numbers, sizeof numbers);
        }
        transpose_square(square);
        for (int64_t i = 0; i < pairs_of(part); i++)
            memcpy(to + (done / 2 + i) * 2 * PANEL_COLUMNS, square + i * SIDE, SIDE * sizeof(float));
    }
}

/* Rounds a part of B to panels [lines / 32][pairs][32] of pairs. The missing columns of the last panel are
   zero. */
static void pack_right(const Factor *f, Part p, uint16_t *panels) {
    int64_t pairs = pairs_of(p.depth), end = p.line + p.lines;
    for (; p.line < end; p.line += PANEL_COLUMNS, panels += 2 * pairs * PANEL_COLUMNS) {
        int64_t columns = min_i64(PANEL_COLUMNS, end - p.line);
        if (f->layout == TRANSPOSED) {
            for (int64_t j = 0; j < PANEL_COLUMNS; j += SIDE) {
                Part lines = { p.line + j, max_i64(0, min_i64(SIDE, columns - j)), p.first, p.depth };
                transpose_pairs(f, lines, panels + 2 * j);
            }
            continue;
        }
        for (int64_t i = 0; i < pairs; i++)
            interleave_chunk(f, p.first + 2 * i, 2 * i + 1 == p.depth, p.line, columns,
                             panels + 2 * i * PANEL_COLUMNS);
    }
}

/* Both products of a pair are exact in fp32, since 8 bits times 8 bits are 16. */
void bf16_portable(const StripProduct *s) {
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

const char *bf16_kernel_name(Bf16Kernel kernel) { return kernel == BF16_AVX512 ? "AVX512-BF16" : "portable"; }

bool bf16_kernel_runs(Bf16Kernel kernel) {
#ifdef __x86_64__
    if (kernel == BF16_AVX512) return bf16_avx512_runs();
#endif
    return kernel == BF16_PORTABLE;
}

Bf16Kernel bf16_kernel(void) { return bf16_kernel_runs(BF16_AVX512) ? BF16_AVX512 : BF16_PORTABLE; }

static void multiply(Bf16Kernel kernel, const StripProduct *s) {
#ifdef __x86_64__
    if (kernel == BF16_AVX512) {
        bf16_avx512(s);
        return;
    }
#endif
    CHECK(kernel == BF16_PORTABLE);
    bf16_portable(s);
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

void gemm_bf16(Bf16Kernel kernel, int64_t m, int64_t n, int64_t k, float alpha, Factor a, Factor b, bool add,
               float *c, int64_t ldc, float *workspace) {
    uint16_t *panels = (uint16_t *)(void *)workspace, *space = panels + right_numbers(n, k);
    CHECK(k > 0 && ldc >= n);
    for (int64_t p = 0; p < k; p += INNER) {
        int64_t depth = min_i64(INNER, k - p), pairs = pairs_of(depth);
        pack_right(&b, (Part) { 0, n, p, depth }, panels);
        for (int64_t i = 0; i < m; i += ROWS_MAX) {
            int64_t rows = min_i64(ROWS_MAX, m - i);
            Strip left = pack_left(&a, (Part) { i, rows, p, depth }, space);
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
                    multiply(kernel, &s);
                }
        }
    }
}
