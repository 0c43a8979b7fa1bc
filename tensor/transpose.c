#include "tensor/transpose.h"
#include "io/base.h"

#include <string.h>

enum { SIDE = TRANSPOSE_SIDE, HALF = SIDE * SIDE / 2 };

/* Two halves dealt out in turns, as cards are riffled: the number at place HALF h + i goes to 2 i + h. In
   binary, its place is turned left by one digit. n: of a half. */
static inline void riffle(const float *restrict from, const float *restrict from_half, int n,
                          float *restrict to) {
#pragma omp simd
    for (int i = 0; i < n; i++) {
        to[2 * i] = from[i];
        to[2 * i + 1] = from_half[i];
    }
}

/* A place has four digits of the row and then four of the column: after four turns they have changed places.
   The first turn takes two rows at a time from where they lie, the last one makes two where they shall stand.
   These loops become vector code, which takes half the time of moving number by number. */
static inline void transpose_16(const float *from, int64_t from_stride, float *to, int64_t to_stride) {
    float a[SIDE * SIDE], b[SIDE * SIDE];
    for (int r = 0; r < SIDE / 2; r++)
        riffle(from + r * from_stride, from + (r + SIDE / 2) * from_stride, SIDE, a + 2 * r * SIDE);
    riffle(a, a + HALF, HALF, b);
    riffle(b, b + HALF, HALF, a);
    for (int r = 0; r < SIDE; r += 2) {
        float rows[2 * SIDE];
        riffle(a + r * SIDE / 2, a + HALF + r * SIDE / 2, SIDE, rows);
        memcpy(to + r * to_stride, rows, SIDE * sizeof(float));
        memcpy(to + (r + 1) * to_stride, rows + SIDE, SIDE * sizeof(float));
    }
}

void transpose_square(float *square) { transpose_16(square, SIDE, square, SIDE); }

/* A square that is not whole, by way of one that is. */
static void transpose_part(const float *from, int64_t from_stride, int64_t rows, int64_t columns, float *to,
                           int64_t to_stride) {
    float square[SIDE * SIDE] = { 0 };
    for (int64_t r = 0; r < rows; r++)
        memcpy(square + r * SIDE, from + r * from_stride, (size_t)columns * sizeof(float));
    transpose_square(square);
    for (int64_t c = 0; c < columns; c++)
        memcpy(to + c * to_stride, square + c * SIDE, (size_t)rows * sizeof(float));
}

void transpose(const float *from, int64_t from_stride, int64_t rows, int64_t columns, float *to,
               int64_t to_stride) {
    for (int64_t c = 0; c < columns; c += SIDE)
        for (int64_t r = 0; r < rows; r += SIDE) {
            const float *square = from + r * from_stride + c;
            float *turned = to + c * to_stride + r;
            if (rows - r >= SIDE && columns - c >= SIDE)
                transpose_16(square, from_stride, turned, to_stride);
            else
                transpose_part(square, from_stride, min_i64(SIDE, rows - r), min_i64(SIDE, columns - c),
                               turned, to_stride);
        }
}
