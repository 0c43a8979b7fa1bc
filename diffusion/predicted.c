/* SPDX-License-Identifier: MIT */
#include "diffusion/predicted.h"

#include <math.h>
#include <stdlib.h>

float alpha_cumprod_at(const NoiseSchedule *schedule, int64_t t) {
    if (t >= 0) return schedule->alphas_cumprod[t];
    return schedule->config.set_alpha_to_one ? 1.0f : schedule->alphas_cumprod[0];
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Returns the bound of dynamic thresholding: a quantile of |x0|, limited to the range from 1 to the config's
   maximum. As in torch.quantile, the rank is computed in fp32 and values between two ranks are interpolated
   linearly. */
static float dynamic_threshold(const SchedulerConfig *c, const float *x0, int64_t count) {
    float *sizes = mem_alloc((size_t)count * sizeof *sizes);
    for (int64_t i = 0; i < count; i++) sizes[i] = fabsf(x0[i]);
    qsort(sizes, (size_t)count, sizeof *sizes, by_value);
    float rank = (float)c->threshold_ratio * (float)(count - 1), part = rank - floorf(rank);
    float low = sizes[(int64_t)floorf(rank)], high = sizes[(int64_t)ceilf(rank)];
    float quantile = part < 0.5f ? low + part * (high - low) : high - (high - low) * (1.0f - part);
    free(sizes);
    return fminf(fmaxf(quantile, 1.0f), (float)c->threshold_max);
}

void predict_x0(const SchedulerConfig *c, Scales s, const float *x, const float *output, int64_t count,
                float *x0) {
    for (int64_t i = 0; i < count; i++) x0[i] = predicted_x0(c->prediction, s, x[i], output[i]);
    if (!c->thresholding && !c->clip_sample) return;
    /* A thresholded x0 is divided by its bound; a clipped one is not. */
    float bound = c->thresholding ? dynamic_threshold(c, x0, count) : (float)c->clip_sample_range;
    float unit = c->thresholding ? bound : 1;
    for (int64_t i = 0; i < count; i++) x0[i] = fminf(fmaxf(x0[i], -bound), bound) / unit;
}
