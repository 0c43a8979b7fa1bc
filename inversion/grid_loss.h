/* The fixed-grid loss: a measure of how well a word fits the pictures, without the noise of single
   training steps. */
#ifndef TI_GRID_LOSS_H
#define TI_GRID_LOSS_H

#include "inversion/posterior.h"
#include "inversion/training.h"

enum { GRID_TIMESTEPS = 20 };

/* What the loss is measured on; all of it stays the caller's. */
typedef struct {
    const Posteriors *posteriors; /* of the pictures */
    float scaling_factor;         /* the VAE's */
    const NoiseSchedule *noise_schedule;
    const int32_t *prompt; /* [S]: the token ids of one prompt that contains the word */
} GridLossData;

/* Returns the mean squared error of the UNet's prediction over a fixed grid: for each picture's mean latents,
   20 timesteps spread evenly over the noise schedule, each with noise from a seed of its own. It falls as the
   word fits better. No number is drawn from the run's generators. step is a training step for prompts of the
   same length, whose learned vectors are measured. watch (may be NULL) is asked before each forward pass,
   with the number of grid points that are done; when it stops the work, the result is NAN. */
double grid_loss(const GridLossData *data, TrainingStep *step, const Watch *watch);

#endif
