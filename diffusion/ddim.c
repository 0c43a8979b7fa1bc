#include "diffusion/ddim.h"

#include <math.h>
#include <stdlib.h>

/* The timestep before t, whatever the spacing: below 0 it is the end. */
static int64_t previous(const SchedulerConfig *c, int64_t steps, int64_t t) {
    return t - c->train_timesteps / steps;
}

static float alpha_at(const NoiseSchedule *d, int64_t t) {
    if (t >= 0) return d->alphas_cumprod[t];
    return d->config.set_alpha_to_one ? 1.0f : d->alphas_cumprod[0];
}

/* Timestep i of N, downwards; T are all:

       leading    (N - 1 - i) (T div N) + offset
       linspace   round((N - 1 - i) (T - 1) / (N - 1))
       trailing   round(T - i T / N) - 1

   numpy rounds halves to even. Its arange steps by the difference of its first two members, as rounded. */
static int64_t timestep_at(const SchedulerConfig *c, int64_t steps, int64_t i) {
    int64_t all = c->train_timesteps, up = steps - 1 - i;
    if (c->spacing == SPACING_LEADING) return up * (all / steps) + c->steps_offset;
    if (c->spacing == SPACING_LINSPACE) {
        if (i == 0) return steps > 1 ? all - 1 : 0;
        return (int64_t)rint((double)up * ((double)(all - 1) / (double)(steps - 1)));
    }
    double first = (double)all, stride = first - (first - first / (double)steps);
    return (int64_t)rint(first - (double)i * stride) - 1;
}

/* Of a step from abar a to b. The variance divides by b, x0 or the noise by the root of a or 1 - a. */
static char *zero_fault(const NoiseSchedule *d, int64_t t, float a, float b) {
    const SchedulerConfig *c = &d->config;
    bool bounded = c->clip_sample || c->thresholding; /* then infinity becomes a number again */
    if (a == 0 && c->prediction == PREDICT_EPSILON && !bounded)
        return mem_format(
            "timestep %lld of this model's noise schedule is pure noise, in which a UNet that predicts "
            "the noise (epsilon, not v_prediction) sees no picture",
            (long long)t);
    if (b == 0 || (a == 1 && c->prediction == PREDICT_SAMPLE))
        return mem_format("timestep %lld of this model's noise schedule divides by zero", (long long)t);
    return NULL;
}

char *ddim_fault(const NoiseSchedule *d, int64_t steps) {
    const SchedulerConfig *c = &d->config;
    int64_t all = c->train_timesteps;
    if (steps < 1 || steps > all)
        return mem_format("must be 1 to %lld, the model's own number of timesteps", (long long)all);
    if (timestep_at(c, steps, 0) >= all)
        return mem_format("too many for this model's steps_offset %lld (use %lld)",
                          (long long)c->steps_offset, (long long)(all / 2));
    char *fault = NULL;
    for (int64_t i = 0; i < steps && !fault; i++) {
        int64_t t = timestep_at(c, steps, i);
        fault = zero_fault(d, t, alpha_at(d, t), alpha_at(d, previous(c, steps, t)));
    }
    return fault;
}

void ddim_timesteps(const NoiseSchedule *d, int64_t steps, int64_t *timesteps) {
    for (int64_t i = 0; i < steps; i++) timesteps[i] = timestep_at(&d->config, steps, i);
}

/* Of a step: sqrt(a) and sqrt(1 - a) at t, sqrt(b) and sqrt(1 - b - sigma^2) at the timestep before. */
typedef struct {
    Prediction prediction;
    float signal, spread, to_signal, direction, sigma;
} Factors;

static Factors factors_of(const NoiseSchedule *d, int64_t steps, int64_t t, float eta) {
    float a = alpha_at(d, t), b = alpha_at(d, previous(&d->config, steps, t));
    float variance = (1.0f - b) / (1.0f - a) * (1.0f - a / b);
    Factors f = { .prediction = d->config.prediction, .signal = sqrtf(a), .spread = sqrtf(1.0f - a) };
    f.sigma = eta * sqrtf(fmaxf(variance, 0.0f));
    f.direction = sqrtf(fmaxf(1.0f - b - f.sigma * f.sigma, 0.0f));
    f.to_signal = sqrtf(b);
    return f;
}

static float picture_of(const Factors *f, float x, float output) {
    if (f->prediction == PREDICT_SAMPLE) return output;
    return f->prediction == PREDICT_V ? f->signal * x - f->spread * output
                                      : (x - f->spread * output) / f->signal;
}

static float noise_of(const Factors *f, float x, float output) {
    if (f->prediction == PREDICT_SAMPLE) return (x - f->signal * output) / f->spread;
    return f->prediction == PREDICT_V ? f->signal * output + f->spread * x : output;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Dynamic thresholding (Saharia et al. 2022): x0 is clamped to a quantile of |x0|, kept between 1 and the
   maximum, and divided by it. torch.quantile has the rank in fp32 and is linear between ranks. */
static float threshold(const SchedulerConfig *c, const Factors *f, const float *x, const float *output,
                       int64_t count) {
    float *sizes = mem_alloc((size_t)count * sizeof *sizes);
    for (int64_t i = 0; i < count; i++) sizes[i] = fabsf(picture_of(f, x[i], output[i]));
    qsort(sizes, (size_t)count, sizeof *sizes, ascending);
    float rank = (float)c->threshold_ratio * (float)(count - 1), part = rank - floorf(rank);
    float low = sizes[(int64_t)floorf(rank)], high = sizes[(int64_t)ceilf(rank)];
    float quantile = part < 0.5f ? low + part * (high - low) : high - (high - low) * (1.0f - part);
    free(sizes);
    return fminf(fmaxf(quantile, 1.0f), (float)c->threshold_max);
}

void ddim_step(const NoiseSchedule *d, int64_t steps, int64_t t, const float *output, float eta,
               const float *noise, int64_t count, float *x) {
    const SchedulerConfig *c = &d->config;
    Factors f = factors_of(d, steps, t, eta);
    float bound = c->clip_sample ? (float)c->clip_sample_range : INFINITY, unit = 1;
    if (c->thresholding) bound = unit = threshold(c, &f, x, output, count);
    for (int64_t i = 0; i < count; i++) {
        float x0 = fminf(fmaxf(picture_of(&f, x[i], output[i]), -bound), bound) / unit;
        float eps = noise_of(&f, x[i], output[i]);
        x[i] = f.to_signal * x0 + f.direction * eps;
        if (eta > 0) x[i] += f.sigma * noise[i];
    }
}
