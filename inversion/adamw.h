/* SPDX-License-Identifier: MIT */
/* AdamW (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2) for one small
   array: the learned vectors. */
#ifndef TI_ADAMW_H
#define TI_ADAMW_H

#include "io/base.h"

typedef struct {
    double beta1, beta2, eps, weight_decay;
} AdamWOptions;

/* The defaults of torch.optim.AdamW, which the reference script keeps. */
static const AdamWOptions ADAMW_DEFAULTS = {
    .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-2
};

/* The optimiser's state. Together with the parameters and the number of updates it is everything that a later
   update depends on. */
typedef struct {
    int64_t count; /* elements of m and of v */
    float *m, *v;  /* the first and second moments: running means of the gradient and of its square */
} AdamW;

AdamW adamw_new(int64_t count); /* both moments start at 0 */
void adamw_free(AdamW *state);

/* Update k = 1, 2, ... of the parameters p with the gradient g and learning rate lr, where b1 and b2 are the
   betas and wd is the weight decay:

       p *= 1 - lr wd                                                     decoupled weight decay
       m += (1 - b1) (g - m)                                              first moment
       v  = b2 v + (1 - b2) g^2                                           second moment
       p -= lr / (1 - b1^k) m / (sqrt(v) / sqrt(1 - b2^k) + eps)          step, with the bias corrected

   Everything is computed in fp32 and rounded where AdamW of torch 2.13 rounds on a CPU, so that m and v have
   the same bits. p has the same bits as well, except where torch's square root, which comes from MKL, is not
   correctly rounded: there the step differs by one ulp.

   p and g have state->count elements, of which the update changes `count`, beginning with element `first`.
   The rest can have another k. */
void adamw_step(AdamW *state, const AdamWOptions *options, double lr, int64_t k, int64_t first, int64_t count,
                float *p, const float *g);

#endif
