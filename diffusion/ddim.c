/* SPDX-License-Identifier: MIT */
/* DDIM (Song et al. 2021, equations 12 and 16), the sampler of the paper's experiments, as diffusers'
   DDIMScheduler. Each step goes from timestep t to t' = t - T div N, where T is the number of training
   timesteps. With a = abar_t and a' = abar_t' (the paper's alpha_t and alpha_(t-1)):

       x0    = (x_t - sqrt(1 - a) eps) / sqrt(a)                      the predicted picture
       sigma = eta sqrt((1 - a') / (1 - a)) sqrt(1 - a / a')
       x_t'  = sqrt(a') x0 + sqrt(1 - a' - sigma^2) eps + sigma noise

   eps is the UNet's output, or is computed from it where the model predicts v or the picture. */
#include "diffusion/predicted.h"
#include "diffusion/sampler.h"
#include "diffusion/sigmas.h"

#include <math.h>

/* Returns the timestep that a step from t leads to. The reference takes the same distance in every spacing. A
   negative result means that the picture is finished. */
static int64_t previous_timestep(const SchedulerConfig *c, int64_t steps, int64_t t) {
    return t - c->train_timesteps / steps;
}

static int64_t timestep_at(const SchedulerConfig *c, int64_t steps, int64_t i) {
    return (int64_t)rint(spaced_timestep(c, c->train_timesteps, steps, i));
}

static char *fault(const SchedulerConfig *c, int64_t steps) { return spacing_fault(c, steps); }

static void plan(Trajectory *t) {
    t->evaluations = t->steps;
    t->timesteps = mem_alloc((size_t)t->steps * sizeof *t->timesteps);
    for (int64_t i = 0; i < t->steps; i++)
        t->timesteps[i] = (float)timestep_at(&t->schedule.config, t->steps, i);
}

static bool draws(const Trajectory *t, int64_t k) {
    (void)k;
    return t->eta > 0;
}

static void step(const Trajectory *t, int64_t k, const float *output, const float *noise, int64_t count,
                 float *x, float *x0) {
    int64_t now = (int64_t)t->timesteps[k], next = previous_timestep(&t->schedule.config, t->steps, now);
    float a = alpha_cumprod_at(&t->schedule, now), b = alpha_cumprod_at(&t->schedule, next);
    /* Where no noise is left (a = 1) the reference divides 0 by 0; the limit is 0. Rounding may make
       either root's argument negative. NaN is kept, so that sampler_fault finds it. */
    float variance = a == 1 ? 0 : (1.0f - b) / (1.0f - a) * (1.0f - a / b);
    float sigma = t->eta * sqrtf(variance < 0 ? 0 : variance), rest = 1.0f - b - sigma * sigma;
    float direction = sqrtf(rest < 0 ? 0 : rest), sqrt_b = sqrtf(b);
    Scales s = { sqrtf(a), sqrtf(1.0f - a) };
    predict_x0(&t->schedule.config, s, x, output, count, x0);
    for (int64_t i = 0; i < count; i++) {
        float eps =
            predicted_noise(t->schedule.config.prediction, s, x[i], output[i]); /* not of the clipped x0 */
        x[i] = sqrt_b * x0[i] + direction * eps;
        if (t->eta > 0) x[i] += sigma * noise[i];
    }
}

const Sampler DDIM = {
    .name = "ddim",
    .classes = (const char *const[]) { "DDIMScheduler", "DDIMParallelScheduler", NULL },
    .steps = 30,
    .reason = "more change little",
    .spacing = SPACING_LEADING,
    .set_alpha_to_one = true,
    .clip_sample = true,
    .has_eta = true,
    .history = 1,
    .fault = fault,
    .plan = plan,
    .draws = draws,
    .step = step,
};
