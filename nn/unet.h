/* SPDX-License-Identifier: MIT */
/* The denoiser eps_theta(z_t, t, c) (diffusers' UNet2DConditionModel): predicts the noise in a noisy latent
   picture z_t at timestep t, given the text's context c. (Some models predict v or the picture instead:
   weights/config.h, Prediction.)

   B batch, n contexts for each picture, h w latent picture, S text tokens, D their width. */
#ifndef TI_UNET_H
#define TI_UNET_H

#include "nn/blocks.h"
#include "weights/config.h"

/* One resolution of the down path or the up path. Each layer is a ResNet block, followed by a
   transformer where the level attends to the text. After the last layer, `resample` changes
   the size where resamples is true. */
typedef struct {
    int layers;
    bool attends, resamples;
    Resnet *resnets;
    Transformer *transformers;
    Resample resample;
} UnetLevel;

typedef struct {
    UnetConfig config;
    Layer linear_1, linear_2; /* of the time embedding: linear, SiLU, linear */
    Layer cond_proj;          /* of the guidance scale's embedding, where config.time_cond_proj_dim > 0 */
    Layer conv_in, conv_norm_out, conv_out;
    UnetLevel down[LEVELS_MAX], up[LEVELS_MAX]; /* in the order in which they run */
    Resnet mid_resnets[2];
    Transformer mid_transformer;
} Unet;

/* Weights that are missing or misshapen become messages in the store's errors. */
Unet unet_load(const UnetConfig *config, Store *s);
void unet_free(Unet *u);

/* latents [B, in, h, w], t [B] timesteps as floats, context [n B, S, D] -> noise_pred [n B, out, h, w]: the
   whole batch with its first contexts, then the whole batch with its second contexts. h and w may be any
   numbers: the up path resizes to the size of the next skip connection, even where halving has rounded. */
Tensor *unet(Graph *g, const Unet *u, Tensor *latents, Tensor *t, Tensor *context);

/* Does the same with the embedding of the guidance scale, guidance [B, time_cond_proj_dim], which a model
   distilled for latent consistency takes in place of a second, unconditional evaluation (Luo et al. 2023,
   section 4.2). When guidance is NULL the model runs without it, as in the reference's training script. */
Tensor *unet_guided(Graph *g, const Unet *u, Tensor *latents, Tensor *t, Tensor *guidance, Tensor *context);

#endif
