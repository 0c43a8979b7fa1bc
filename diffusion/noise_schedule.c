/* SPDX-License-Identifier: MIT */
#include "diffusion/noise_schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

float torch_linspace(float lo, float hi, int64_t n, int64_t i) {
    float step = n > 1 ? (hi - lo) / (float)(n - 1) : 0;
    return i < n / 2 ? fmaf(step, (float)i, lo) : fmaf(-step, (float)(n - 1 - i), hi);
}

/* abar(t) = cos^2(pi/2 (t + 0.008) / 1.008) of the schedule squaredcos_cap_v2, for t from 0 to 1. */
static double cosine_alpha(double t) {
    double root = cos((t + 0.008) / 1.008 * 3.14159265358979323846 / 2);
    return root * root;
}

/* beta_i = 1 - abar((i + 1) / n) / abar(i / n), but at most 0.999. */
static float cosine_beta(int64_t n, int64_t i) {
    double before = cosine_alpha((double)i / (double)n), after = cosine_alpha((double)(i + 1) / (double)n);
    return (float)fmin(1 - after / before, 0.999);
}

static float beta_at(const SchedulerConfig *c, int64_t i) {
    if (c->trained_betas) return (float)c->trained_betas[i];
    if (c->beta_schedule == BETAS_LINEAR)
        return torch_linspace((float)c->beta_start, (float)c->beta_end, c->train_timesteps, i);
    if (c->beta_schedule == BETAS_COSINE) return cosine_beta(c->train_timesteps, i);
    float root = torch_linspace((float)sqrt(c->beta_start), (float)sqrt(c->beta_end), c->train_timesteps, i);
    return root * root;
}

/* Replaces the betas by abar_t = prod_{s <= t} (1 - beta_s). Like torch's cumprod, this keeps the running
   product as a double and rounds each result to fp32. */
static void betas_to_alphas_cumprod(float *betas, int64_t n) {
    double product = 1;
    for (int64_t i = 0; i < n; i++) {
        product *= (double)(1.0f - betas[i]);
        betas[i] = (float)product;
    }
}

/* Replaces abar by betas whose schedule has zero SNR at its end (Lin et al. 2023, algorithm 1). With
   s_t = sqrt(abar_t) and T the last timestep,

       s'_t = (s_t - s_T) s_0 / (s_0 - s_T),   beta'_t = 1 - abar'_t / abar'_(t-1)

   keeps s_0 and makes s'_T equal to 0. Each operation is rounded to fp32 as in the reference, with one
   difference: torch takes the square roots from MKL, whose last bit is not always right. */
static void rescale_to_zero_snr(float *abar, int64_t n) {
    float first = sqrtf(abar[0]), last = sqrtf(abar[n - 1]), scale = first / (first - last);
    for (int64_t i = 0; i < n; i++) {
        float root = (sqrtf(abar[i]) - last) * scale;
        abar[i] = root * root;
    }
    for (int64_t i = n - 1; i > 0; i--) abar[i] = 1.0f - abar[i] / abar[i - 1];
    abar[0] = 1.0f - abar[0];
}

NoiseSchedule noise_schedule_new(const SchedulerConfig *config) {
    int64_t n = config->train_timesteps;
    NoiseSchedule schedule = { .config = *config };
    schedule.alphas_cumprod = mem_alloc((size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++) schedule.alphas_cumprod[i] = beta_at(config, i);
    betas_to_alphas_cumprod(schedule.alphas_cumprod, n);
    if (config->zero_snr) {
        rescale_to_zero_snr(schedule.alphas_cumprod, n);
        betas_to_alphas_cumprod(schedule.alphas_cumprod, n);
    }
    return schedule;
}

void noise_schedule_free(NoiseSchedule *schedule) { free(schedule->alphas_cumprod); }

bool noise_schedule_finite(const NoiseSchedule *schedule) {
    for (int64_t i = 0; i < schedule->config.train_timesteps; i++)
        if (!isfinite(schedule->alphas_cumprod[i])) return false;
    return true;
}

void noise_schedule_add_noise(const NoiseSchedule *schedule, const float *z, const float *noise, int64_t t,
                              int64_t count, float *out) {
    CHECK(t >= 0 && t < schedule->config.train_timesteps);
    float sqrt_alpha = sqrtf(schedule->alphas_cumprod[t]);
    float sqrt_one_minus_alpha = sqrtf(1.0f - schedule->alphas_cumprod[t]);
    for (int64_t i = 0; i < count; i++) out[i] = sqrt_alpha * z[i] + sqrt_one_minus_alpha * noise[i];
}

void noise_schedule_target(const NoiseSchedule *schedule, const float *z, const float *noise, int64_t t,
                           int64_t count, float *out) {
    CHECK(t >= 0 && t < schedule->config.train_timesteps && schedule->config.prediction != PREDICT_SAMPLE);
    float sqrt_alpha = sqrtf(schedule->alphas_cumprod[t]);
    float sqrt_one_minus_alpha = sqrtf(1.0f - schedule->alphas_cumprod[t]);
    if (schedule->config.prediction == PREDICT_EPSILON)
        memcpy(out, noise, (size_t)count * sizeof *out);
    else
        for (int64_t i = 0; i < count; i++) out[i] = sqrt_alpha * noise[i] - sqrt_one_minus_alpha * z[i];
}
