/* The noise schedule: how a latent picture is noised in training (DDPM) and denoised in drawing (DDIM).

   abar_t = prod_{s <= t} (1 - beta_s):   z_t = sqrt(abar_t) z + sqrt(1 - abar_t) noise */
#ifndef TI_DIFFUSION_H
#define TI_DIFFUSION_H

#include "tensor/base.h"
#include "weights/config.h"

typedef struct {
    SchedulerConfig config;
    float *alphas_cumprod; /* [train_timesteps], rounded as the reference's fp32 tensor is */
} Diffusion;

Diffusion diffusion_new(const SchedulerConfig *config);
void diffusion_free(Diffusion *d);

/* Posterior of the VAE: moments [2 count], mean then logvar (clamped to [-30, 20] here), and n [count] ~ N(0, 1):
   out = (mean + exp(logvar / 2) n) scaling_factor. One picture. */
void diffusion_sample_posterior(const float *moments, const float *n, int64_t count, float scaling_factor,
                                float *out);

/* z_t of one picture (DDPMScheduler.add_noise). */
void diffusion_add_noise(const Diffusion *d, const float *z, const float *noise, int64_t t, int64_t count,
                         float *out);

/* What the UNet has to predict: noise, or v = sqrt(abar) noise - sqrt(1 - abar) z (DDPMScheduler.get_velocity). */
void diffusion_target(const Diffusion *d, const float *z, const float *noise, int64_t t, int64_t count,
                      float *out);

/* eps = uncond + scale (cond - uncond), classifier-free guidance (Ho and Salimans 2022) */
void diffusion_guide(const float *uncond, const float *cond, float scale, int64_t count, float *out);

/* The timesteps of a drawing, 'leading' spacing: steps of them, downwards. False: steps is out of range. */
bool diffusion_timesteps(const Diffusion *d, int64_t steps, int64_t *timesteps, Messages *errors);

/* One DDIM step from timestep t (DDIMScheduler.step): x [count] and the UNet's output -> x at t - train_timesteps / steps.
   noise [count] is read where eta > 0. x is overwritten. */
void diffusion_ddim_step(const Diffusion *d, int64_t steps, int64_t t, const float *output, float eta,
                         const float *noise, int64_t count, float *x);

#endif
