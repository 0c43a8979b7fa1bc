/* SPDX-License-Identifier: MIT */
/* Euler's method for the probability flow (Karras et al. 2022, algorithm 2 without churn), as diffusers'
   EulerDiscreteScheduler. The latents are x = z + sigma n, the picture plus noise, so that the UNet, which
   knows latents of variance 1, is given x / sqrt(sigma^2 + 1). With the predicted picture x0 a step from
   sigma to the next sigma' is

       x' = x + (sigma' - sigma) (x - x0) / sigma  */
#include "diffusion/euler.h"
#include "diffusion/sigmas.h"

#include <math.h>
#include <stdlib.h>

static char *fault(const SchedulerConfig *c, int64_t steps) {
    (void)steps;
    return sigmas_fault(c);
}

/* Replaces the sigmas of the visited timesteps by Karras' or by exponential ones between the same ends,
   and the timesteps by those of the new sigmas, which are not rounded. */
static void respace(Trajectory *t, const float *table, double *sigmas) {
    const SchedulerConfig *c = &t->schedule.config;
    float *logs = mem_alloc((size_t)c->train_timesteps * sizeof *logs);
    sigma_logs(table, c->train_timesteps, logs);
    double first = sigmas[0], last = sigmas[c->log_linear ? t->steps : t->steps - 1];
    sigma_ends(c, &first, &last);
    for (int64_t k = 0; k < t->steps; k++) {
        sigmas[k] = (c->karras_sigmas ? karras_sigma : exponential_sigma)(first, last, t->steps, k);
        t->timesteps[k] = (float)timestep_of_sigma(logs, c->train_timesteps, sigmas[k]);
    }
    free(logs);
}

/* The class has no thresholding. */
void euler_plan(Trajectory *t) {
    SchedulerConfig *c = &t->schedule.config;
    c->thresholding = false;
    int64_t n = t->evaluations = t->steps, total = c->train_timesteps;
    t->timesteps = mem_alloc((size_t)n * sizeof *t->timesteps);
    t->sigmas = mem_alloc((size_t)(n + 1) * sizeof *t->sigmas);
    float *table = mem_alloc((size_t)total * sizeof *table);
    double *sigmas = mem_alloc((size_t)(n + 1) * sizeof *sigmas);
    sigma_table(&t->schedule, table);
    for (int64_t k = 0; k < n; k++) {
        t->timesteps[k] = (float)spaced_timestep(c, total, n, k);
        sigmas[k] = sigma_at(table, total, (double)t->timesteps[k]);
    }
    sigmas[n] = (double)final_sigma(c, table);
    if (c->log_linear) log_linear_sigmas(table, total, n + 1, sigmas);
    if (c->karras_sigmas || c->exponential_sigmas) {
        respace(t, table, sigmas);
        sigmas[n] = (double)final_sigma(c, table);
    }
    for (int64_t k = 0; k <= n; k++) t->sigmas[k] = (float)sigmas[k];
    if (c->continuous && c->prediction == PREDICT_V)
        for (int64_t k = 0; k < n; k++) t->timesteps[k] = 0.25f * logf(t->sigmas[k]);
    float largest = 0;
    for (int64_t k = 0; k <= n; k++) largest = fmaxf(largest, t->sigmas[k]);
    t->noise_scale = c->spacing == SPACING_LEADING ? sqrtf(largest * largest + 1.0f) : largest;
    free(sigmas);
    free(table);
}

void euler_mix(const Trajectory *t, int64_t k, float *picture, float *noise) {
    *picture = 1;
    *noise = t->sigmas[k];
}

float euler_input_divisor(const Trajectory *t, int64_t k) {
    return sqrtf(t->sigmas[k] * t->sigmas[k] + 1.0f);
}

float euler_direction(const Trajectory *t, float sigma, float x, float output) {
    Prediction p = t->schedule.config.prediction;
    float variance = sigma * sigma + 1.0f, x0 = output;
    if (p == PREDICT_EPSILON) x0 = x - sigma * output;
    if (p == PREDICT_V) x0 = output * (-sigma / sqrtf(variance)) + x / variance;
    return (x - x0) / sigma;
}

static void step(const Trajectory *t, int64_t k, const float *output, const float *noise, int64_t count,
                 float *x, float *past) {
    (void)noise, (void)past;
    float sigma = t->sigmas[k], distance = t->sigmas[k + 1] - sigma;
    for (int64_t i = 0; i < count; i++) x[i] += euler_direction(t, sigma, x[i], output[i]) * distance;
}

const Sampler EULER = {
    .name = "euler",
    .classes = (const char *const[]) { "EulerDiscreteScheduler", NULL },
    .steps = 30,
    .reason = "more change little",
    .spacing = SPACING_LINSPACE,
    .has_karras = true,
    .fault = fault,
    .plan = euler_plan,
    .mix = euler_mix,
    .input_divisor = euler_input_divisor,
    .step = step,
};
