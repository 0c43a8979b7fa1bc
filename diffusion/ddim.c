#include "diffusion/ddim.h"

#include <math.h>
#include <stdlib.h>

/* The timestep that a step from t leads to. The reference takes the same distance in every spacing. A
   negative one is the end, where the picture is finished. */
static int64_t previous_timestep(const SchedulerConfig *c, int64_t steps, int64_t t) {
    return t - c->train_timesteps / steps;
}

/* abar_t. The trap: at the end (t < 0) it is 1 or abar_0, as the config's set_alpha_to_one says. */
static float alpha_cumprod_at(const NoiseSchedule *schedule, int64_t t) {
    if (t >= 0) return schedule->alphas_cumprod[t];
    return schedule->config.set_alpha_to_one ? 1.0f : schedule->alphas_cumprod[0];
}

/* Timestep i of N, in descending order, out of T:

       leading    (N - 1 - i) (T div N) + steps_offset
       linspace   round((N - 1 - i) (T - 1) / (N - 1))
       trailing   round(T - i T / N) - 1

   Two traps are numpy's: it rounds halves to even, and its arange of floats advances by the difference of its
   first two members, each rounded, rather than by the step it was given. */
static int64_t timestep_at(const SchedulerConfig *c, int64_t steps, int64_t i) {
    int64_t total = c->train_timesteps, ascending = steps - 1 - i;
    if (c->spacing == SPACING_LEADING) return ascending * (total / steps) + c->steps_offset;
    if (c->spacing == SPACING_LINSPACE) {
        if (i == 0) return steps > 1 ? total - 1 : 0;
        return (int64_t)rint((double)ascending * ((double)(total - 1) / (double)(steps - 1)));
    }
    double first = (double)total, stride = first - (first - first / (double)steps);
    return (int64_t)rint(first - (double)i * stride) - 1;
}

/* Returns a text when a step from abar_t = a to abar_t' = b would divide by zero, else NULL. The variance
   divides by b. The predicted picture divides by sqrt(a) where the model predicts the noise, and the
   predicted noise divides by sqrt(1 - a) where it predicts the picture. */
static char *division_fault(const NoiseSchedule *schedule, int64_t t, float a, float b) {
    const SchedulerConfig *c = &schedule->config;
    bool bounded = c->clip_sample || c->thresholding; /* an infinite x0 then becomes finite again */
    if (a == 0 && c->prediction == PREDICT_EPSILON && !bounded)
        return mem_format(
            "timestep %lld of this model's noise schedule is pure noise, in which a UNet that predicts "
            "the noise (epsilon, not v_prediction) sees no picture",
            (long long)t);
    if (b == 0 || (a == 1 && c->prediction == PREDICT_SAMPLE))
        return mem_format("at timestep %lld of this model's noise schedule DDIM divides by zero",
                          (long long)t);
    return NULL;
}

char *ddim_fault(const NoiseSchedule *schedule, int64_t steps) {
    const SchedulerConfig *c = &schedule->config;
    int64_t total = c->train_timesteps;
    if (steps < 1 || steps > total)
        return mem_format("must be 1 to %lld, the model's own number of timesteps", (long long)total);
    if (timestep_at(c, steps, 0) >= total)
        return mem_format("too many for this model's steps_offset %lld (use %lld)",
                          (long long)c->steps_offset, (long long)(total / 2));
    char *fault = NULL;
    for (int64_t i = 0; i < steps && !fault; i++) {
        int64_t t = timestep_at(c, steps, i);
        fault = division_fault(schedule, t, alpha_cumprod_at(schedule, t),
                               alpha_cumprod_at(schedule, previous_timestep(c, steps, t)));
    }
    return fault;
}

void ddim_timesteps(const NoiseSchedule *schedule, int64_t steps, int64_t *timesteps) {
    for (int64_t i = 0; i < steps; i++) timesteps[i] = timestep_at(&schedule->config, steps, i);
}

/* The coefficients of a step from abar_t = a to abar_t' = b. */
typedef struct {
    Prediction prediction;
    float sqrt_a, sqrt_one_minus_a;
    float sqrt_b, direction, sigma; /* direction: sqrt(1 - b - sigma^2) */
} Coefficients;

static Coefficients coefficients_of(const NoiseSchedule *schedule, int64_t steps, int64_t t, float eta) {
    float a = alpha_cumprod_at(schedule, t),
          b = alpha_cumprod_at(schedule, previous_timestep(&schedule->config, steps, t));
    float variance = (1.0f - b) / (1.0f - a) * (1.0f - a / b);
    Coefficients k = { .prediction = schedule->config.prediction };
    k.sqrt_a = sqrtf(a);
    k.sqrt_one_minus_a = sqrtf(1.0f - a);
    k.sigma = eta * sqrtf(fmaxf(variance, 0.0f));
    k.direction = sqrtf(fmaxf(1.0f - b - k.sigma * k.sigma, 0.0f));
    k.sqrt_b = sqrtf(b);
    return k;
}

/* x0 = (x_t - sqrt(1 - a) eps) / sqrt(a), or sqrt(a) x_t - sqrt(1 - a) v, or the output itself. */
static float predicted_x0(const Coefficients *k, float x, float output) {
    if (k->prediction == PREDICT_SAMPLE) return output;
    return k->prediction == PREDICT_V ? k->sqrt_a * x - k->sqrt_one_minus_a * output
                                      : (x - k->sqrt_one_minus_a * output) / k->sqrt_a;
}

/* eps: the output itself, or sqrt(a) v + sqrt(1 - a) x_t, or (x_t - sqrt(a) x0) / sqrt(1 - a). */
static float predicted_noise(const Coefficients *k, float x, float output) {
    if (k->prediction == PREDICT_SAMPLE) return (x - k->sqrt_a * output) / k->sqrt_one_minus_a;
    return k->prediction == PREDICT_V ? k->sqrt_a * output + k->sqrt_one_minus_a * x : output;
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The bound of dynamic thresholding (Saharia et al. 2022): x0 is clamped to this quantile of |x0|, itself
   kept between 1 and the config's maximum, and then divided by it. As in torch.quantile the rank is computed
   in fp32 and values between two ranks are interpolated linearly. */
static float dynamic_threshold(const SchedulerConfig *c, const Coefficients *k, const float *x,
                               const float *output, int64_t count) {
    float *sizes = mem_alloc((size_t)count * sizeof *sizes);
    for (int64_t i = 0; i < count; i++) sizes[i] = fabsf(predicted_x0(k, x[i], output[i]));
    qsort(sizes, (size_t)count, sizeof *sizes, by_value);
    float rank = (float)c->threshold_ratio * (float)(count - 1), part = rank - floorf(rank);
    float low = sizes[(int64_t)floorf(rank)], high = sizes[(int64_t)ceilf(rank)];
    float quantile = part < 0.5f ? low + part * (high - low) : high - (high - low) * (1.0f - part);
    free(sizes);
    return fminf(fmaxf(quantile, 1.0f), (float)c->threshold_max);
}

void ddim_step(const NoiseSchedule *schedule, int64_t steps, int64_t t, const float *output, float eta,
               const float *noise, int64_t count, float *x) {
    const SchedulerConfig *c = &schedule->config;
    Coefficients k = coefficients_of(schedule, steps, t, eta);
    float bound = c->clip_sample ? (float)c->clip_sample_range : INFINITY, unit = 1;
    if (c->thresholding) bound = unit = dynamic_threshold(c, &k, x, output, count);
    /* Equation 12. */
    for (int64_t i = 0; i < count; i++) {
        float x0 = fminf(fmaxf(predicted_x0(&k, x[i], output[i]), -bound), bound) / unit;
        float eps = predicted_noise(&k, x[i], output[i]); /* not affected by the clamping */
        x[i] = k.sqrt_b * x0 + k.direction * eps;
        if (eta > 0) x[i] += k.sigma * noise[i];
    }
}
