#include "diffusion/noise_schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* torch.linspace(lo, hi, n) in fp32: from both ends towards the middle, each value with one rounding. */
static float linspace(float lo, float hi, int64_t n, int64_t i) {
    float step = n > 1 ? (hi - lo) / (float)(n - 1) : 0;
    return i < n / 2 ? fmaf(step, (float)i, lo) : fmaf(-step, (float)(n - 1 - i), hi);
}

static float beta_at(const SchedulerConfig *c, int64_t i) {
    if (c->trained_betas) return (float)c->trained_betas[i];
    if (c->beta_schedule == BETAS_LINEAR)
        return linspace((float)c->beta_start, (float)c->beta_end, c->train_timesteps, i);
    float root = linspace((float)sqrt(c->beta_start), (float)sqrt(c->beta_end), c->train_timesteps, i);
    return root * root;
}

NoiseSchedule noise_schedule_new(const SchedulerConfig *config) {
    NoiseSchedule d = { .config = *config };
    d.alphas_cumprod = mem_alloc((size_t)config->train_timesteps * sizeof(float));
    double product = 1; /* torch's cumprod runs in double and rounds each result */
    for (int64_t i = 0; i < config->train_timesteps; i++) {
        product *= (double)(1.0f - beta_at(config, i));
        d.alphas_cumprod[i] = (float)product;
    }
    return d;
}

void noise_schedule_free(NoiseSchedule *d) { free(d->alphas_cumprod); }

void noise_schedule_add_noise(const NoiseSchedule *d, const float *z, const float *noise, int64_t t,
                              int64_t count, float *out) {
    CHECK(t >= 0 && t < d->config.train_timesteps);
    float signal = sqrtf(d->alphas_cumprod[t]), spread = sqrtf(1.0f - d->alphas_cumprod[t]);
    for (int64_t i = 0; i < count; i++) out[i] = signal * z[i] + spread * noise[i];
}

void noise_schedule_target(const NoiseSchedule *d, const float *z, const float *noise, int64_t t,
                           int64_t count, float *out) {
    CHECK(t >= 0 && t < d->config.train_timesteps);
    float signal = sqrtf(d->alphas_cumprod[t]), spread = sqrtf(1.0f - d->alphas_cumprod[t]);
    if (d->config.prediction == PREDICT_EPSILON)
        memcpy(out, noise, (size_t)count * sizeof *out);
    else
        for (int64_t i = 0; i < count; i++) out[i] = signal * noise[i] - spread * z[i];
}
