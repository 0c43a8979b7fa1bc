/* Tests the noise schedule, the training target and the DDIM step against their equations, computed in double
   (Ho et al. 2020, Salimans and Ho 2022, Song et al. 2021), for each kind of betas, prediction and last
   alpha. The posterior's sample and classifier-free guidance are tested in the same way. */
#include "diffusion/ddim.h"
#include "diffusion/guidance.h"
#include "inversion/posterior.h"
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

/* abar_t = prod_{s <= t} (1 - beta_s), as the equations have it */
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

/* With a = abar_t: z_t = sqrt(a) z + sqrt(1 - a) eps, and the target is eps or v = sqrt(a) eps - sqrt(1 - a)
   z. */
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

/* Equations 12 and 16 of DDIM: x0 follows from the UNet's output, and x at the previous timestep from
   both. */
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
    ddim_step(d, steps, t, output, (float)eta, noise, N, x);
    close_to(v ? "DDIM step, v" : "DDIM step, noise", x, want);
}

static void test_timesteps(SchedulerConfig c) {
    int64_t got[T];
    for (int offset = 0; offset < 2; offset++) {
        c.steps_offset = offset;
        NoiseSchedule d = noise_schedule_new(&c);
        ddim_timesteps(&d, 7, got); /* 50 / 7 = 7 */
        bool ok = true;
        for (int i = 0; i < 7; i++) ok = ok && got[i] == (6 - i) * 7 + offset;
        test_true("timesteps", ok, "%lld ... %lld", (long long)got[0], (long long)got[6]);
        char *all = ddim_fault(&d, T), *none = ddim_fault(&d, 0), *more = ddim_fault(&d, T + 1);
        test_true("as many timesteps as there are", !all == !offset, "offset %d", offset);
        test_true("too few and too many", none && more, "0: %s", none);
        free(all);
        free(none);
        free(more);
        noise_schedule_free(&d);
    }
}

/* The posterior's sample is (mean + exp(logvar / 2) n) scaling_factor, with logvar clamped to [-30, 20]. */
static void test_posterior(void) {
    float parameters[2 * N], n[N], out[N];
    double want[N];
    fill(parameters, 0.9, 2);
    fill(parameters + N, 1.3, 40);
    fill(n, 2.1, 1);
    for (int low = 0; low < 2; low++) { /* the second time without large variances, which hide the others */
        for (int i = 0; i < N; i++) {
            if (low && parameters[N + i] > 0) parameters[N + i] = -parameters[N + i];
            double logvar = fmin(fmax((double)parameters[N + i], -30), 20);
            want[i] = ((double)parameters[i] + exp(logvar / 2) * (double)n[i]) * (double)0.18215f;
        }
        posterior_sample(parameters, n, N, 0.18215f, out);
        close_to("posterior", out, want);
    }
    float uncond[N], cond[N];
    fill(uncond, 0.4, 1);
    fill(cond, 0.6, 2);
    for (int i = 0; i < N; i++) want[i] = (double)uncond[i] + 7.5 * ((double)cond[i] - (double)uncond[i]);
    guide(uncond, cond, 7.5f, N, out);
    close_to("guidance", out, want);
    float large[1] = { 1e-8f }, deep[2] = { 0, -1000 }, none[1] = { 1 };
    posterior_sample(deep, none, 1, 1, large);
    test_below("the least spread, exp(-15)", fabs((double)large[0] / exp(-15.0) - 1), 1e-6);
}

int main(void) {
    double betas[T];
    for (int i = 0; i < T; i++) betas[i] = 0.01 + 0.001 * (i % 7);
    SchedulerConfig c = { .train_timesteps = T, .beta_start = 0.002, .beta_end = 0.06 };
    c.clip_sample_range = 0.8;
    SchedulerConfig scaled = c, own = c;
    scaled.beta_schedule = BETAS_SCALED_LINEAR;
    own.trained_betas = betas;
    test_betas("linear betas", &c);
    test_betas("scaled linear betas", &scaled);
    test_betas("betas of the folder", &own);
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
    return test_finish();
}
