/* SPDX-License-Identifier: MIT */
/* Transposition of matrices, in loops that the compiler turns into vector code. */
#ifndef TI_TRANSPOSE_H
#define TI_TRANSPOSE_H

#include <stddef.h>
#include <stdint.h>

/* to[c * to_stride + r] = from[r * from_stride + c] for r < rows, c < columns. Runs on the calling thread
   alone. */
void transpose(const float *from, int64_t from_stride, int64_t rows, int64_t columns, float *to,
               int64_t to_stride);

/* Transposes a contiguous square of 16 x 16 numbers in place. */
enum { TRANSPOSE_SIDE = 16 };
void transpose_square(float *square);

#endif
