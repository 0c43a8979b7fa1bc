/* SPDX-License-Identifier: MIT */
/* Losses on fixed points (pictures, timesteps, noise and prompts), which measure how well a word fits the
   pictures without the noise of single training steps: the fixed-grid loss, and the deterministic loss of
   early stopping. Neither draws a number from the run's generators. */
#ifndef TI_GRID_LOSS_H
#define TI_GRID_LOSS_H

#include "inversion/posterior.h"
#include "inversion/training.h"
#include "inversion/training_prompts.h"

enum { GRID_TIMESTEPS = 20, DETERMINISTIC_POINTS = 8 };

/* The data on which the loss is measured. All of it belongs to the caller. */
typedef struct {
    const Posteriors *posteriors; /* of the pictures */
    float scaling_factor;         /* the VAE's */
    const NoiseSchedule *noise_schedule;
    const TrainingPrompts *prompts;
    int64_t vectors; /* how many of the word's vectors the prompts contain */
    bool shared;     /* whether all ranks (ranks.h) measure the loss together, each at some of the points. The
                        step then has a batch of 1, and the result is that of rank 0 */
} GridLossData;

/* The type of both losses below. */
typedef double FixedLoss(const GridLossData *data, TrainingStep *step, const Watch *watch);

/* Returns the mean squared error of the UNet's prediction over a fixed grid: for each picture's mean latents,
   20 timesteps that are spread evenly over the noise schedule, with the first prompt, and with noise from a
   generator with a fixed seed. It falls as the word fits better. step is a training step for prompts of the
   same length, whose learned vectors are measured. watch (may be NULL) is asked before each forward pass,
   with the number of points that are done; when it stops the work, the result is NAN. */
double grid_loss(const GridLossData *data, TrainingStep *step, const Watch *watch);

/* Does the same over 8 points, the fixed batch of DVAR (early_stop.h): 8 timesteps spread evenly over the
   noise schedule, each with one picture's mean latents, with one of the prompts and with noise of its own. */
double deterministic_loss(const GridLossData *data, TrainingStep *step, const Watch *watch);

#endif
