/* SPDX-License-Identifier: MIT */
/* Sampling from a latent consistency model (Luo et al. 2023, algorithm 3), as diffusers' LCMScheduler. Such a
   model predicts the finished picture at once, and a step adds noise to this prediction again for the next
   timestep t'. With x0 predicted from the UNet's output as in DDIM, and s = 10 t (timestep_scaling),

       f  = s / sqrt(s^2 + 1/4) x0 + (1/4) / (s^2 + 1/4) x          the consistency function
       x' = sqrt(abar_t') f + sqrt(1 - abar_t') n,   and x' = f in the last step, which draws no n

   The timesteps are N of the `original_inference_steps` with which the model was distilled: k, 2k, 3k ...
   less 1.

   Guidance enters through the UNet's embedding of its scale, where it has one (time_cond_proj_dim), so
   that a step takes one evaluation of the UNet. */
#include "diffusion/predicted.h"
#include "diffusion/sampler.h"

#include <math.h>

static char *fault(const SchedulerConfig *c, int64_t steps) {
    if (c->original_steps > c->train_timesteps)
        return mem_format("the model's original_inference_steps %lld exceed its %lld timesteps",
                          (long long)c->original_steps, (long long)c->train_timesteps);
    if (steps <= c->original_steps) return NULL;
    return mem_format("the steps must be 1 to %lld, the original_inference_steps of latent consistency",
                      (long long)c->original_steps);
}

static void plan(Trajectory *t) {
    const SchedulerConfig *c = &t->schedule.config;
    int64_t original = c->original_steps, stride = c->train_timesteps / original;
    double skip = (double)original / (double)t->steps;
    t->evaluations = t->steps;
    t->timesteps = mem_alloc((size_t)t->steps * sizeof *t->timesteps);
    for (int64_t k = 0; k < t->steps; k++)
        t->timesteps[k] = (float)((original - (int64_t)floor((double)k * skip)) * stride - 1);
}

static bool draws(const Trajectory *t, int64_t k) { return k < t->evaluations - 1; }

static void step(const Trajectory *t, int64_t k, const float *output, const float *noise, int64_t count,
                 float *x, float *x0) {
    const SchedulerConfig *c = &t->schedule.config;
    float a = alpha_cumprod_at(&t->schedule, (int64_t)t->timesteps[k]);
    float scaled = t->timesteps[k] * (float)c->timestep_scaling, sum = scaled * scaled + 0.25f;
    float skip = 0.25f / sum, out = scaled / sqrtf(sum);
    predict_x0(c, (Scales) { sqrtf(a), sqrtf(1.0f - a) }, x, output, count, x0);
    for (int64_t i = 0; i < count; i++) x[i] = out * x0[i] + skip * x[i];
    if (!draws(t, k)) return;
    float b = alpha_cumprod_at(&t->schedule, (int64_t)t->timesteps[k + 1]);
    for (int64_t i = 0; i < count; i++) x[i] = sqrtf(b) * x[i] + sqrtf(1.0f - b) * noise[i];
}

const Sampler LCM = {
    .name = "lcm",
    .classes = (const char *const[]) { "LCMScheduler", NULL },
    .steps = 4,
    .reason = "latent consistency models are made for so few",
    .spacing = SPACING_LEADING,
    .set_alpha_to_one = true,
    .beta_start = 0.00085,
    .beta_end = 0.012,
    .beta_schedule = BETAS_SCALED_LINEAR,
    .distilled = true,
    .history = 1,
    .fault = fault,
    .plan = plan,
    .draws = draws,
    .step = step,
};
