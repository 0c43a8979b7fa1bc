/* SPDX-License-Identifier: MIT */
/* DPM-Solver++ (Lu et al. 2022b), multistep, and its stochastic variant, as diffusers'
   DPMSolverMultistepScheduler. With x = alpha z + s n, alpha^2 + s^2 = 1, lambda = log(alpha / s), and m0 the
   predicted picture of this step, m1 and m2 those of the two before, a step of order 1 from lambda to lambda'
   is, with h = lambda' - lambda,

       x' = s'/s x - alpha' (e^-h - 1) m0                                          (DDIM with eta = 0)
       x' = s'/s e^-h x + alpha' (1 - e^-2h) m0 + s' sqrt(1 - e^-2h) n             (SDE, new noise n)

   Order 2 adds a term of D1, h times the first derivative of m by lambda, and order 3 also one of D2, h^2 / 2
   times the second. With p = e^-h - 1 they are (their section 4.2; for the SDE p = e^-2h - 1, and 2h stands
   for h)

       order 2, midpoint   - alpha' p / 2 D1
       order 2, heun       + alpha' (p / h + 1) D1
       order 3             + alpha' (p / h + 1) D1 - alpha' ((p + h) / h^2 - 1/2) D2      (+ 1/2 in the SDE)

   The derivatives come from the predictions before: with the steps' lengths h0 and h1, a = h/h0 (m0 - m1)
   and b = h/h1 (m1 - m2), D1 is a in order 2 and a + h0 / (h0 + h1) (a - b) in order 3, and D2 is h / (h0
   + h1) (a - b). The order is lower in the first steps and, as the config says, in the last ones: to
   sigma' = 0, where h is infinite, only order 1 leads. */
#include "diffusion/predicted.h"
#include "diffusion/sampler.h"
#include "diffusion/sigmas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Align Your Steps (Sabour et al. 2024): ten timesteps that were optimised for Stable Diffusion 1.5. */
static const int ALIGNED[] = { 999, 850, 736, 645, 545, 455, 343, 233, 124, 24 };
enum { ALIGNED_STEPS = sizeof ALIGNED / sizeof *ALIGNED, ORDER_MAX = 3, FEW = 15 };

/* Returns the number of timesteps that lambda_min_clipped leaves, which cuts off the noisiest ones. */
static int64_t last_timestep(const NoiseSchedule *schedule) {
    int64_t last = schedule->config.train_timesteps;
    for (; last > 0; last--) {
        float abar = alpha_cumprod_above_zero(schedule, last - 1);
        if ((double)(logf(sqrtf(abar)) - logf(sqrtf(1.0f - abar))) >= schedule->config.lambda_min_clipped)
            break;
    }
    return last;
}

static char *fault(const SchedulerConfig *c, int64_t steps) {
    (void)steps;
    if (c->flow_sigmas || c->dynamic_shifting)
        return mem_format("the model's %s is not supported",
                          c->flow_sigmas ? "use_flow_sigmas" : "use_dynamic_shifting");
    if (c->learned_variance) return mem_string("the model's variance_type (a learned one) is not supported");
    if (c->lambda_min_clipped > -INFINITY) {
        NoiseSchedule schedule = noise_schedule_new(c);
        int64_t left = last_timestep(&schedule);
        noise_schedule_free(&schedule);
        if (left == 0) return mem_string("the model's lambda_min_clipped leaves no timestep");
    }
    return sigmas_fault(c);
}

/* Places the sigmas between the ends of the whole noise schedule, and the timesteps at whole numbers near
   them: rounded, or, for exponential sigmas and with cosine betas, cut off. */
static void respace(Trajectory *t, const float *table) {
    const SchedulerConfig *c = &t->schedule.config;
    int64_t total = c->train_timesteps;
    float *logs = mem_alloc((size_t)total * sizeof *logs);
    sigma_logs(table, total, logs);
    double first = (double)table[total - 1], last = (double)table[0];
    if (!c->lu_lambdas || c->karras_sigmas) sigma_ends(c, &first, &last);
    for (int64_t k = 0; k < t->evaluations; k++) {
        double sigma = c->karras_sigmas ? karras_sigma(first, last, t->steps, k)
                       : c->lu_lambdas  ? exp(linspace((double)logs[total - 1], (double)logs[0], t->steps, k))
                                        : exponential_sigma(first, last, t->steps, k);
        double at = timestep_of_sigma(logs, total, sigma);
        bool rounds = (c->karras_sigmas || c->lu_lambdas) && c->beta_schedule != BETAS_COSINE;
        t->sigmas[k] = (float)sigma;
        t->timesteps[k] = (float)(rounds ? rint(at) : floor(at));
    }
    free(logs);
}

static void plan(Trajectory *t) {
    const SchedulerConfig *c = &t->schedule.config;
    int64_t total = c->train_timesteps, last = last_timestep(&t->schedule);
    bool respaced = !t->align_your_steps && (c->karras_sigmas || c->lu_lambdas || c->exponential_sigmas);
    bool trailing = c->spacing == SPACING_TRAILING;
    if (t->align_your_steps) t->steps = ALIGNED_STEPS;
    t->evaluations = t->steps;
    if (trailing && !respaced && !t->align_your_steps)
        t->evaluations = min_i64(t->steps, (int64_t)ceil((double)last / ((double)total / (double)t->steps)));
    t->timesteps = mem_alloc((size_t)t->evaluations * sizeof *t->timesteps);
    t->sigmas = mem_alloc((size_t)(t->evaluations + 1) * sizeof *t->sigmas);
    float *table = mem_alloc((size_t)total * sizeof *table);
    sigma_table(&t->schedule, table);
    if (respaced) respace(t, table);
    for (int64_t k = 0; k < t->evaluations && !respaced; k++) {
        /* All spacings but 'trailing' have a further timestep at the end, which is left out. */
        double at = rint(spaced_timestep(c, last, t->steps + !trailing, k));
        if (t->align_your_steps) at = ALIGNED[k];
        t->timesteps[k] = (float)at;
        t->sigmas[k] = (float)sigma_at(table, total, at);
    }
    t->sigmas[t->evaluations] = final_sigma(c, table);
    free(table);
}

static bool draws(const Trajectory *t, int64_t k) {
    (void)t, (void)k;
    return true;
}

typedef struct {
    float alpha, s, lambda;
} Level;

static Level level_at(const Trajectory *t, int64_t k) {
    float sigma = t->sigmas[k], alpha = 1.0f / sqrtf(sigma * sigma + 1.0f), s = sigma * alpha;
    return (Level) { alpha, s, logf(alpha) - logf(s) };
}

static void mix(const Trajectory *t, int64_t k, float *picture, float *noise) {
    Level now = level_at(t, k);
    *picture = now.alpha;
    *noise = now.s;
}

static int64_t order_at(const Trajectory *t, int64_t k) {
    const SchedulerConfig *c = &t->schedule.config;
    int64_t n = t->evaluations, order = min_i64(min_i64(c->solver_order, ORDER_MAX), k - t->begin + 1);
    bool lower = c->lower_order_final && n < FEW;
    if (k == n - 1 && (c->euler_at_final || lower || c->final_sigma == FINAL_SIGMA_ZERO)) return 1;
    return k == n - 2 && lower ? min_i64(order, 2) : order;
}

/* The factors of x, m0, D1, D2 and the noise in a step, and the lengths of the two steps before, h0 / h
   and h1 / h. */
typedef struct {
    float x, m0, d1, d2, noise, r0, r1;
} Coefficients;

static Coefficients coefficients_at(const Trajectory *t, int64_t k, int64_t order) {
    bool midpoint = order == 2 && t->schedule.config.solver == SOLVER_MIDPOINT;
    Level now = level_at(t, k), next = level_at(t, k + 1);
    float h = next.lambda - now.lambda;
    Coefficients c = { .x = next.s / now.s };
    if (t->sampler->draws) {
        float q = 1.0f - expf(-2.0f * h);
        c.x *= expf(-h);
        c.m0 = next.alpha * q;
        c.d1 = midpoint ? 0.5f * (next.alpha * q) : next.alpha * (q / (-2.0f * h) + 1.0f);
        c.d2 = next.alpha * ((q - 2.0f * h) / (4.0f * h * h) - 0.5f);
        c.noise = next.s * sqrtf(q);
    } else {
        float p = expf(-h) - 1.0f;
        c.m0 = -(next.alpha * p);
        c.d1 = midpoint ? -0.5f * (next.alpha * p) : next.alpha * (p / h + 1.0f);
        c.d2 = -(next.alpha * ((p + h) / (h * h) - 0.5f));
    }
    if (order > 1) c.r0 = (now.lambda - level_at(t, k - 1).lambda) / h;
    if (order > 2) c.r1 = (level_at(t, k - 1).lambda - level_at(t, k - 2).lambda) / h;
    return c;
}

static void step(const Trajectory *t, int64_t k, const float *output, const float *noise, int64_t count,
                 float *x, float *past) {
    int64_t order = order_at(t, k);
    Level now = level_at(t, k);
    Coefficients c = coefficients_at(t, k, order);
    float *m0 = past, *m1 = past + count, *m2 = past + 2 * count;
    memmove(m1, m0, (size_t)((ORDER_MAX - 1) * count) * sizeof *past);
    predict_x0(&t->schedule.config, (Scales) { now.alpha, now.s }, x, output, count, m0);
    for (int64_t i = 0; i < count; i++) {
        x[i] = c.x * x[i] + c.m0 * m0[i];
        float a = order > 1 ? 1.0f / c.r0 * (m0[i] - m1[i]) : 0,
              b = order > 2 ? 1.0f / c.r1 * (m1[i] - m2[i]) : a;
        if (order == 2) x[i] += c.d1 * a;
        if (order == 3) {
            x[i] += c.d1 * (a + c.r0 / (c.r0 + c.r1) * (a - b));
            x[i] += c.d2 * (1.0f / (c.r0 + c.r1) * (a - b));
        }
        if (t->sampler->draws) x[i] += c.noise * noise[i];
    }
}

static bool is_ode(const SchedulerConfig *c) { return c->algorithm == ALGORITHM_DPMPP; }
static bool is_sde(const SchedulerConfig *c) { return c->algorithm == ALGORITHM_SDE_DPMPP; }

static const char *const CLASSES[] = { "DPMSolverMultistepScheduler", NULL };

const Sampler DPM_SOLVER = {
    .name = "dpm++2m",
    .classes = CLASSES,
    .stands_for = is_ode,
    .steps = 20,
    .reason = "usual with this solver",
    .spacing = SPACING_LINSPACE,
    .has_karras = true,
    .has_align_your_steps = true,
    .history = ORDER_MAX,
    .fault = fault,
    .plan = plan,
    .mix = mix,
    .step = step,
};

const Sampler DPM_SOLVER_SDE = {
    .name = "dpm++2m-sde",
    .classes = CLASSES,
    .stands_for = is_sde,
    .steps = 25,
    .reason = "its noise takes some more than dpm++2m",
    .spacing = SPACING_LINSPACE,
    .has_karras = true,
    .history = ORDER_MAX,
    .fault = fault,
    .plan = plan,
    .mix = mix,
    .draws = draws,
    .step = step,
};
