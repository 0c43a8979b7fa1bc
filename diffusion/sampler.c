/* SPDX-License-Identifier: MIT */
#include "diffusion/sampler.h"

#include "diffusion/predicted.h"
#include "diffusion/sigmas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const Sampler *const SAMPLERS[] = { &DDIM,       &PNDM,           &EULER, &EULER_ANCESTRAL,
                                    &DPM_SOLVER, &DPM_SOLVER_SDE, &LCM,   NULL };
const char *const SAMPLER_NAMES[] = { "auto",    "ddim",        "pndm", "euler", "euler-a",
                                      "dpm++2m", "dpm++2m-sde", "lcm",  NULL };

static bool stands_for(const Sampler *s, const SchedulerConfig *c) {
    for (int i = 0; s->classes[i]; i++)
        if (strcmp(s->classes[i], c->class_name) == 0) return !s->stands_for || s->stands_for(c);
    return false;
}

const Sampler *sampler_of_config(const SchedulerConfig *c, bool *converted) {
    *converted = false;
    for (int i = 0; SAMPLERS[i] && c->class_name; i++)
        if (stands_for(SAMPLERS[i], c)) return SAMPLERS[i];
    *converted = true;
    return c->class_name ? &DPM_SOLVER : &DDIM;
}

const Sampler *sampler_with_align_your_steps(void) { return &DPM_SOLVER; }

/* Returns the config as the sampler's class reads it. */
static SchedulerConfig sampler_config(const Sampler *s, const SchedulerConfig *file,
                                      const SamplerOptions *o) {
    SchedulerConfig c = *file;
    if (c.absent.spacing) c.spacing = s->spacing;
    if (c.absent.set_alpha_to_one) c.set_alpha_to_one = s->set_alpha_to_one;
    if (c.absent.clip_sample) c.clip_sample = s->clip_sample;
    if (!o->converted) {
        c.steps_offset = 1;
        c.clip_sample = false;
    }
    if (s->beta_end > 0 && c.absent.beta_start) c.beta_start = s->beta_start;
    if (s->beta_end > 0 && c.absent.beta_end) c.beta_end = s->beta_end;
    if (s->beta_end > 0 && c.absent.beta_schedule) c.beta_schedule = s->beta_schedule;
    if (s->ignores_zero_snr) c.zero_snr = false;
    if (o->karras != KARRAS_AS_CONFIG || o->steps == STEPS_ALIGN_YOUR_STEPS) {
        c.karras_sigmas = o->karras == KARRAS_ON;
        if (o->karras != KARRAS_OFF) c.exponential_sigmas = c.lu_lambdas = c.beta_sigmas = false;
    }
    return c;
}

Trajectory trajectory_new(const SchedulerConfig *config, SamplerOptions o) {
    SchedulerConfig c = sampler_config(o.sampler, config, &o);
    Trajectory t = {
        .sampler = o.sampler, .schedule = noise_schedule_new(&c), .steps = o.steps, .noise_scale = 1
    };
    t.eta = o.eta;
    t.align_your_steps = o.steps == STEPS_ALIGN_YOUR_STEPS;
    o.sampler->plan(&t);
    if (o.strength > 0) t.begin = t.steps - min_i64((int64_t)((double)t.steps * o.strength), t.steps);
    return t;
}

void trajectory_free(Trajectory *t) {
    noise_schedule_free(&t->schedule);
    free(t->timesteps);
    free(t->sigmas);
}

float trajectory_input_divisor(const Trajectory *t, int64_t k) {
    return t->sampler->input_divisor ? t->sampler->input_divisor(t, k) : 1;
}

/* Returns the factors of picture and noise in the latents before step k. */
static Scales scales_at(const Trajectory *t, int64_t k) {
    CHECK(k >= 0 && k < t->evaluations);
    Scales s;
    if (t->sampler->mix) {
        t->sampler->mix(t, k, &s.alpha, &s.sigma);
    } else {
        float abar = alpha_cumprod_at(&t->schedule, (int64_t)t->timesteps[k]);
        s = (Scales) { sqrtf(abar), sqrtf(1.0f - abar) };
    }
    return s;
}

void trajectory_add_noise(const Trajectory *t, int64_t k, const float *z, const float *noise, int64_t count,
                          float *out) {
    Scales s = scales_at(t, k);
    for (int64_t i = 0; i < count; i++) out[i] = s.alpha * z[i] + s.sigma * noise[i];
}

void trajectory_predict_x0(const Trajectory *t, int64_t k, const float *x, const float *output, int64_t count,
                           float *x0) {
    Scales s = scales_at(t, k);
    float divisor = trajectory_input_divisor(t, k); /* which makes alpha^2 + sigma^2 = 1 */
    for (int64_t i = 0; i < count; i++) x0[i] = x[i] / divisor;
    predict_x0(&t->schedule.config, (Scales) { s.alpha / divisor, s.sigma / divisor }, x0, output, count, x0);
}

bool trajectory_draws(const Trajectory *t, int64_t k) { return t->sampler->draws && t->sampler->draws(t, k); }

void trajectory_step(const Trajectory *t, int64_t k, const float *output, const float *noise, int64_t count,
                     float *x, float *past) {
    CHECK(k >= t->begin && k < t->evaluations);
    t->sampler->step(t, k, output, noise, count, x, past);
}

/* Returns a message when a step divides by zero. All steps are tried on a few numbers. Their results are not
   used, so that no error can grow from step to step: what is not finite can only be a coefficient. */
static char *division_fault(const Trajectory *t) {
    enum { COUNT = 3 };
    const SchedulerConfig *c = &t->schedule.config;
    float *past = mem_alloc((size_t)(COUNT * t->sampler->history) * sizeof *past);
    char *fault = NULL;
    for (int64_t k = t->begin; k < t->evaluations && !fault; k++) {
        float x[COUNT] = { 1, -0.5f, 0.25f }, output[COUNT] = { 0.5f, 1, -1 }, noise[COUNT] = { 1, -1, 2 };
        trajectory_step(t, k, output, noise, COUNT, x, past);
        if (isfinite(x[0]) && isfinite(x[1]) && isfinite(x[2])) continue;
        double at = (double)t->timesteps[k];
        int64_t below = min_i64((int64_t)fmax(at, 0), c->train_timesteps - 1);
        if (t->schedule.alphas_cumprod[below] == 0 && c->prediction == PREDICT_EPSILON)
            fault =
                mem_format("timestep %g of this model's noise schedule is pure noise, from which a UNet that "
                           "predicts the noise (epsilon, not v_prediction) cannot predict the picture",
                           at);
        else
            fault = mem_format("at timestep %g of this model's noise schedule the sampler %s divides by zero",
                               at, t->sampler->name);
    }
    free(past);
    return fault;
}

char *sampler_fault(const SchedulerConfig *config, SamplerOptions o) {
    int64_t total = config->train_timesteps;
    if (o.steps == STEPS_ALIGN_YOUR_STEPS) {
        if (!o.sampler->has_align_your_steps)
            return mem_format("the sampler %s has no such steps", o.sampler->name);
        if (total != 1000)
            return mem_format("these are steps for 1000 timesteps, and the model has %lld", (long long)total);
    } else if (o.steps < 1 || o.steps > total)
        return mem_format("the steps must be 1 to %lld, the model's own number of timesteps",
                          (long long)total);
    SchedulerConfig c = sampler_config(o.sampler, config, &o);
    char *fault = o.sampler->fault ? o.sampler->fault(&c, o.steps) : NULL;
    if (fault) return fault;
    Trajectory t = trajectory_new(config, o);
    if (o.strength > 0 && t.begin >= min_i64(t.steps, t.evaluations))
        fault =
            mem_format("with a strength of %g none of %lld steps is left", o.strength, (long long)t.steps);
    else
        fault = division_fault(&t);
    trajectory_free(&t);
    return fault;
}
