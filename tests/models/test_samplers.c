/* SPDX-License-Identifier: MIT */
/* Tests every sampler with every kind of scheduler config against the reference (golden/samplers.py):
   whether it can draw in N steps, its timesteps, sigmas, and runs on a model that is linear. */
#include "diffusion/sampler.h"
#include "tensor/rng.h"
#include "tests/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 24, STRIDE = 29, MANY = 1000, CHAIN = 10 };

typedef struct {
    int number;
    char sampler[16], config[32], way[16], karras[8], verdicts[8];
} Case;

static SchedulerConfig read_config(const Golden *g, const char *name) {
    char *key = mem_format("%s {", name);
    const char *all = golden_meta(g, "configs"), *line = all;
    while (strncmp(line, key, strlen(key)) != 0) line = strchr(line, '\n') + 1;
    line += strlen(name) + 1;
    Messages errors = { 0 }, warnings = { 0 };
    SchedulerConfig c;
    bool ok = scheduler_config_parse(name, line, strcspn(line, "\n"), &c, &errors, &warnings);
    CHECK(ok && warnings.count == 0);
    free(key);
    return c;
}

static const Sampler *sampler_named(const char *name) {
    int i = 0;
    while (strcmp(SAMPLERS[i]->name, name) != 0) i++;
    CHECK(strcmp(SAMPLER_NAMES[i + 1], name) == 0);
    return SAMPLERS[i];
}

static SamplerOptions options_of(const Case *c, int64_t steps) {
    return (SamplerOptions) { .sampler = sampler_named(c->sampler),
                              .steps = steps,
                              .karras = c->karras[1] == 'n'   ? KARRAS_ON
                                        : c->karras[0] == 'o' ? KARRAS_OFF
                                                              : KARRAS_AS_CONFIG,
                              .converted = c->way[0] == 'c' };
}

/* The largest difference so far of one kind of number in one case, relative to the value or, where it is
   smaller, to the floor. */
typedef struct {
    double floor, worst;
    int64_t at;
} Worst;

static void compare(Worst *w, float got, float want, int64_t at) {
    double difference = fabs((double)got - (double)want) / fmax(fabs((double)want), w->floor);
    if (got == want || difference <= w->worst) return;
    if (isnan(difference)) difference = INFINITY;
    w->worst = difference;
    w->at = at;
}

/* Compares timesteps or sigmas, and their sum where only a part was recorded. Returns how many were
   recorded. */
static int64_t compare_list(Worst *w, const float *got, int64_t count, bool part, const float *want,
                            double sum) {
    int64_t recorded = 0;
    double total = 0;
    for (int64_t k = 0; k < count; k++) total += (double)got[k];
    for (int64_t k = 0; k < count; k += part ? STRIDE : 1) compare(w, got[k], want[recorded++], k);
    if (part) compare(w, (float)total, (float)sum, -1);
    return recorded;
}

static void test_chain(const Golden *g, const char *label, const SchedulerConfig *c, SamplerOptions o,
                       const char *tensor) {
    Trajectory t = trajectory_new(c, o);
    float x[COUNT], output[COUNT], noise[COUNT], after[2 * COUNT];
    float *model = golden_floats(g, "model"),
          *past = mem_alloc((size_t)(t.sampler->history * COUNT) * sizeof *past);
    Generator generator;
    generator_seed(&generator, 7);
    generator_randn(&generator, x, COUNT);
    for (int i = 0; i < COUNT; i++) x[i] *= t.noise_scale;
    Shape shape = golden_shape(g, "%s", tensor);
    for (int64_t k = 0; k < t.evaluations; k++) {
        if (trajectory_draws(&t, k)) generator_randn(&generator, noise, COUNT);
        float divisor = trajectory_input_divisor(&t, k);
        for (int i = 0; i < COUNT; i++) output[i] = model[i] + 0.1f * (x[i] / divisor);
        trajectory_step(&t, k, output, noise, COUNT, x, past);
        if (k == 4 || k == t.evaluations - 1) memcpy(after + (k != 4) * COUNT, x, sizeof x);
    }
    /* Where Euler begins at sigma = 4096, the last bit of the latents is 5e-4, also in the reference. The
       coefficients of order 3 are small differences. */
    bool noisiest = t.noise_scale > 1000;
    float *want = golden_floats(g, "%s", tensor);
    test_close(label, after, want, shape, noisiest ? 2e-5 : c->solver_order > 2 ? 2e-6 : 1e-6, -1);
    free(want);
    free(model);
    free(past);
    trajectory_free(&t);
}

static void test_case(const Golden *g, const Case *c) {
    static const int64_t counts[] = { 1, 7, 20, 50, MANY };
    SchedulerConfig config = read_config(g, c->config);
    char *label = mem_format("%s/%s/%s/%s", c->sampler, c->config, c->way, c->karras);
    bool unrounded =
        strncmp(c->sampler, "euler", 5) == 0 &&
        (config.karras_sigmas || config.exponential_sigmas || config.continuous || c->karras[1] == 'n');
    float *timesteps = NULL, *sigmas = NULL;
    double none[2] = { 0 }, *sums = none;
    if (golden_has(g, "%d/timesteps", c->number)) timesteps = golden_floats(g, "%d/timesteps", c->number);
    if (golden_has(g, "%d/sigmas", c->number)) sigmas = golden_floats(g, "%d/sigmas", c->number);
    if (golden_has(g, "%d/sums", c->number)) sums = golden_doubles(g, "%d/sums", c->number);
    Worst of_t = { .floor = 1 }, of_sigma = { .floor = 1e-9 };
    int64_t at_t = 0, at_sigma = 0;
    for (int i = 0; i < 5; i++) {
        char *fault = sampler_fault(&config, options_of(c, counts[i]));
        /* The reference has no such limit, but its repeated timesteps are of no use. */
        if (counts[i] > config.train_timesteps) {
            test_true(label, fault && strstr(fault, "own number of timesteps"), "more steps than timesteps");
            free(fault);
            continue;
        }
        bool can = c->verdicts[i] == '+';
        if (can != !fault)
            test_true(label, false, "%lld steps: %s", (long long)counts[i], fault ? fault : "accepted");
        if (can) {
            Trajectory t = trajectory_new(&config, options_of(c, counts[i]));
            at_t +=
                compare_list(&of_t, t.timesteps, t.evaluations, counts[i] == MANY, timesteps + at_t, sums[0]);
            if (sigmas)
                at_sigma += compare_list(&of_sigma, t.sigmas, t.evaluations + 1, counts[i] == MANY,
                                         sigmas + at_sigma, sums[1]);
            trajectory_free(&t);
        }
        free(fault);
    }
    bool whole = !timesteps || (at_t == golden_shape(g, "%d/timesteps", c->number).dim[0] &&
                                (!sigmas || at_sigma == golden_shape(g, "%d/sigmas", c->number).dim[0]));
    /* Unrounded timesteps come from differences of logarithms in fp32, whose last bits numpy does not
       round. */
    test_true(label, whole && of_t.worst <= (unrounded ? 1e-6 : 0) && of_sigma.worst <= 2e-7,
              "timesteps differ by %.1e at %lld, sigmas by %.1e at %lld", of_t.worst, (long long)of_t.at,
              of_sigma.worst, (long long)of_sigma.at);
    char *chain = mem_format("%d/chain", c->number);
    if (golden_has(g, "%s", chain)) test_chain(g, label, &config, options_of(c, CHAIN), chain);
    if (sums != none) free(sums);
    free(chain);
    free(timesteps);
    free(sigmas);
    free(label);
    free(config.trained_betas);
}

static void test_align_your_steps(const Golden *g) {
    SchedulerConfig config = read_config(g, "sd1");
    SamplerOptions o = { .sampler = &DPM_SOLVER, .steps = STEPS_ALIGN_YOUR_STEPS, .converted = true };
    Trajectory t = trajectory_new(&config, o);
    golden_close(g, "ays/timesteps", t.timesteps, shape1(t.evaluations), 0);
    golden_close(g, "ays/sigmas", t.sigmas, shape1(t.evaluations + 1), 1e-7);
    trajectory_free(&t);
    test_chain(g, "ays", &config, o, "ays/chain");
}

/* A solver of the second order ends with a step of the first, which needs no earlier step, if there are
   fewer than 15 steps. (The first of all steps needs none in any case.) */
static void test_last_order(const Golden *g) {
    SchedulerConfig config = read_config(g, "dpm-3-final");
    config.solver_order = 2;
    config.lower_order_final = true;
    for (int64_t steps = 14; steps <= 15; steps++) {
        SamplerOptions o = { .sampler = &DPM_SOLVER, .steps = steps, .converted = true };
        Trajectory t = trajectory_new(&config, o);
        float x[2] = { 1, 1 }, output[1] = { 0.5f }, past[2][3] = { { 1, 1, 1 }, { 3, 2, 1 } };
        for (int i = 0; i < 2; i++) trajectory_step(&t, steps - 1, output, NULL, 1, &x[i], past[i]);
        test_true("the order of the last step", (x[0] == x[1]) == (steps < 15), "%d steps", (int)steps);
        trajectory_free(&t);
    }
}

/* A consistency model may have been distilled with all timesteps, but not with more. */
static void test_original_steps(const Golden *g) {
    SchedulerConfig config = read_config(g, "sd1");
    for (int64_t more = 0; more < 2; more++) {
        config.original_steps = config.train_timesteps + more;
        char *fault = sampler_fault(&config, (SamplerOptions) { .sampler = &LCM, .steps = 4 });
        test_true("the original steps", (fault != NULL) == more, "%s", fault ? fault : "possible");
        free(fault);
    }
}

/* Where the UNet predicts the same noise in every step, DDIM undoes its inversion. */
static void test_inverse(const Golden *g) {
    SchedulerConfig config = read_config(g, "sd1");
    float *model = golden_floats(g, "model"), *x = mem_alloc(COUNT * sizeof *x),
          *past = mem_alloc(COUNT * sizeof *past), at_start[COUNT], at_end[COUNT];
    for (int i = 0; i < COUNT; i++) at_start[i] = x[i] = 1 - 0.25f * (float)i;
    for (int back = 0; back < 2; back++) {
        SamplerOptions o = { .sampler = back ? &DDIM : &DDIM_INVERSE, .steps = 10, .converted = true };
        Trajectory t = trajectory_new(&config, o);
        for (int64_t k = 0; k < t.evaluations; k++) trajectory_step(&t, k, model, NULL, COUNT, x, past);
        if (!back) memcpy(at_end, x, sizeof at_end);
        trajectory_free(&t);
    }
    test_true("inversion moves", fabsf(at_end[0] - at_start[0]) > 0.1f, "to %g", (double)at_end[0]);
    test_close("inversion and back", x, at_start, shape1(COUNT), 1e-5, -1);
    free(model);
    free(x);
    free(past);
}

/* The sampler of a config by its class and algorithm, and whether another one stands in for it. */
static void test_own(void) {
    static const struct {
        const char *config, *sampler;
        bool converted;
    } cases[] = {
        { "{}", "ddim", true },
        { "{\"_class_name\": \"DDIMParallelScheduler\"}", "ddim", false },
        { "{\"_class_name\": \"LCMScheduler\"}", "lcm", false },
        { "{\"_class_name\": \"EulerAncestralDiscreteScheduler\", \"algorithm_type\": \"dpmsolver\"}",
          "euler-a", false },
        { "{\"_class_name\": \"DPMSolverMultistepScheduler\"}", "dpm++2m", false },
        { "{\"_class_name\": \"DPMSolverMultistepScheduler\", \"algorithm_type\": null}", "dpm++2m", false },
        { "{\"_class_name\": \"DPMSolverMultistepScheduler\", \"algorithm_type\": \"deis\"}", "dpm++2m",
          false },
        { "{\"_class_name\": \"DPMSolverMultistepScheduler\", \"algorithm_type\": \"sde-dpmsolver++\"}",
          "dpm++2m-sde", false },
        { "{\"_class_name\": \"DPMSolverMultistepScheduler\", \"algorithm_type\": \"dpmsolver\"}", "dpm++2m",
          true },
        { "{\"_class_name\": \"DPMSolverMultistepScheduler\", \"algorithm_type\": \"noise_prediction\"}",
          "dpm++2m", true },
        { "{\"_class_name\": \"UniPCMultistepScheduler\"}", "dpm++2m", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Messages errors = { 0 }, warnings = { 0 };
        SchedulerConfig c;
        const char *text = cases[i].config;
        CHECK(scheduler_config_parse("config", text, strlen(text), &c, &errors, &warnings));
        bool converted;
        const Sampler *own = sampler_of_config(&c, &converted);
        test_true(text, strcmp(own->name, cases[i].sampler) == 0 && converted == cases[i].converted, "%s%s",
                  own->name, converted ? ", converted" : "");
    }
}

/* --karras and --steps ays take the place of whatever sigmas the config has. The reference refuses two at
   once. */
static void test_options_win(const Golden *g) {
    static const char *const names[] = { "dpm-exponential", "dpm-lu", "dpm-karras" };
    float last[2][3];
    for (int ays = 0; ays < 2; ays++) {
        for (int i = 0; i < 3; i++) {
            SchedulerConfig config = read_config(g, names[i]);
            config.beta_sigmas = true;
            SamplerOptions o = {
                .sampler = &DPM_SOLVER, .steps = 10, .karras = KARRAS_ON, .converted = true
            };
            if (ays)
                o = (SamplerOptions) { .sampler = &DPM_SOLVER,
                                       .steps = STEPS_ALIGN_YOUR_STEPS,
                                       .converted = true };
            char *fault = sampler_fault(&config, o);
            test_true(names[i], !fault, "%s", fault ? fault : "possible");
            free(fault);
            Trajectory t = trajectory_new(&config, o);
            last[ays][i] = t.sigmas[5];
            trajectory_free(&t);
        }
        test_true("the same sigmas", last[ays][0] == last[ays][1] && last[ays][1] == last[ays][2], "%g",
                  (double)last[ays][0]);
    }
}

int main(void) {
    Golden *g = golden_open("golden/samplers.safetensors");
    int count = 0;
    for (const char *line = golden_meta(g, "cases"); line; line = strchr(line, '\n')) {
        line += *line == '\n';
        Case c = { .number = count++ };
        CHECK(sscanf(line, "%15s %31s %15s %7s %7s", c.sampler, c.config, c.way, c.karras, c.verdicts) == 5);
        test_case(g, &c);
    }
    test_true("cases", count > 400, "%d", count);
    test_align_your_steps(g);
    test_last_order(g);
    test_original_steps(g);
    test_inverse(g);
    test_own();
    test_options_win(g);
    golden_free(g);
    return test_finish();
}
