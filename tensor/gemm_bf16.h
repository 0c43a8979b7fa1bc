/* SPDX-License-Identifier: MIT */
/* Matrix products whose factors are rounded to bfloat16, and whose sums are fp32. A bfloat16 number is the
   high half of a float: it has the float's range, and 8 significant bits instead of 24. Processors with
   instructions for it multiply twice as many pairs of numbers in a second as in fp32, or more. */
#ifndef TI_GEMM_BF16_H
#define TI_GEMM_BF16_H

#include "tensor/gemm.h"
#include "tensor/tensor.h"

/* The implementations of the innermost loop. All compute the same sums of the same rounded factors. */
typedef enum {
    BF16_PORTABLE, /* plain C for any processor; gemm in fp32 is faster */
    BF16_AVX512    /* x86-64 processors with the instructions AVX512-BF16 */
} Bf16Kernel;
enum { BF16_KERNELS = 2 };

const char *bf16_kernel_name(Bf16Kernel kernel);
/* Whether this processor can run the kernel. */
bool bf16_kernel_runs(Bf16Kernel kernel);
/* Returns the fastest kernel that this processor can run. */
Bf16Kernel bf16_kernel(void);

/* A factor as it is in memory, at any alignment: rows of numbers of the type, and `stride` numbers from one
   row to the next. If the layout is TRANSPOSED, the rows are columns of the factor. */
typedef struct {
    DType type;
    Layout layout;
    const void *data;
    int64_t stride;
} Factor;
/* Returns the part of a weight, seen as a matrix [dim 0, product of the other dims], from a row and a
   column on. */
Factor weight_factor(const Weight *w, Layout layout, int64_t row, int64_t column);

/* C = alpha A B, or C += alpha A B if `add` is true, with A [m, k], B [k, n], C [m, n]. The numbers of A
   and B are rounded to bfloat16, to nearest and ties to even, in which NaN and infinity stay what they
   are. Their products are exact in fp32 and are added up in fp32. C is in fp32, ldc floats from one row to
   the next. workspace has room for gemm_bf16_workspace floats. As gemm does, the function runs on the
   calling thread alone, and the order of the sums depends on the shape only. */
void gemm_bf16(Bf16Kernel kernel, int64_t m, int64_t n, int64_t k, float alpha, Factor a, Factor b, bool add,
               float *c, int64_t ldc, float *workspace);
int64_t gemm_bf16_workspace(int64_t m, int64_t n, int64_t k);

#endif
