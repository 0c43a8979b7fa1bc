/* SPDX-License-Identifier: MIT */
#include "inversion/grid_loss.h"

#include "inversion/ranks.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRID_SEED = 20220802 };

/* A point at which a loss is measured: a picture's mean latents at a timestep, with a prompt. */
typedef struct {
    int64_t picture, timestep, prompt;
} Point;
typedef Point PointOf(const GridLossData *d, int64_t index);

/* The middle of part k of `parts` equal parts of the noise schedule: timestep (k + 1/2) T / parts, where T is
   the number of the schedule's timesteps. */
static int64_t middle(const GridLossData *d, int64_t k, int64_t parts) {
    return (2 * k + 1) * d->noise_schedule->config.train_timesteps / (2 * parts);
}

static Point grid_point(const GridLossData *d, int64_t i) {
    int64_t picture = i / GRID_TIMESTEPS;
    return (Point) { .picture = picture,
                     .timestep = middle(d, i % GRID_TIMESTEPS, GRID_TIMESTEPS),
                     .prompt = training_prompts_first(d->prompts, picture) };
}

static Point deterministic_point(const GridLossData *d, int64_t i) {
    int64_t picture = i % d->posteriors->pictures, prompts = training_prompts_count(d->prompts, picture);
    return (Point) { .picture = picture,
                     .timestep = middle(d, i, DETERMINISTIC_POINTS),
                     .prompt =
                         training_prompts_first(d->prompts, picture) + i * prompts / DETERMINISTIC_POINTS };
}

/* Fills in example i of the batch with a point. z and noise [L, h, w] are room for its latents and its
   noise. */
static void set_point(const GridLossData *d, TrainingStep *s, int64_t i, Point p, Generator *generator,
                      float *z, float *noise) {
    const float *mean = posterior_of(d->posteriors, p.picture, false);
    for (int64_t k = 0; k < s->latent_count; k++) z[k] = mean[k] * d->scaling_factor;
    generator_randn(generator, noise, s->latent_count);
    training_step_set(s, d->noise_schedule, i, z, noise, p.timestep);
    const int32_t *ids = training_prompts_ids(d->prompts, p.prompt, d->vectors, false);
    memcpy(s->ids + i * s->tokens, ids, (size_t)s->tokens * sizeof *s->ids);
}

/* Adds the squared errors of the batch's first `count` examples to *sum. */
static void add_errors(const TrainingStep *s, int64_t count, double *sum) {
    for (int64_t k = 0; k < count * s->latent_count; k++) {
        double error = (double)s->noise_pred->data[k] - (double)s->target[k];
        *sum += error * error;
    }
}

/* The mean squared error over the points 0 ... points - 1. Each point has a sum of its own where ranks share
   the points, since the sum of all must not depend on the number of ranks. */
static double fixed_loss(const GridLossData *d, TrainingStep *s, int64_t points, PointOf *point_of,
                         const Watch *watch) {
    int64_t n = s->latent_count;
    float *z = mem_alloc((size_t)n * sizeof *z), *noise = mem_alloc((size_t)n * sizeof *noise);
    double *sums = mem_alloc((size_t)points * sizeof *sums), sum = 0;
    RankShare own = d->shared ? ranks_share(points) : (RankShare) { 0, points };
    Generator generator;
    generator_seed(&generator, GRID_SEED);
    for (int64_t first = 0; first < points; first += s->batch) {
        if (!watch_go_on(watch, first, points)) {
            sum = (double)NAN;
            break;
        }
        /* Where the last batch has fewer points, its other examples still have the contents of the batch
           before. They are computed, but they do not count. */
        int64_t count = min_i64(s->batch, points - first);
        for (int64_t i = 0; i < count; i++) set_point(d, s, i, point_of(d, first + i), &generator, z, noise);
        if (first < own.first || first >= own.end) continue;
        training_step_loss(s);
        add_errors(s, count, &sums[d->shared ? first : 0]);
    }
    if (d->shared && !isnan(sum) && !ranks_gather(sums, points, sizeof *sums)) sum = (double)NAN;
    for (int64_t i = 0; i < points; i++) sum += sums[i];
    watch_go_on(watch, points, points);
    free(z);
    free(noise);
    free(sums);
    return sum / (double)(points * n);
}

double grid_loss(const GridLossData *d, TrainingStep *s, const Watch *watch) {
    return fixed_loss(d, s, d->posteriors->pictures * GRID_TIMESTEPS, grid_point, watch);
}

double deterministic_loss(const GridLossData *d, TrainingStep *s, const Watch *watch) {
    return fixed_loss(d, s, DETERMINISTIC_POINTS, deterministic_point, watch);
}
