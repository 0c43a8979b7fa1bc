#include "diffusion/noise_schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* torch.linspace(lo, hi, n) in fp32: from both ends towards the middle, each value with one rounding. */
static float linspace(float lo, float hi, int64_t n, int64_t i) {
    float step = n > 1 ? (hi - lo) / (float)(n - 1) : 0;
    return i < n / 2 ? fmaf(step, (float)i, lo) : fmaf(-step, (float)(n - 1 - i), hi);
}

/* squaredcos_cap_v2: abar(t) = cos^2(pi/2 (t + 0.008) / 1.008) for t from 0 to 1, and no beta above 0.999 */
static double cosine_alpha(double t) {
    double root = cos((t + 0.008) / 1.008 * 3.14159265358979323846 / 2);
    return root * root;
}

static float cosine_beta(int64_t n, int64_t i) {
    double before = cosine_alpha((double)i / (double)n), after = cosine_alpha((double)(i + 1) / (double)n);
    return (float)fmin(1 - after / before, 0.999);
}

static float beta_at(const SchedulerConfig *c, int64_t i) {
    if (c->trained_betas) return (float)c->trained_betas[i];
    if (c->beta_schedule == BETAS_LINEAR)
        return linspace((float)c->beta_start, (float)c->beta_end, c->train_timesteps, i);
    if (c->beta_schedule == BETAS_COSINE) return cosine_beta(c->train_timesteps, i);
    float root = linspace((float)sqrt(c->beta_start), (float)sqrt(c->beta_end), c->train_timesteps, i);
    return root * root;
}

/* betas -> abar, in their place. torch's cumprod runs in double and rounds each result. */
static void cumulate(float *betas, int64_t n) {
    double product = 1;
    for (int64_t i = 0; i < n; i++) {
        product *= (double)(1.0f - betas[i]);
        betas[i] = (float)product;
    }
}

/* s'_t = (s_t - s_T) s_0 / (s_0 - s_T) with s = sqrt(abar),   beta'_t = 1 - abar'_t / abar'_(t-1)

   begins as before and ends in 0 (Lin et al. 2023, algorithm 1). abar -> betas', in their place, each
   operation rounded to fp32 as there (but torch's roots are MKL's, and not always the nearest). */
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
    NoiseSchedule d = { .config = *config };
    d.alphas_cumprod = mem_alloc((size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++) d.alphas_cumprod[i] = beta_at(config, i);
    cumulate(d.alphas_cumprod, n);
    if (config->zero_snr) {
        rescale_to_zero_snr(d.alphas_cumprod, n);
        cumulate(d.alphas_cumprod, n);
    }
    return d;
}

void noise_schedule_free(NoiseSchedule *d) { free(d->alphas_cumprod); }

bool noise_schedule_finite(const NoiseSchedule *d) {
    for (int64_t i = 0; i < d->config.train_timesteps; i++)
        if (!isfinite(d->alphas_cumprod[i])) return false;
    return true;
}

void noise_schedule_add_noise(const NoiseSchedule *d, const float *z, const float *noise, int64_t t,
                              int64_t count, float *out) {
    CHECK(t >= 0 && t < d->config.train_timesteps);
    float signal = sqrtf(d->alphas_cumprod[t]), spread = sqrtf(1.0f - d->alphas_cumprod[t]);
    for (int64_t i = 0; i < count; i++) out[i] = signal * z[i] + spread * noise[i];
}

void noise_schedule_target(const NoiseSchedule *d, const float *z, const float *noise, int64_t t,
                           int64_t count, float *out) {
    CHECK(t >= 0 && t < d->config.train_timesteps && d->config.prediction != PREDICT_SAMPLE);
    float signal = sqrtf(d->alphas_cumprod[t]), spread = sqrtf(1.0f - d->alphas_cumprod[t]);
    if (d->config.prediction == PREDICT_EPSILON)
        memcpy(out, noise, (size_t)count * sizeof *out);
    else
        for (int64_t i = 0; i < count; i++) out[i] = signal * noise[i] - spread * z[i];
}
