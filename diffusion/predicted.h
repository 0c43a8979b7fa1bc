/* SPDX-License-Identifier: MIT */
/* The picture and the noise that a UNet's output stands for, whether it predicts the noise eps, v or the
   picture x0 itself. A noisy picture is x = alpha x0 + sigma eps with alpha^2 + sigma^2 = 1. */
#ifndef TI_PREDICTED_H
#define TI_PREDICTED_H

#include "diffusion/noise_schedule.h"

typedef struct {
    float alpha, sigma; /* sqrt(abar_t), sqrt(1 - abar_t) */
} Scales;

/* Returns x0, which is (x - sigma eps) / alpha where the output is eps, alpha x - sigma v where it is v, and
   otherwise the output itself. */
static inline float predicted_x0(Prediction p, Scales s, float x, float output) {
    if (p == PREDICT_SAMPLE) return output;
    return p == PREDICT_V ? s.alpha * x - s.sigma * output : (x - s.sigma * output) / s.alpha;
}

/* Returns eps, which is the output itself, alpha v + sigma x where the output is v, or (x - alpha x0) / sigma
   where it is x0. */
static inline float predicted_noise(Prediction p, Scales s, float x, float output) {
    if (p == PREDICT_SAMPLE) return (x - s.alpha * output) / s.sigma;
    return p == PREDICT_V ? s.alpha * output + s.sigma * x : output;
}

/* Fills x0 [count], and clips it to the config's range or thresholds it dynamically (Saharia et al. 2022),
   where the config says so. */
void predict_x0(const SchedulerConfig *c, Scales s, const float *x, const float *output, int64_t count,
                float *x0);

/* Returns abar_t. The trap: after the last step (t < 0) it is 1 or abar_0, as the config's set_alpha_to_one
   says. */
float alpha_cumprod_at(const NoiseSchedule *schedule, int64_t t);

#endif
