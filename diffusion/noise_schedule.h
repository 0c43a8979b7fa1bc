/* SPDX-License-Identifier: MIT */
/* The noise schedule of training and sampling (DDPM, Ho et al. 2020): how much noise a latent picture z has
   at timestep t = 0 .. T - 1, T = train_timesteps.

       alpha_t = 1 - beta_t,   abar_t = prod_{s <= t} alpha_s
       q(z_t | z) = N(sqrt(abar_t) z, (1 - abar_t) I)

   In diffusers beta_t is scheduler.betas[t] and abar_t is scheduler.alphas_cumprod[t]. */
#ifndef TI_NOISE_SCHEDULE_H
#define TI_NOISE_SCHEDULE_H

#include "io/base.h"
#include "weights/config.h"

typedef struct {
    SchedulerConfig config;
    float *alphas_cumprod; /* abar [train_timesteps], rounded to fp32 as the reference's tensor is */
} NoiseSchedule;

NoiseSchedule noise_schedule_new(const SchedulerConfig *config);
void noise_schedule_free(NoiseSchedule *schedule);
/* Returns false when rescaling to zero SNR has divided by zero. This happens with a single timestep, with
   betas that are all 0, and where an abar reaches 0 before the last timestep. */
bool noise_schedule_finite(const NoiseSchedule *schedule);

/* Returns torch.linspace(lo, hi, n)[i] in fp32. The trap: torch counts from both ends towards the middle and
   rounds each value once (a fused multiply-add). Counting from lo alone gives different last bits. */
float torch_linspace(float lo, float hi, int64_t n, int64_t i);

/* Computes the sample of q(z_t | z) that belongs to the given noise eps ~ N(0, I) (DDPMScheduler.add_noise):

       z_t = sqrt(abar_t) z + sqrt(1 - abar_t) eps

   z, noise and out [count] belong to one picture. */
void noise_schedule_add_noise(const NoiseSchedule *schedule, const float *z, const float *noise, int64_t t,
                              int64_t count, float *out);

/* Computes what the UNet has to predict from z_t: eps, or for v-prediction
   (DDPMScheduler.get_velocity; Salimans and Ho 2022)

       v = sqrt(abar_t) eps - sqrt(1 - abar_t) z

   A model that predicts the picture itself fails a CHECK, since the
   reference's script has no target for it. */
void noise_schedule_target(const NoiseSchedule *schedule, const float *z, const float *noise, int64_t t,
                           int64_t count, float *out);

#endif
