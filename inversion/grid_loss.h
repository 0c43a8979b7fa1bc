/* The fixed-grid loss: a measure of how well a word fits the pictures, without the random
   choices of single training steps. */
#ifndef TI_GRID_LOSS_H
#define TI_GRID_LOSS_H

#include "inversion/posterior.h"
#include "inversion/training.h"

enum { GRID_TIMESTEPS = 20 };

/* The data on which the loss is measured. All of it belongs to the caller. */
typedef struct {
    const Posteriors *posteriors; /* of the pictures */
    float scaling_factor;         /* the VAE's */
    const NoiseSchedule *noise_schedule;
    const int32_t *prompt; /* [S]: the token ids of one prompt that contains the word */
} GridLossData;

/* Returns the mean squared error of the UNet's prediction over a fixed grid: the mean latents of each
   picture at 20 timesteps that are spread evenly over the noise schedule, with noise from a generator with a
   fixed seed. The better the word fits, the lower it is. The run's generators are not used. step is a
   training step for prompts of the same length; its learned vectors are the ones that are measured. watch
   (may be NULL) is asked before each forward pass, with the number of grid points that are done. When it
   stops the work, the result is NAN. */
double grid_loss(const GridLossData *data, TrainingStep *step, const Watch *watch);

#endif
