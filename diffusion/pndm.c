/* SPDX-License-Identifier: MIT */
/* PNDM (Liu et al. 2022), the sampler that Stable Diffusion 1.x is published with, as diffusers'
   PNDMScheduler. It steps from timestep t to t' = t - T div N as DDIM does with eta = 0 (its equation 11),
   with a = abar_t and a' = abar_t':

       x' = sqrt(a' / a) x - (a' - a) e / (a sqrt(1 - a') + sqrt(a (1 - a) a')),

   where e mixes the noise predicted now, e1, with that of earlier steps, e2, e3, e4 (Adams-Bashforth,
   equation 12):

       e = (55 e1 - 59 e2 + 37 e3 - 9 e4) / 24,   or (23 e1 - 16 e2 + 5 e3) / 12,   or (3 e1 - e2) / 2

   as long as there are fewer. There are two ways to begin. With skip_prk_steps, as in Stable Diffusion, the
   first step is done twice: with e1, and then from the same x with the mean of e1 and the prediction at its
   end, which is not kept. So N steps take N + 1 evaluations. Otherwise each of the first three steps is one
   of Runge and Kutta's fourth order with four evaluations (equation 13), so that N steps take N + 9.

   Where the model predicts v, it is the mixed v that is converted to e. */
#include "diffusion/predicted.h"
#include "diffusion/sampler.h"
#include "diffusion/sigmas.h"

#include <math.h>
#include <string.h>

/* The arrays in `past`: the outputs of up to four steps, the latest first, the latents at the beginning of a
   step, and the sum of a Runge-Kutta step so far. */
enum { OUTPUTS = 4, BEGINNING = 4, SUM = 5, ROWS = 6 };
enum { RUNGE_KUTTA_STEPS = 3, RUNGE_KUTTA_EVALUATIONS = 12 };

static char *fault(const SchedulerConfig *c, int64_t steps) {
    if (c->prediction == PREDICT_SAMPLE)
        return mem_string("the sampler pndm cannot draw with a UNet that predicts the picture");
    if (!c->skip_prk_steps && steps <= RUNGE_KUTTA_STEPS)
        return mem_string(
            "the sampler pndm needs at least 4 for this model, whose scheduler does not skip_prk_steps");
    return spacing_fault(c, steps);
}

/* Returns timestep i of N, in descending order. */
static int64_t visited(const Trajectory *t, int64_t i) {
    return (int64_t)rint(
        spaced_timestep(&t->schedule.config, t->schedule.config.train_timesteps, t->steps, i));
}

static int64_t stride(const Trajectory *t) { return t->schedule.config.train_timesteps / t->steps; }

/* Returns the timestep of evaluation k of the Runge-Kutta steps: each begins at a visited timestep, is
   evaluated twice in the middle, half a stride above the next one, and then at the next one. */
static int64_t runge_kutta_timestep(const Trajectory *t, int64_t k) {
    int64_t half = (k + 1) / 2, next = visited(t, (half + 1) / 2);
    return half % 2 ? next + stride(t) / 2 : next;
}

/* The class has no thresholding. */
static void plan(Trajectory *t) {
    t->schedule.config.thresholding = false;
    bool skip = t->schedule.config.skip_prk_steps;
    t->evaluations =
        skip ? t->steps + (t->steps > 1) : t->steps + RUNGE_KUTTA_EVALUATIONS - RUNGE_KUTTA_STEPS;
    t->timesteps = mem_alloc((size_t)t->evaluations * sizeof *t->timesteps);
    for (int64_t k = 0; k < t->evaluations; k++) {
        int64_t at = k < 2 ? visited(t, k) : visited(t, k - 1);
        if (!skip && k < RUNGE_KUTTA_EVALUATIONS)
            at = runge_kutta_timestep(t, k);
        else if (!skip)
            at = visited(t, k - RUNGE_KUTTA_EVALUATIONS + RUNGE_KUTTA_STEPS);
        t->timesteps[k] = (float)at;
    }
}

/* Replaces x by the sample at timestep `to`, given x at timestep `from` and the output of the UNet. */
static void move(const Trajectory *t, int64_t from, int64_t to, const float *output, int64_t count,
                 float *x) {
    float a = alpha_cumprod_at(&t->schedule, from), b = alpha_cumprod_at(&t->schedule, to);
    Scales s = { sqrtf(a), sqrtf(1.0f - a) };
    float keep = sqrtf(b / a), divisor = a * sqrtf(1.0f - b) + sqrtf(a * (1.0f - a) * b);
    for (int64_t i = 0; i < count; i++) {
        float e = predicted_noise(t->schedule.config.prediction, s, x[i], output[i]);
        x[i] = keep * x[i] - (b - a) * e / divisor;
    }
}

static void keep_output(const float *output, int64_t count, float *past) {
    memmove(past + count, past, (size_t)((OUTPUTS - 1) * count) * sizeof *past);
    memcpy(past, output, (size_t)count * sizeof *past);
}

/* Mixes the outputs of the last `known` steps. */
static void mix_outputs(const float *past, int64_t known, int64_t count, float *mixed) {
    for (int64_t i = 0; i < count; i++) {
        float e1 = past[i], e2 = past[count + i], e3 = past[2 * count + i], e4 = past[3 * count + i];
        if (known == 1)
            mixed[i] = e1;
        else if (known == 2)
            mixed[i] = (3 * e1 - e2) / 2;
        else if (known == 3)
            mixed[i] = (23 * e1 - 16 * e2 + 5 * e3) / 12;
        else
            mixed[i] = (float)(1.0 / 24) * (55 * e1 - 59 * e2 + 37 * e3 - 9 * e4);
    }
}

/* Evaluation k % 4 of a Runge-Kutta step, whose outputs have the weights 1/6, 1/3, 1/3, 1/6. It is the
   k-th that is done, at timestep `at`. */
static void runge_kutta(const Trajectory *t, int64_t k, int64_t at, const float *output, int64_t count,
                        float *x, float *past) {
    int64_t part = k % 4;
    float *beginning = past + BEGINNING * count, *sum = past + SUM * count;
    float weight = (float)(part == 0 || part == 3 ? 1.0 / 6 : 1.0 / 3);
    if (part == 0) {
        keep_output(output, count, past);
        memcpy(beginning, x, (size_t)count * sizeof *x);
        memset(sum, 0, (size_t)count * sizeof *sum);
    }
    for (int64_t i = 0; i < count; i++) sum[i] += weight * output[i];
    memcpy(x, beginning, (size_t)count * sizeof *x);
    move(t, (int64_t)t->timesteps[k - part], part % 2 ? at : at - stride(t) / 2, part == 3 ? sum : output,
         count, x);
}

/* A trap: where the first evaluations are left out, the reference counts from the first that is done, but
   takes the timesteps at which Runge-Kutta steps begin from the whole list. So the evaluation that repeats
   a step, or the middle of a Runge-Kutta step, is no longer where it was meant to be. */
static void step(const Trajectory *t, int64_t evaluation, const float *output, const float *noise,
                 int64_t count, float *x, float *past) {
    (void)noise;
    bool skip = t->schedule.config.skip_prk_steps;
    int64_t at = (int64_t)t->timesteps[evaluation], k = evaluation - t->begin;
    float *beginning = past + BEGINNING * count, *mixed = past + SUM * count;
    if (!skip && k < RUNGE_KUTTA_EVALUATIONS) {
        runge_kutta(t, k, at, output, count, x, past);
    } else if (skip && k == 1) {
        for (int64_t i = 0; i < count; i++) mixed[i] = (output[i] + past[i]) / 2;
        memcpy(x, beginning, (size_t)count * sizeof *x);
        move(t, at + stride(t), at, mixed, count, x);
    } else {
        if (k == 0) memcpy(beginning, x, (size_t)count * sizeof *x);
        keep_output(output, count, past);
        mix_outputs(past, skip ? (k == 0 ? 1 : k) : OUTPUTS, count, mixed);
        move(t, at, at - stride(t), mixed, count, x);
    }
}

const Sampler PNDM = {
    .name = "pndm",
    .classes = (const char *const[]) { "PNDMScheduler", NULL },
    .steps = 50,
    .reason = "as in StableDiffusionPipeline",
    .spacing = SPACING_LEADING,
    .ignores_zero_snr = true,
    .history = ROWS,
    .fault = fault,
    .plan = plan,
    .step = step,
};
