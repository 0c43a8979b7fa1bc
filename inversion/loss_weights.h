/* SPDX-License-Identifier: MIT */
/* Weights of the loss, which change how much an example or a part of a picture counts:

       loss = mean(w (eps - eps_theta)^2),   w = weight of the timestep * mask of the picture

   Without weights all w are 1, and the graph has no such factor. */
#ifndef TI_LOSS_WEIGHTS_H
#define TI_LOSS_WEIGHTS_H

#include "autograd/ops.h"
#include "diffusion/noise_schedule.h"

typedef struct {
    double min_snr; /* gamma of Min-SNR, or 0 for the weight 1 at every timestep */
    bool masked;    /* whether pictures have masks */
} LossWeights;

/* Whether any weight can differ from 1. */
bool loss_is_weighted(const LossWeights *w);

/* Records the loss of pred and target [B, L, h, w], with the weights [B, h, w] or without any if they are
   NULL. */
Tensor *loss_record(Graph *g, Tensor *pred, Tensor *target, float *weights);

/* Fills in the weights of the `count` pixels of example i of the batch, which is at timestep t. Does nothing
   when weights [B, count] is NULL. mask [count] has the picture's own weights, or is NULL. */
void loss_weights_set(const LossWeights *w, const NoiseSchedule *schedule, int64_t t, int64_t count,
                      float *weights, int64_t i, const float *mask);

/* Min-SNR (Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy"), as in diffusers'
   train_text_to_image.py: with snr = abar_t / (1 - abar_t)

       min(snr, gamma) / snr         where the UNet predicts eps
       min(snr, gamma) / (snr + 1)   where it predicts v

   so that timesteps with little noise, whose loss is easy to lower, do not dominate. */
float min_snr_weight(const NoiseSchedule *schedule, double gamma, int64_t t);

#endif
