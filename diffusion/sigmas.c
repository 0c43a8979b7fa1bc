/* SPDX-License-Identifier: MIT */
#include "diffusion/sigmas.h"

#include <math.h>

double linspace(double a, double b, int64_t n, int64_t i) {
    if (n == 1) return a;
    return i == n - 1 ? b : (double)i * ((b - a) / (double)(n - 1)) + a;
}

double spaced_timestep(const SchedulerConfig *c, int64_t last, int64_t n, int64_t i) {
    int64_t ascending = n - 1 - i;
    if (c->spacing == SPACING_LEADING) return (double)(ascending * (last / n) + c->steps_offset);
    if (c->spacing == SPACING_LINSPACE) return linspace(0, (double)(last - 1), n, ascending);
    double first = (double)last, stride = first - (first - (double)c->train_timesteps / (double)n);
    return rint(first - (double)i * stride) - 1;
}

char *spacing_fault(const SchedulerConfig *c, int64_t n) {
    if (rint(spaced_timestep(c, c->train_timesteps, n, 0)) < (double)c->train_timesteps) return NULL;
    return mem_format("too many steps for this model's steps_offset %lld (use %lld)",
                      (long long)c->steps_offset, (long long)(c->train_timesteps / 2));
}

float alpha_cumprod_above_zero(const NoiseSchedule *schedule, int64_t t) {
    bool zero = schedule->config.zero_snr && t == schedule->config.train_timesteps - 1;
    return zero ? 0x1p-24f : schedule->alphas_cumprod[t];
}

void sigma_table(const NoiseSchedule *schedule, float *table) {
    int64_t total = schedule->config.train_timesteps;
    for (int64_t t = 0; t < total; t++) {
        float abar = alpha_cumprod_above_zero(schedule, t);
        table[t] = sqrtf((1.0f - abar) / abar);
    }
}

double sigma_at(const float *table, int64_t total, double t) {
    if (t <= 0) return table[0];
    if (t >= (double)(total - 1)) return table[total - 1];
    int64_t below = (int64_t)t;
    double low = table[below], high = table[below + 1];
    return (high - low) * (t - (double)below) + low;
}

void sigma_logs(const float *table, int64_t total, float *log_table) {
    for (int64_t t = 0; t < total; t++) log_table[t] = (float)log((double)table[t]);
}

double timestep_of_sigma(const float *log_table, int64_t total, double sigma) {
    if (total < 2) return 0;
    double wanted = log(fmax(sigma, 1e-10));
    int64_t below = 0;
    while (below < total - 2 && (double)log_table[below + 1] <= wanted) below++;
    double low = log_table[below], part = (low - wanted) / (double)(log_table[below] - log_table[below + 1]);
    part = fmin(fmax(part, 0), 1);
    return (1 - part) * (double)below + part * (double)(below + 1);
}

double karras_sigma(double a, double b, int64_t n, int64_t i) {
    const double rho = 7;
    double from = pow(a, 1 / rho), to = pow(b, 1 / rho);
    return pow(from + linspace(0, 1, n, i) * (to - from), rho);
}

double exponential_sigma(double a, double b, int64_t n, int64_t i) {
    return exp(linspace(log(a), log(b), n, i));
}

void log_linear_sigmas(const float *table, int64_t total, int64_t n, double *sigmas) {
    float first = logf(table[total - 1]), last = logf(table[0]);
    for (int64_t i = 0; i < n; i++) sigmas[i] = (double)expf(torch_linspace(first, last, n, i));
}

void sigma_ends(const SchedulerConfig *c, double *first, double *last) {
    if (c->sigma_max > 0) *first = c->sigma_max;
    if (c->sigma_min > 0) *last = c->sigma_min;
}

float final_sigma(const SchedulerConfig *c, const float *table) {
    return c->final_sigma == FINAL_SIGMA_MIN ? table[0] : 0;
}

char *sigmas_fault(const SchedulerConfig *c) {
    if (c->beta_sigmas) return mem_string("the model's use_beta_sigmas is not supported");
    if (c->karras_sigmas && c->exponential_sigmas)
        return mem_string("the model's use_karras_sigmas and use_exponential_sigmas exclude each other");
    return NULL;
}
