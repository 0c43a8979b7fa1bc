/* The denoiser eps_theta(z_t, t, c) (diffusers' UNet2DConditionModel): the noise in a latent picture, given
   the text. */
#ifndef TI_UNET_H
#define TI_UNET_H

#include "nn/blocks.h"
#include "weights/config.h"

/* One level on the way down or up: layers of ResNet block and (if it attends) transformer, then a change of
   size. */
typedef struct {
    int layers;
    bool attends, resamples;
    Resnet *resnets;
    Transformer *transformers;
    Resample resample;
} UnetLevel;

typedef struct {
    UnetConfig config;
    Layer linear_1, linear_2; /* time_embedding */
    Layer conv_in, conv_norm_out, conv_out;
    UnetLevel down[LEVELS_MAX], up[LEVELS_MAX];
    Resnet mid_resnets[2];
    Transformer mid_transformer;
} Unet;

/* What is missing is in the store's errors. */
Unet unet_load(const UnetConfig *config, Store *s);
void unet_free(Unet *u);

/* latents [B, in, h, w], t [B] timesteps as floats, context [n B, S, D] -> noise_pred [n B, out, h, w], the
   whole batch with its first contexts, then with its second. Any h and w: going up takes the size of the skip
   connection. */
Tensor *unet(Graph *g, const Unet *u, Tensor *latents, Tensor *t, Tensor *context);

#endif
