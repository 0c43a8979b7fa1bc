/* SPDX-License-Identifier: MIT */
#include "tensor/product.h"

#include "tensor/gemm_bf16.h"

int64_t product_workspace(Precision precision, int64_t m, int64_t n, int64_t k) {
    return precision == PRECISION_BF16 ? gemm_bf16_workspace(m, n, k) : 0;
}

void product(Precision precision, Layout layout_a, Layout layout_b, int64_t m, int64_t n, int64_t k,
             float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, bool add, float *c,
             int64_t ldc, float *workspace) {
    if (precision == PRECISION_BF16)
        gemm_bf16(bf16_kernel(), m, n, k, alpha, (Factor) { F32, layout_a, a, lda },
                  (Factor) { F32, layout_b, b, ldb }, add, c, ldc, workspace);
    else
        gemm(layout_a, layout_b, m, n, k, alpha, a, lda, b, ldb, add, c, ldc);
}

/* In fp32 a panel of the weight is converted at a time, which then stays in cache. */
int64_t weight_product_workspace(Precision precision, int64_t m, int64_t n, int64_t k) {
    return precision == PRECISION_BF16 ? gemm_bf16_workspace(m, n, k) : m * GEMM_INNER;
}

void weight_product(Precision precision, const Weight *w, Layout layout, int64_t row, int64_t m, int64_t n,
                    int64_t k, const float *b, int64_t ldb, bool add, float *c, int64_t ldc,
                    float *workspace) {
    if (precision == PRECISION_BF16) {
        Factor a = layout == AS_IS ? weight_factor(w, AS_IS, row, 0) : weight_factor(w, TRANSPOSED, 0, row);
        gemm_bf16(bf16_kernel(), m, n, k, 1, a, (Factor) { F32, AS_IS, b, ldb }, add, c, ldc, workspace);
        return;
    }
    for (int64_t i = 0; i < k; i += GEMM_INNER) {
        int64_t depth = min_i64(GEMM_INNER, k - i);
        Panel p = layout == AS_IS ? weight_panel(w, row, m, i, depth, workspace)
                                  : weight_panel(w, i, depth, row, m, workspace);
        gemm(layout, AS_IS, m, n, depth, 1, p.data, p.stride, b + i * ldb, ldb, add || i > 0, c, ldc);
    }
}
