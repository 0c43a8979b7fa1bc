/* SPDX-License-Identifier: MIT */
#include "inversion/adamw.h"

#include <math.h>
#include <stdlib.h>

AdamW adamw_new(int64_t count) {
    CHECK(count > 0);
    size_t bytes = (size_t)count * sizeof(float);
    return (AdamW) { .count = count, .m = mem_alloc(bytes), .v = mem_alloc(bytes) };
}

void adamw_free(AdamW *state) {
    free(state->m);
    free(state->v);
    *state = (AdamW) { 0 };
}

/* The equations are in adamw.h. Like torch, this computes the coefficients in double and uses them as floats.
   The multiply-adds are fused where torch fuses them: in lerp (m) and addcmul (v), but not in addcdiv (p). */
void adamw_step(AdamW *state, const AdamWOptions *o, double lr, int64_t k, int64_t first, int64_t count,
                float *p, const float *g) {
    CHECK(k >= 1 && first >= 0 && first + count <= state->count);
    const float decay = (float)(1 - lr * o->weight_decay);
    const float weight1 = (float)(1 - o->beta1), beta2 = (float)o->beta2, weight2 = (float)(1 - o->beta2);
    const float step_size = (float)(-(lr / (1 - pow(o->beta1, (double)k))));
    const float correction = (float)sqrt(1 - pow(o->beta2, (double)k)), eps = (float)o->eps;
    for (int64_t i = first; i < first + count; i++) {
        float *m = state->m + i, *v = state->v + i;
        p[i] *= decay;
        *m = fmaf(weight1, g[i] - *m, *m);
        *v = fmaf(weight2 * g[i], g[i], *v * beta2);
        p[i] += step_size * *m / (sqrtf(*v) / correction + eps);
    }
}
