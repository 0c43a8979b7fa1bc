/* SPDX-License-Identifier: MIT */
/* DDIM's inversion (Song et al. 2021, section 4.3), as diffusers' DDIMInverseScheduler: from the latents of a
   picture to the noise from which DDIM with eta = 0 and as many steps draws nearly the same picture. The
   timesteps ascend, and a step from t' = t - T div N to t is, with a' = abar_t' and a = abar_t:

       x0  = (x_t' - sqrt(1 - a') eps) / sqrt(a')
       x_t = sqrt(a) x0 + sqrt(1 - a) eps

   The UNet is asked at t, though x is at t': that is the error of the inversion, which more steps reduce.
   It is exact where eps changes little from step to step, as it does without guidance. */
#include "diffusion/predicted.h"
#include "diffusion/sampler.h"
#include "diffusion/sigmas.h"

#include <math.h>

static char *fault(const SchedulerConfig *c, int64_t steps) {
    if (c->spacing == SPACING_LINSPACE)
        return mem_string("the model's timestep_spacing linspace is not supported");
    return spacing_fault(c, steps);
}

/* The class has no thresholding. */
static void plan(Trajectory *t) {
    SchedulerConfig *c = &t->schedule.config;
    c->thresholding = false;
    t->evaluations = t->steps;
    t->timesteps = mem_alloc((size_t)t->steps * sizeof *t->timesteps);
    for (int64_t i = 0; i < t->steps; i++)
        t->timesteps[i] = (float)rint(spaced_timestep(c, c->train_timesteps, t->steps, t->steps - 1 - i));
}

static void step(const Trajectory *t, int64_t k, const float *output, const float *noise, int64_t count,
                 float *x, float *x0) {
    (void)noise;
    const SchedulerConfig *c = &t->schedule.config;
    int64_t to = (int64_t)t->timesteps[k], from = to - c->train_timesteps / t->steps;
    float a = alpha_cumprod_at(&t->schedule, from), b = alpha_cumprod_at(&t->schedule, to);
    Scales s = { sqrtf(a), sqrtf(1.0f - a) };
    predict_x0(c, s, x, output, count, x0);
    for (int64_t i = 0; i < count; i++)
        x[i] = sqrtf(b) * x0[i] + sqrtf(1.0f - b) * predicted_noise(c->prediction, s, x[i], output[i]);
}

const Sampler DDIM_INVERSE = {
    .name = "ddim-inverse",
    .classes = (const char *const[]) { "DDIMInverseScheduler", NULL },
    .spacing = SPACING_LEADING,
    .set_alpha_to_one = true,
    .clip_sample = true,
    .history = 1,
    .fault = fault,
    .plan = plan,
    .step = step,
};
