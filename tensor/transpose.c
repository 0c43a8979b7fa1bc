#include "tensor/transpose.h"
#include "tensor/base.h"

#include <string.h>

enum { SIDE = 16, HALF = SIDE * SIDE / 2 };

/* Two halves dealt out in turns, as cards are riffled: the number at place HALF h + i goes to 2 i + h. In binary, its
   place is turned left by one digit. */
static inline void riffle(const float *restrict from, float *restrict to) {
    for (int i = 0; i < HALF; i++) {
        to[2 * i] = from[i];
        to[2 * i + 1] = from[HALF + i];
    }
}

static inline void riffle_halves(const uint16_t *restrict from, const uint16_t *restrict from_half, int n,
                                 uint16_t *restrict to) {
#pragma omp simd
    for (int i = 0; i < n; i++) {
        to[2 * i] = from[i];
        to[2 * i + 1] = from_half[i];
    }
}

/* A place has four digits of the row and then four of the column: after four turns they have changed places. These
   loops become vector code, which takes half the time of moving number by number. */
void transpose_square(float *square) {
    float other[SIDE * SIDE];
    for (int turn = 0; turn < 2; turn++) {
        riffle(square, other);
        riffle(other, square);
    }
}

void transpose_halves(const void *from, size_t stride, uint16_t *square) {
    uint16_t other[SIDE * SIDE], row[SIDE], row_half[SIDE];
    for (int r = 0; r < SIDE / 2; r++) {
        memcpy(row, (const char *)from + (size_t)r * stride, sizeof row);
        memcpy(row_half, (const char *)from + (size_t)(r + SIDE / 2) * stride, sizeof row_half);
        riffle_halves(row, row_half, SIDE, other + 2 * r * SIDE);
    }
    riffle_halves(other, other + HALF, HALF, square);
    riffle_halves(square, square + HALF, HALF, other);
    riffle_halves(other, other + HALF, HALF, square);
}

/* A copy of a size known to the compiler is a vector move. */
static inline void copy(float *to, const float *from, int64_t count) {
    if (count == SIDE)
        memcpy(to, from, SIDE * sizeof(float));
    else
        for (int64_t i = 0; i < count; i++) to[i] = from[i];
}

void transpose(const float *from, int64_t from_stride, int64_t rows, int64_t columns, float *to,
               int64_t to_stride) {
    float square[SIDE * SIDE] = { 0 };
    for (int64_t c = 0; c < columns; c += SIDE)
        for (int64_t r = 0; r < rows; r += SIDE) {
            int64_t down = min_i64(SIDE, rows - r), across = min_i64(SIDE, columns - c);
            for (int64_t i = 0; i < down; i++)
                copy(square + i * SIDE, from + (r + i) * from_stride + c, across);
            transpose_square(square);
            for (int64_t j = 0; j < across; j++) copy(to + (c + j) * to_stride + r, square + j * SIDE, down);
        }
}
