/* SPDX-License-Identifier: MIT */
/* Tests scheduler configs of every kind against the reference (golden/ddim.py): the noise schedule to the
   bit, the timesteps for many numbers of steps, whole chains of DDIM steps, and the noised latents and
   targets of training. */
#include "diffusion/sampler.h"
#include "tests/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tolerance after rescaling to zero SNR, which subtracts square roots from each other. torch computes
   them with MKL, whose last bit is not always right. */
static const double ROOTS = 5e-6;

static const char *const CONFIGS[] = {
    "euler", "ancestral",   "dpm",      "unipc", "deis",    "lcm",
    "tcd",   "cosine_zero", "own_zero", "short", "clipped", "clipped_zero"
};

static NoiseSchedule open_schedule(const Golden *g, const char *name) {
    const char *text = golden_meta(g, "%s/config", name);
    Messages errors = { 0 }, warnings = { 0 };
    SchedulerConfig c;
    bool ok = scheduler_config_parse(name, text, strlen(text), &c, &errors, &warnings);
    test_true(name, ok && !warnings.count, "%s%s", errors.text ? errors.text : "accepted",
              warnings.text ? warnings.text : "");
    CHECK(ok);
    return noise_schedule_new(&c);
}

static SamplerOptions ddim(int64_t steps) {
    return (SamplerOptions) { .sampler = &DDIM, .steps = steps, .converted = true };
}

static void test_alphas(const Golden *g, const char *name, const NoiseSchedule *d) {
    char *label = mem_format("%s/alphas_cumprod", name);
    int64_t n = d->config.train_timesteps;
    float *want = golden_floats(g, "%s", label);
    CHECK_EQ(shape_count(golden_shape(g, "%s", label)), n);
    if (!d->config.zero_snr) test_same(label, d->alphas_cumprod, want, (size_t)n * sizeof *want);
    double worst = 0;
    for (int64_t i = 0; i < n - 1; i++)
        worst = test_worse(worst, fabs((double)d->alphas_cumprod[i] / (double)want[i] - 1));
    if (d->config.zero_snr) test_below(label, worst, ROOTS);
    test_true(label, (d->alphas_cumprod[n - 1] == 0) == d->config.zero_snr && noise_schedule_finite(d),
              "ends in %g", (double)d->alphas_cumprod[n - 1]);
    free(want);
    free(label);
}

/* Returns a part of the message that sampler_fault must return for these timesteps, or NULL when it must
   accept them. timesteps is NULL when the reference fails. */
static const char *expected_fault(const NoiseSchedule *d, const int32_t *timesteps) {
    const SchedulerConfig *c = &d->config;
    if (!timesteps) return "too many steps for this model's steps_offset 1";
    bool bounded = c->clip_sample || c->thresholding, noise = d->alphas_cumprod[timesteps[0]] == 0;
    return noise && !bounded && c->prediction == PREDICT_EPSILON ? "is pure noise" : NULL;
}

static void test_timesteps(const Golden *g, const char *name, const NoiseSchedule *d) {
    static const int64_t counts[] = { 1, 2, 3, 7, 30, 50, 61, 499, 999, 1000 };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int64_t n = counts[i], found = 0;
        char *label = mem_format("%s/timesteps/%lld", name, (long long)n),
             *fault = sampler_fault(&d->config, ddim(n));
        int32_t *want = golden_has(g, "%s", label) ? golden_ints(g, &found, "%s", label) : NULL;
        const char *expected =
            n > d->config.train_timesteps ? "the model's own number of timesteps" : expected_fault(d, want);
        test_true(label, expected ? fault && strstr(fault, expected) : !fault, "%s",
                  fault ? fault : "possible");
        if (!fault && want) {
            Trajectory t = trajectory_new(&d->config, ddim(n));
            int64_t differ = found != n;
            for (int64_t k = 0; k < n && found == n; k++) differ += t.timesteps[k] != (float)want[k];
            test_true(label, differ == 0 && t.evaluations == n, "%g to %g, %lld differ",
                      (double)t.timesteps[0], (double)t.timesteps[n - 1], (long long)differ);
            trajectory_free(&t);
        }
        free(want);
        free(fault);
        free(label);
    }
}

static void test_chain(const Golden *g, const char *name, const NoiseSchedule *d, const char *eta) {
    Shape shape = golden_shape(g, "%s/chain/%s", name, eta);
    int64_t steps = shape.dim[0], count = shape.dim[1];
    float *x = golden_floats(g, "x"), *outputs = golden_floats(g, "outputs"),
          *noise = golden_floats(g, "noise");
    float *after = mem_alloc((size_t)(steps * count) * sizeof *after);
    SamplerOptions o = ddim(steps);
    o.eta = strtof(eta, NULL);
    Trajectory t = trajectory_new(&d->config, o);
    float *past = mem_alloc((size_t)(count * t.sampler->history) * sizeof *past);
    for (int64_t i = 0; i < steps; i++) {
        trajectory_step(&t, i, outputs + i * count, noise + i * count, count, x, past);
        memcpy(after + i * count, x, (size_t)count * sizeof *x);
    }
    char *label = mem_format("%s/chain/%s", name, eta);
    golden_close(g, label, after, shape, 2e-6);
    free(label);
    trajectory_free(&t);
    free(past);
    free(after);
    free(noise);
    free(outputs);
    free(x);
}

/* Compares z_t and v for the config's betas. The golden file has v for every prediction type. */
static void test_training(const Golden *g, const char *name, NoiseSchedule d) {
    Shape shape = golden_shape(g, "%s/noised", name);
    int64_t count = shape.dim[1], last = d.config.train_timesteps - 1;
    float *x = golden_floats(g, "x"), *noise = golden_floats(g, "noise");
    float *noised = mem_alloc((size_t)(3 * count) * sizeof *noised),
          *velocity = mem_alloc((size_t)(3 * count) * sizeof *velocity);
    d.config.prediction = PREDICT_V;
    for (int64_t i = 0; i < 3; i++) {
        noise_schedule_add_noise(&d, x, noise, i * last / 2, count, noised + i * count);
        noise_schedule_target(&d, x, noise, i * last / 2, count, velocity + i * count);
    }
    char *labels[] = { mem_format("%s/noised", name), mem_format("%s/velocity", name) };
    golden_close(g, labels[0], noised, shape, 1e-6);
    golden_close(g, labels[1], velocity, shape, 1e-6);
    free(labels[0]);
    free(labels[1]);
    free(velocity);
    free(noised);
    free(noise);
    free(x);
}

/* Tests noise schedules with which the reference may divide by zero. */
static void test_zeros(void) {
    static const struct {
        SchedulerConfig c;
        int64_t steps;
        const char *fault; /* NULL for no fault, "" when the noise schedule itself is not finite */
    } cases[] = {
        { { .train_timesteps = 1, .beta_start = 0.1, .zero_snr = true }, 1, "" },
        { { .train_timesteps = 9, .zero_snr = true }, 1, "" },
        { { .train_timesteps = 999, .beta_start = 0.9, .beta_end = 0.9, .zero_snr = true }, 1, "" },
        { { .train_timesteps = 9, .beta_end = 0.1, .spacing = SPACING_LINSPACE }, 3, NULL },
        { { .train_timesteps = 9, .beta_end = 0.1, .prediction = PREDICT_SAMPLE },
          3,
          "timestep 0 of this model's" },
        { { .train_timesteps = 9, .beta_end = 0.1, .prediction = PREDICT_SAMPLE, .steps_offset = 1 },
          3,
          NULL },
        { { .train_timesteps = 999, .beta_start = 0.9, .beta_end = 0.9 },
          3,
          "timestep 666 of this model's noise schedule is" },
        { { .train_timesteps = 999, .beta_start = 0.9, .beta_end = 0.9, .prediction = PREDICT_V },
          3,
          "divides by zero" },
        { { .train_timesteps = 999, .beta_start = 0.9, .beta_end = 0.9, .prediction = PREDICT_V }, 1, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NoiseSchedule d = noise_schedule_new(&cases[i].c);
        const char *want = cases[i].fault;
        bool finite = noise_schedule_finite(&d), none = want && !*want;
        char *fault = finite ? sampler_fault(&cases[i].c, ddim(cases[i].steps)) : NULL;
        test_true("zeros", finite == !none && (none || (want ? fault && strstr(fault, want) : !fault)), "%s",
                  fault    ? fault
                  : finite ? "possible"
                           : "not finite");
        free(fault);
        noise_schedule_free(&d);
    }
}

int main(void) {
    Golden *g = golden_open("golden/ddim.safetensors");
    for (size_t i = 0; i < sizeof CONFIGS / sizeof *CONFIGS; i++) {
        NoiseSchedule d = open_schedule(g, CONFIGS[i]);
        test_alphas(g, CONFIGS[i], &d);
        test_timesteps(g, CONFIGS[i], &d);
        test_chain(g, CONFIGS[i], &d, "0");
        test_chain(g, CONFIGS[i], &d, "0.7");
        test_training(g, CONFIGS[i], d);
        free(d.config.trained_betas);
        noise_schedule_free(&d);
    }
    golden_free(g);
    test_zeros();
    return test_finish();
}
