/* The autoencoder (diffusers' AutoencoderKL): pictures [B, 3, H, W] in -1..1 <-> latents [B, L, H / f, W /
   f], f = 2^(levels - 1): E(x) and D(z) of the latent diffusion paper. */
#ifndef TI_VAE_H
#define TI_VAE_H

#include "nn/blocks.h"
#include "weights/config.h"

typedef struct {
    int layers;
    bool resamples;
    Resnet *resnets;
    Resample resample;
} VaeLevel;

typedef struct {
    Resnet resnets[2];
    PixelAttention attention;
} VaeMid;

/* One half: the encoder (down) or the decoder (up). */
typedef struct {
    Layer conv_in, conv_norm_out, conv_out;
    Layer quant_conv; /* 1x1 behind the encoder, in front of the decoder; NULL weights where the config has
                         none */
    VaeMid mid;
    VaeLevel levels[LEVELS_MAX];
} VaeHalf;

typedef struct {
    VaeConfig config;
    VaeHalf encoder, decoder;
} Vae;

/* What is missing is in the store's errors. */
Vae vae_load(const VaeConfig *config, Store *s);
void vae_free(Vae *v);
/* f: pixels a latent pixel stands for, along a side */
int64_t vae_factor(const VaeConfig *config);

/* picture [B, 3, H, W] -> moments [B, 2 L, H / f, W / f]: the posterior's mean, then its logvar, not yet
   clamped */
Tensor *vae_encode(Graph *g, const Vae *v, Tensor *picture);
/* latents [B, L, h, w], already divided by scaling_factor -> picture [B, 3, h f, w f] */
Tensor *vae_decode(Graph *g, const Vae *v, Tensor *latents);

#endif
