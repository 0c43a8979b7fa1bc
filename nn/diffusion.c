#include "nn/diffusion.h"

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

Diffusion diffusion_new(const SchedulerConfig *config) {
    Diffusion d = { .config = *config };
    d.alphas_cumprod = mem_alloc((size_t)config->train_timesteps * sizeof(float));
    double product = 1; /* torch's cumprod runs in double and rounds each result */
    for (int64_t i = 0; i < config->train_timesteps; i++) {
        product *= (double)(1.0f - beta_at(config, i));
        d.alphas_cumprod[i] = (float)product;
    }
    return d;
}

void diffusion_free(Diffusion *d) { free(d->alphas_cumprod); }

void diffusion_sample_posterior(const float *moments, const float *n, int64_t count, float scaling_factor,
                                float *out) {
    const float *mean = moments, *logvar = moments + count;
    for (int64_t i = 0; i < count; i++) {
        float std = expf(0.5f * fminf(fmaxf(logvar[i], -30.0f), 20.0f));
        out[i] = (mean[i] + std * n[i]) * scaling_factor;
    }
}

void diffusion_add_noise(const Diffusion *d, const float *z, const float *noise, int64_t t, int64_t count,
                         float *out) {
    CHECK(t >= 0 && t < d->config.train_timesteps);
    float signal = sqrtf(d->alphas_cumprod[t]), spread = sqrtf(1.0f - d->alphas_cumprod[t]);
    for (int64_t i = 0; i < count; i++) out[i] = signal * z[i] + spread * noise[i];
}

void diffusion_target(const Diffusion *d, const float *z, const float *noise, int64_t t, int64_t count,
                      float *out) {
    CHECK(t >= 0 && t < d->config.train_timesteps);
    float signal = sqrtf(d->alphas_cumprod[t]), spread = sqrtf(1.0f - d->alphas_cumprod[t]);
    if (d->config.prediction == PREDICT_EPSILON)
        memcpy(out, noise, (size_t)count * sizeof *out);
    else
        for (int64_t i = 0; i < count; i++) out[i] = signal * noise[i] - spread * z[i];
}

void diffusion_guide(const float *uncond, const float *cond, float scale, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) out[i] = uncond[i] + scale * (cond[i] - uncond[i]);
}

bool diffusion_timesteps(const Diffusion *d, int64_t steps, int64_t *timesteps, Messages *errors) {
    int64_t all = d->config.train_timesteps;
    if (steps < 1 || steps > all)
        return messages_add(errors, "--steps %lld: must be 1 to %lld, the model's own number of timesteps",
                            (long long)steps, (long long)all);
    int64_t stride = all / steps;
    for (int64_t i = 0; i < steps; i++) {
        timesteps[steps - 1 - i] = i * stride + d->config.steps_offset;
        if (timesteps[steps - 1 - i] >= all)
            return messages_add(errors,
                                "--steps %lld: too many for this model's steps_offset %lld (use %lld)",
                                (long long)steps, (long long)d->config.steps_offset, (long long)(all / 2));
    }
    return true;
}

void diffusion_ddim_step(const Diffusion *d, int64_t steps, int64_t t, const float *output, float eta,
                         const float *noise, int64_t count, float *x) {
    int64_t previous = t - d->config.train_timesteps / steps;
    float a = d->alphas_cumprod[t];
    float b = previous >= 0                ? d->alphas_cumprod[previous]
              : d->config.set_alpha_to_one ? 1.0f
                                           : d->alphas_cumprod[0];
    float signal = sqrtf(a), spread = sqrtf(1.0f - a);
    float variance = (1.0f - b) / (1.0f - a) * (1.0f - a / b);
    float sigma = eta * sqrtf(fmaxf(variance, 0.0f));
    float direction = sqrtf(fmaxf(1.0f - b - sigma * sigma, 0.0f)), to_signal = sqrtf(b);
    float bound = d->config.clip_sample ? (float)d->config.clip_sample_range : INFINITY;
    for (int64_t i = 0; i < count; i++) {
        bool v = d->config.prediction == PREDICT_V;
        float x0 = v ? signal * x[i] - spread * output[i] : (x[i] - spread * output[i]) / signal;
        float eps = v ? signal * output[i] + spread * x[i] : output[i];
        x0 = fminf(fmaxf(x0, -bound), bound);
        x[i] = to_signal * x0 + direction * eps;
        if (eta > 0) x[i] += sigma * noise[i];
    }
}
