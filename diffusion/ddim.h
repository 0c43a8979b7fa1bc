/* DDIM (Song et al. 2021), the sampler of the paper's experiments, as diffusers' DDIMScheduler has it. */
#ifndef TI_DDIM_H
#define TI_DDIM_H

#include "diffusion/noise_schedule.h"

/* Returns why the model cannot sample in this number of steps, a text to be freed, or NULL when it can. The
   reference has no such check: its timesteps may lie past the model's last one, and it may divide by zero,
   since pure noise (rescale_betas_zero_snr) has an abar of 0. */
char *ddim_fault(const NoiseSchedule *schedule, int64_t steps);

/* Fills timesteps [steps] in descending order, in the config's spacing. Where ddim_fault returns a text they
   cannot be sampled with. In the 'trailing' spacing the reference has one step more wherever T / (T / steps),
   computed in floating point, exceeds steps (61 of 1000 steps is the first case). This step is at timestep -1
   and would turn the finished picture into noise, so it is left out here. */
void ddim_timesteps(const NoiseSchedule *schedule, int64_t steps, int64_t *timesteps);

/* One DDIM step (Song et al. 2021, equations 12 and 16; DDIMScheduler.step) from timestep t to t' = t - T div
   steps, where T = train_timesteps. With a = abar_t and a' = abar_t' (the paper's alpha_t and alpha_(t-1)):

       x0    = (x_t - sqrt(1 - a) eps) / sqrt(a)                      the predicted picture
       sigma = eta sqrt((1 - a') / (1 - a)) sqrt(1 - a / a')
       x_t'  = sqrt(a') x0 + sqrt(1 - a' - sigma^2) eps + sigma noise

   eps is the UNet's output, or follows from it where the model predicts v or the picture. x [count] is x_t
   and is overwritten with x_t'; noise [count] ~ N(0, I) is read only where eta > 0. */
void ddim_step(const NoiseSchedule *schedule, int64_t steps, int64_t t, const float *output, float eta,
               const float *noise, int64_t count, float *x);

#endif
