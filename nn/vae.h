/* SPDX-License-Identifier: MIT */
/* The autoencoder (diffusers' AutoencoderKL), E(x) and D(z) of the latent diffusion paper. It maps between
   pictures [B, 3, H, W] with values in -1..1 and latents [B, L, H / f, W / f], where f = 2^(levels - 1). */
#ifndef TI_VAE_H
#define TI_VAE_H

#include "nn/blocks.h"
#include "weights/config.h"

/* One resolution: ResNet blocks, followed by a change of size where resamples is true. */
typedef struct {
    int layers;
    bool resamples;
    Resnet *resnets;
    Resample resample;
} VaeLevel;

/* The mid block: attention between two ResNet blocks, at the coarsest resolution. */
typedef struct {
    Resnet resnets[2];
    VaeAttention attention; /* its `groups` are 0 where the config has no attention */
} VaeMid;

/* One half of the autoencoder: the encoder, whose levels go down, or the decoder, whose levels go up. */
typedef struct {
    Layer conv_in, conv_norm_out, conv_out;
    /* The 1x1 convolution after the encoder (quant_conv) or before the decoder (post_quant_conv); NULL
       weights where the config has none. */
    Layer quant_conv;
    VaeMid mid;
    VaeLevel levels[LEVELS_MAX]; /* in the order in which they run */
} VaeHalf;

typedef struct {
    VaeConfig config;
    VaeHalf encoder, decoder;
} Vae;

/* Weights that are missing or misshapen become messages in the store's errors. */
Vae vae_load(const VaeConfig *config, Store *s);
void vae_free(Vae *v);
/* Returns f, the number of pixels along a side of the picture that correspond to one latent pixel. */
int64_t vae_factor(const VaeConfig *config);

/* picture [B, 3, H, W] -> the posterior's parameters [B, 2 L, H / f, W / f] (diffusers'
   DiagonalGaussianDistribution.parameters): the L channels of its mean, then those of its logvar, which is
   not clamped yet. */
Tensor *vae_encode(Graph *g, const Vae *v, Tensor *picture);
/* latents [B, L, h, w], already divided by scaling_factor -> picture [B, 3, h f, w f], about -1..1. */
Tensor *vae_decode(Graph *g, const Vae *v, Tensor *latents);

#endif
