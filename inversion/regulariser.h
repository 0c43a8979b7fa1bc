/* SPDX-License-Identifier: MIT */
/* The regulariser of the paper's section 5.1, which keeps the learned vectors near their initial words. */
#ifndef TI_REGULARISER_H
#define TI_REGULARISER_H

#include "io/base.h"

/* Adds the gradient of

       R = W / n sum_k |v_k - v0_k|^2,   dR / dv_k = 2 W / n (v_k - v0_k)

   times `scale` to grad. v, v0 and grad are [n, width]. A weight W of 0 adds nothing.

   The authors' code has W |sum_k (v_k - v0_k)|^2 / n^2 instead, the mean over all pairs of vectors. The two
   are equal for one vector, but for several theirs only holds their mean: two vectors may run off in
   opposite directions at no cost. */
void regulariser_add(double weight, double scale, int64_t n, int64_t width, const float *v, const float *v0,
                     float *grad);

#endif
