/* The fixed-grid loss: how well a word fits, without the noise of single training steps. */
#ifndef TI_GRID_LOSS_H
#define TI_GRID_LOSS_H

#include "inversion/loop.h"

enum { GRID_TIMESTEPS = 20 };
/* A number that falls when the word fits better: the mean loss over a fixed grid, 20 timesteps spread over
   0..999 for each picture's mean latent, with noise from a seed of its own and the first template's prompt.
   Draws nothing from the run's generators. step is any TrainingStep of these data. watch (may be NULL) is
   asked before each pass, with the points that are done: if it says no, NAN. */
double grid_loss(const LoopData *data, TrainingStep *step, const Watch *watch);

#endif
