#include "inversion/grid_loss.h"

#include "tensor/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRID_SEED = 20220802 };

/* Fills in example i of the batch with point p of the grid, which is picture p / 20 at timestep (p % 20 +
   1/2) T / 20, where T is the number of the noise schedule's timesteps. z and noise [L, h, w] are room for
   its latents and its noise. */
static void set_grid_point(const GridLossData *d, TrainingStep *s, int64_t i, int64_t point,
                           Generator *generator, float *z, float *noise) {
    const float *mean = posterior_of(d->posteriors, point / GRID_TIMESTEPS, false);
    for (int64_t k = 0; k < s->latent_count; k++) z[k] = mean[k] * d->scaling_factor;
    generator_randn(generator, noise, s->latent_count);
    int64_t t =
        (2 * (point % GRID_TIMESTEPS) + 1) * d->noise_schedule->config.train_timesteps / (2 * GRID_TIMESTEPS);
    training_step_set(s, d->noise_schedule, i, z, noise, t);
    memcpy(s->ids + i * s->tokens, d->prompt, (size_t)s->tokens * sizeof *s->ids);
}

double grid_loss(const GridLossData *d, TrainingStep *s, const Watch *watch) {
    int64_t n = s->latent_count, points = d->posteriors->pictures * GRID_TIMESTEPS;
    float *z = mem_alloc((size_t)n * sizeof *z), *noise = mem_alloc((size_t)n * sizeof *noise);
    Generator generator;
    generator_seed(&generator, GRID_SEED);
    double sum = 0;
    for (int64_t first = 0; first < points; first += s->batch) {
        if (!watch_go_on(watch, first, points)) {
            sum = (double)NAN;
            break;
        }
        /* Where the last batch has fewer points, its other examples are computed as they were filled in
           before, and do not count. */
        int64_t count = min_i64(s->batch, points - first);
        for (int64_t i = 0; i < count; i++) set_grid_point(d, s, i, first + i, &generator, z, noise);
        training_step_loss(s);
        for (int64_t k = 0; k < count * n; k++) {
            double error = (double)s->noise_pred->data[k] - (double)s->target[k];
            sum += error * error;
        }
    }
    watch_go_on(watch, points, points);
    free(z);
    free(noise);
    return sum / (double)(points * n);
}
