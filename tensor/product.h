/* SPDX-License-Identifier: MIT */
/* Matrix products at a precision. All matrices are row-major, and fp32 but for weights. Like gemm, these
   functions run on the calling thread alone. */
#ifndef TI_PRODUCT_H
#define TI_PRODUCT_H

#include "tensor/gemm.h"
#include "tensor/tensor.h"

/* C = alpha op(A) op(B), added to C if `add` is true, with op(A) [m, k], op(B) [k, n] and C [m, n], as in
   gemm. PRECISION_F32 calls gemm, and PRECISION_BF16 calls gemm_bf16. */
void product(Precision precision, Layout layout_a, Layout layout_b, int64_t m, int64_t n, int64_t k,
             float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, bool add, float *c,
             int64_t ldc, float *workspace);
/* The floats of workspace that `product` needs: none for PRECISION_F32. */
int64_t product_workspace(Precision precision, int64_t m, int64_t n, int64_t k);

/* C = op(W) B, added to C if `add` is true, with op(W) [m, k], B [k, n] and C [m, n]. The weight is seen
   as a matrix [dim 0, product of the other dims]. op(W) consists of its rows [row, row + m) and columns
   [0, k) if the layout is AS_IS, or is the transpose of its rows [0, k) and columns [row, row + m). */
void weight_product(Precision precision, const Weight *w, Layout layout, int64_t row, int64_t m, int64_t n,
                    int64_t k, const float *b, int64_t ldb, bool add, float *c, int64_t ldc,
                    float *workspace);
int64_t weight_product_workspace(Precision precision, int64_t m, int64_t n, int64_t k);

#endif
