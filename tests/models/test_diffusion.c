/* SPDX-License-Identifier: MIT */
/* Tests the noise schedule, the training target and the DDIM step against their equations, computed in double
   (Ho et al. 2020, Salimans and Ho 2022, Song et al. 2021), for each kind of betas, of prediction and of
   final alpha. The posterior's sample and classifier-free guidance are tested in the same way. */
#include "diffusion/sampler.h"
#include "diffusion/guidance.h"
#include "nn/encoder.h"
#include "tests/refusal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { T = 50, N = 33 };

static void fill(float *out, double frequency, double scale) {
    for (int i = 0; i < N; i++) out[i] = (float)(scale * sin(frequency * (i + 1)));
}

static void close_to(const char *name, const float *got, const double *want) {
    double worst = 0, scale = 0;
    for (int i = 0; i < N; i++) {
        worst = test_worse(worst, fabs((double)got[i] - want[i]));
        scale = test_worse(scale, fabs(want[i]));
    }
    test_below(name, worst / scale, 2e-6);
}

/* Returns abar_t = prod_{s <= t} (1 - beta_s). */
static double alpha_cumprod_at(const SchedulerConfig *c, int64_t t) {
    double product = 1;
    for (int64_t i = 0; i <= t; i++) {
        double q = (double)i / (double)(c->train_timesteps - 1);
        double root = sqrt(c->beta_start) + (sqrt(c->beta_end) - sqrt(c->beta_start)) * q;
        double beta = c->trained_betas                   ? c->trained_betas[i]
                      : c->beta_schedule == BETAS_LINEAR ? c->beta_start + (c->beta_end - c->beta_start) * q
                                                         : root * root;
        product *= 1 - beta;
    }
    return product;
}

static void test_betas(const char *name, const SchedulerConfig *c) {
    NoiseSchedule d = noise_schedule_new(c);
    double worst = 0;
    for (int64_t t = 0; t < c->train_timesteps; t++)
        worst = test_worse(worst, fabs((double)d.alphas_cumprod[t] / alpha_cumprod_at(c, t) - 1));
    test_below(name, worst, 5e-6);
    noise_schedule_free(&d);
}

/* With a = abar_t, the noised latents are z_t = sqrt(a) z + sqrt(1 - a) eps, and the target is eps or v =
   sqrt(a) eps - sqrt(1 - a) z. */
static void test_training(const NoiseSchedule *d) {
    bool v = d->config.prediction == PREDICT_V;
    float z[N], noise[N], out[N];
    double noisy[N], target[N];
    fill(z, 0.7, 1.5);
    fill(noise, 1.9, 1);
    for (int64_t t = 0; t < T; t += T - 1) {
        double a = (double)d->alphas_cumprod[t];
        for (int i = 0; i < N; i++) {
            noisy[i] = sqrt(a) * (double)z[i] + sqrt(1 - a) * (double)noise[i];
            target[i] = v ? sqrt(a) * (double)noise[i] - sqrt(1 - a) * (double)z[i] : (double)noise[i];
        }
        noise_schedule_add_noise(d, z, noise, t, N, out);
        close_to("noised", out, noisy);
        noise_schedule_target(d, z, noise, t, N, out);
        close_to(v ? "target: v" : "target: noise", out, target);
    }
}

/* Tests equations 12 and 16 of DDIM, which compute x0 from the UNet's output and x at the previous timestep
   from both. */
static void test_ddim(const NoiseSchedule *d, int64_t steps, int64_t t, double eta) {
    const SchedulerConfig *c = &d->config;
    bool v = c->prediction == PREDICT_V;
    int64_t before = t - c->train_timesteps / steps;
    double a = (double)d->alphas_cumprod[t], b = c->set_alpha_to_one ? 1 : (double)d->alphas_cumprod[0];
    if (before >= 0) b = (double)d->alphas_cumprod[before];
    double sigma = eta * sqrt((1 - b) / (1 - a)) * sqrt(1 - a / b), want[N];
    float x[N], output[N], noise[N];
    fill(x, 0.3, 1.2);
    fill(output, 2.3, 0.9);
    fill(noise, 1.1, 1);
    for (int i = 0; i < N; i++) {
        double o = (double)output[i], y = (double)x[i];
        double x0 = v ? sqrt(a) * y - sqrt(1 - a) * o : (y - sqrt(1 - a) * o) / sqrt(a);
        double eps = v ? sqrt(a) * o + sqrt(1 - a) * y : o;
        if (c->clip_sample) x0 = fmin(fmax(x0, -c->clip_sample_range), c->clip_sample_range);
        want[i] = sqrt(b) * x0 + sqrt(1 - b - sigma * sigma) * eps + sigma * (double)noise[i];
    }
    SamplerOptions o = { .sampler = &DDIM, .steps = steps, .eta = (float)eta, .converted = true };
    Trajectory trajectory = trajectory_new(c, o);
    float past[N];
    trajectory.timesteps[0] = (float)t;
    trajectory_step(&trajectory, 0, output, noise, N, x, past);
    trajectory_free(&trajectory);
    close_to(v ? "DDIM step, v" : "DDIM step, noise", x, want);
}

static void test_timesteps(SchedulerConfig c) {
    for (int offset = 0; offset < 2; offset++) {
        c.steps_offset = offset;
        SamplerOptions seven = { .sampler = &DDIM, .steps = 7, .converted = true },
                       o[3] = { seven, seven, seven };
        Trajectory t = trajectory_new(&c, seven); /* 50 / 7 = 7 */
        bool ok = true;
        for (int i = 0; i < 7; i++) ok = ok && t.timesteps[i] == (float)((6 - i) * 7 + offset);
        test_true("timesteps", ok, "%g ... %g", (double)t.timesteps[0], (double)t.timesteps[6]);
        o[0].steps = T;
        o[1].steps = 0;
        o[2].steps = T + 1;
        char *all = sampler_fault(&c, o[0]), *none = sampler_fault(&c, o[1]), *more = sampler_fault(&c, o[2]);
        test_true("as many timesteps as there are", !all == !offset, "offset %d", offset);
        test_true("too few and too many", none && more, "0: %s", none);
        free(all);
        free(none);
        free(more);
        trajectory_free(&t);
    }
}

/* The posterior's sample is (mean + exp(logvar / 2) n) scaling_factor, with logvar clamped to [-30, 20]. */
static void test_posterior(void) {
    float parameters[2 * N], n[N], out[N];
    double want[N];
    fill(parameters, 0.9, 2);
    fill(parameters + N, 1.3, 40);
    fill(n, 2.1, 1);
    /* The second time there are no large variances, which hide the error of small ones. */
    for (int low = 0; low < 2; low++) {
        for (int i = 0; i < N; i++) {
            if (low && parameters[N + i] > 0) parameters[N + i] = -parameters[N + i];
            double logvar = fmin(fmax((double)parameters[N + i], -30), 20);
            want[i] = ((double)parameters[i] + exp(logvar / 2) * (double)n[i]) * (double)0.18215f;
        }
        posterior_sample(parameters, n, N, 0.18215f, out);
        close_to("posterior", out, want);
    }
    const float clamped[2] = { 0, -1000 }, one[1] = { 1 };
    posterior_sample(clamped, one, 1, 1, out);
    test_below("the smallest standard deviation, exp(-15)", fabs((double)out[0] / exp(-15.0) - 1), 1e-6);
}

/* noise_pred = uncond + scale (cond - uncond) */
static void test_guidance(void) {
    float uncond[N], cond[N], out[N];
    double want[N];
    fill(uncond, 0.4, 1);
    fill(cond, 0.6, 2);
    for (int i = 0; i < N; i++) want[i] = (double)uncond[i] + 7.5 * ((double)cond[i] - (double)uncond[i]);
    guide(uncond, cond, 7.5f, N, out);
    close_to("guidance", out, want);
}

int main(void) {
    double betas[T];
    for (int i = 0; i < T; i++) betas[i] = 0.01 + 0.001 * (i % 7);
    SchedulerConfig c = { .train_timesteps = T, .beta_start = 0.002, .beta_end = 0.06 };
    c.clip_sample_range = 0.8;
    SchedulerConfig scaled = c, trained = c;
    scaled.beta_schedule = BETAS_SCALED_LINEAR;
    trained.trained_betas = betas;
    test_betas("linear betas", &c);
    test_betas("scaled linear betas", &scaled);
    test_betas("trained betas", &trained);
    for (int way = 0; way < 8; way++) {
        SchedulerConfig kind = scaled;
        kind.prediction = way & 1 ? PREDICT_V : PREDICT_EPSILON;
        kind.set_alpha_to_one = way & 2;
        kind.clip_sample = way & 4;
        NoiseSchedule d = noise_schedule_new(&kind);
        test_training(&d);
        for (int k = 0; k < 3; k++) {
            test_ddim(&d, 5, 40, k * 0.5);
            test_ddim(&d, 5, 10, k * 0.5); /* to timestep 0 */
            test_ddim(&d, 5, 7, k * 0.5);  /* to the end, before the first timestep */
        }
        noise_schedule_free(&d);
    }
    test_timesteps(c);
    test_posterior();
    test_guidance();
    return test_finish();
}
