/* SPDX-License-Identifier: MIT */
/* A matrix is transposed in squares of 16 x 16 numbers, and a square by interleaving its two halves four
   times. To interleave is to write the first number of the first half, the first of the second half, the
   second of the first half, and so on. A square of 4 x 4 needs only two times. With rows a, b, c and d:

                          first half                second half
       at first           a0 a1 a2 a3 b0 b1 b2 b3   c0 c1 c2 c3 d0 d1 d2 d3     the rows a, b, c, d
       interleaved once   a0 c0 a1 c1 a2 c2 a3 c3   b0 d0 b1 d1 b2 d2 b3 d3
       interleaved twice  a0 b0 c0 d0 a1 b1 c1 d1   a2 b2 c2 d2 a3 b3 c3 d3     the columns 0, 1, 2, 3

   This works for any side 2^n, with n steps. To see why, write the index of a number in binary: first the
   digits of its row, then those of its column. Number i of half h has the index whose highest digit is h and
   whose other digits are those of i, and interleaving moves it to index 2 i + h. So the highest digit becomes
   the lowest and the others move up by one. With 4 digits for the row and 4 for the column, row and column
   have changed places after four such steps.

   The compiler turns the interleaving loop into vector instructions, which take half the time of moving the
   numbers one by one. */
#include "tensor/transpose.h"
#include "io/base.h"

#include <string.h>

enum { SIDE = TRANSPOSE_SIDE, HALF = SIDE * SIDE / 2 };

/* Interleaves the n numbers of `from` with those of `from_half`, and writes the 2 n numbers to `to`. */
static inline void interleave(const float *restrict from, const float *restrict from_half, int n,
                              float *restrict to) {
#pragma omp simd
    for (int i = 0; i < n; i++) {
        to[2 * i] = from[i];
        to[2 * i + 1] = from_half[i];
    }
}

/* The four steps for a square of 16 x 16. The first step reads two rows of `from` at a time, one from each
   half, and the last step writes two rows of `to` at a time. `to` may be `from`. */
static inline void transpose_16(const float *from, int64_t from_stride, float *to, int64_t to_stride) {
    float a[SIDE * SIDE], b[SIDE * SIDE];
    for (int r = 0; r < SIDE / 2; r++)
        interleave(from + r * from_stride, from + (r + SIDE / 2) * from_stride, SIDE, a + 2 * r * SIDE);
    interleave(a, a + HALF, HALF, b);
    interleave(b, b + HALF, HALF, a);
    for (int r = 0; r < SIDE; r += 2) {
        float rows[2 * SIDE];
        interleave(a + r * SIDE / 2, a + HALF + r * SIDE / 2, SIDE, rows);
        memcpy(to + r * to_stride, rows, SIDE * sizeof(float));
        memcpy(to + (r + 1) * to_stride, rows + SIDE, SIDE * sizeof(float));
    }
}

void transpose_square(float *square) { transpose_16(square, SIDE, square, SIDE); }

/* Transposes a part of a square, as part of a whole square that is filled up with zeros. */
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
            float *transposed = to + c * to_stride + r;
            if (rows - r >= SIDE && columns - c >= SIDE)
                transpose_16(square, from_stride, transposed, to_stride);
            else
                transpose_part(square, from_stride, min_i64(SIDE, rows - r), min_i64(SIDE, columns - c),
                               transposed, to_stride);
        }
}
