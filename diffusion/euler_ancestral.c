/* SPDX-License-Identifier: MIT */
/* Euler's method with ancestral noise (k-diffusion's sample_euler_ancestral), as diffusers'
   EulerAncestralDiscreteScheduler. It differs from euler.c in that a step goes below the next sigma' and
   comes back by new noise n, so that the picture does not settle as N grows:

       up   = sqrt(sigma'^2 (sigma^2 - sigma'^2) / sigma^2),   down = sqrt(sigma'^2 - up^2)
       x'   = x + (down - sigma) (x - x0) / sigma + up n

   The noise is drawn at the last step too, where up is 0. */
#include "diffusion/euler.h"

#include <math.h>

static char *fault(const SchedulerConfig *c, int64_t steps) {
    (void)steps;
    if (c->prediction != PREDICT_SAMPLE) return NULL;
    return mem_string("the sampler euler-a cannot draw with a UNet that predicts the picture");
}

/* The class has none of the fields that place the sigmas. */
static void plan(Trajectory *t) {
    SchedulerConfig *c = &t->schedule.config;
    c->karras_sigmas = c->exponential_sigmas = c->log_linear = c->continuous = false;
    c->final_sigma = FINAL_SIGMA_ZERO;
    euler_plan(t);
}

static bool draws(const Trajectory *t, int64_t k) {
    (void)t, (void)k;
    return true;
}

static void step(const Trajectory *t, int64_t k, const float *output, const float *noise, int64_t count,
                 float *x, float *past) {
    (void)past;
    float sigma = t->sigmas[k], next = t->sigmas[k + 1];
    float up = sqrtf(next * next * (sigma * sigma - next * next) / (sigma * sigma));
    float down = sqrtf(next * next - up * up);
    for (int64_t i = 0; i < count; i++) {
        x[i] += euler_direction(t, sigma, x[i], output[i]) * (down - sigma);
        x[i] += noise[i] * up;
    }
}

const Sampler EULER_ANCESTRAL = {
    .name = "euler-a",
    .classes = (const char *const[]) { "EulerAncestralDiscreteScheduler", NULL },
    .steps = 30,
    .reason = "as for euler",
    .spacing = SPACING_LINSPACE,
    .fault = fault,
    .plan = plan,
    .mix = euler_mix,
    .input_divisor = euler_input_divisor,
    .draws = draws,
    .step = step,
};
