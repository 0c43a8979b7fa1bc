/* SPDX-License-Identifier: MIT */
/* Textual inversion itself: the loss of equation 2 of the paper (Gal et al. 2022) as a graph in which only
   the learned vectors v have a gradient.

       v* = argmin_v  E_{z ~ E(x), y, eps ~ N(0,1), t} || eps - eps_theta(z_t, t, c_theta(y)) ||^2

   training.c explains the equation from the inside out. loop.c draws the samples over
   which the expectation is taken.

   Letters: B batch, S text tokens, L latent channels, h w latent picture, n learned vectors of width D. */
#ifndef TI_TRAINING_H
#define TI_TRAINING_H

#include "nn/clip.h"
#include "diffusion/noise_schedule.h"
#include "nn/unet.h"

/* The sizes of a step that the model's configuration does not fix. */
typedef struct {
    int64_t batch, tokens; /* B, S */
    int64_t height, width; /* h, w */
    int64_t vectors;       /* n */
    bool weighted;         /* whether the loss has weights (loss_weights.h) */
} TrainingStepShape;

/* The graph for one batch size, and the buffers of its inputs, which must be filled in before it runs. */
typedef struct {
    Graph *graph;
    Tensor *context, *noise_pred, *loss; /* [B, S, D], [B, L, h, w], [1] */
    Plan plan;
    int64_t batch, tokens, latent_count; /* B, S, L h w */
    int32_t *ids;                        /* [B, S]: the prompts' tokens */
    float *noisy;                        /* [B, L, h, w]: z_t */
    float *timesteps;                    /* [B] */
    float *target;                       /* [B, L, h, w]: eps, or the velocity of v-prediction */
    float *weights;                      /* [B, h, w]: the loss's weights, NULL where it has none */
} TrainingStep;

/* Records the graph and plans it. learned [n, D] are the learned vectors and grad [n, D] receives their
   gradient. Both belong to the caller. The networks' weights are of the type Weight, which has no gradient.
   Where options.train is false, only the loss can be computed, and grad may be NULL. */
TrainingStep training_step_new(const Clip *clip, const Unet *unet, TrainingStepShape shape, float *learned,
                               float *grad, PlanOptions options);
void training_step_free(TrainingStep *s);
/* Plans the graph once more, with other options. Afterwards the graph has to be bound to an arena again. */
void training_step_plan(TrainingStep *s, PlanOptions options);

/* Fills in example i of the batch: computes z_t and the target from the latents z and the noise eps [L, h, w]
   at timestep t. The caller fills in the ids. */
void training_step_set(TrainingStep *s, const NoiseSchedule *schedule, int64_t i, const float *z,
                       const float *noise, int64_t t);

/* Runs the forward pass and returns the batch's loss. */
float training_step_loss(TrainingStep *s);
/* Runs the backward pass after a forward pass, and overwrites grad with d (loss * weight) / d learned. */
void training_step_gradient(TrainingStep *s, float weight);

/* After a loss that is not finite, returns a text for a message that says where the first number that is not
   finite occurs, such as "in the UNet, first in ..."; free() it. *too_large becomes true when all weights are
   finite, which means that the numbers grew too large. */
char *training_step_not_finite(TrainingStep *s, bool *too_large);

#endif
