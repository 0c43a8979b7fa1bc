/* AdamW (Loshchilov and Hutter 2019) on one small array: the learned rows. */
#ifndef TI_ADAMW_H
#define TI_ADAMW_H

#include "io/base.h"

typedef struct {
    double beta1, beta2, eps, weight_decay;
} AdamWOptions;

/* torch's defaults, which the reference script keeps. */
static const AdamWOptions ADAMW_DEFAULTS = {
    .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-2
};

/* What has to be saved to go on as if nothing had happened. */
typedef struct {
    int64_t step;  /* updates done */
    int64_t count; /* elements of the three arrays */
    float *m, *v;  /* running means of the gradient and of its square */
} AdamW;

AdamW adamw_new(int64_t count); /* zeros, step 0 */
void adamw_free(AdamW *state);

/* One update of p [count] with the gradient g [count]:

       p *= 1 - lr wd
       m += (1 - b1) (g - m)
       v  = b2 v + (1 - b2) g^2
       p -= lr / (1 - b1^k) m / (sqrt(v) / sqrt(1 - b2^k) + eps)          k = 1, 2, ...

   in fp32, rounded where torch 2.13's AdamW on a CPU rounds: m and v are its bits. p is where torch's square
   root is correctly rounded, which MKL's is not always: then it is an ulp of the step away. */
void adamw_step(AdamW *state, const AdamWOptions *options, double lr, float *p, const float *g);

#endif
