#include "diffusion/ddim.h"

#include <math.h>

char *ddim_fault(const NoiseSchedule *d, int64_t steps) {
    int64_t all = d->config.train_timesteps, offset = d->config.steps_offset;
    if (steps < 1 || steps > all)
        return mem_format("must be 1 to %lld, the model's own number of timesteps", (long long)all);
    if ((steps - 1) * (all / steps) + offset >= all)
        return mem_format("too many for this model's steps_offset %lld (use %lld)", (long long)offset,
                          (long long)(all / 2));
    return NULL;
}

void ddim_timesteps(const NoiseSchedule *d, int64_t steps, int64_t *timesteps) {
    int64_t stride = d->config.train_timesteps / steps;
    for (int64_t i = 0; i < steps; i++) timesteps[steps - 1 - i] = i * stride + d->config.steps_offset;
    CHECK(timesteps[0] < d->config.train_timesteps);
}

void ddim_step(const NoiseSchedule *d, int64_t steps, int64_t t, const float *output, float eta,
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
