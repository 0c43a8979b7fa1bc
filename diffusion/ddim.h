/* DDIM (Song et al. 2020): the sampler that the paper draws with. */
#ifndef TI_DDIM_H
#define TI_DDIM_H

#include "diffusion/noise_schedule.h"

/* Why the model cannot draw in so many steps, to be freed; NULL: it can. Timesteps may be past the model's
   last, and the reference may divide by zero: pure noise (rescale_betas_zero_snr) has no signal. */
char *ddim_fault(const NoiseSchedule *d, int64_t steps);

/* The timesteps of a drawing, downwards, in the config's spacing; where there is a ddim_fault they cannot be
   drawn with.
   Where T / (T / N) is rounded up (61 of 1000 steps is the first), the reference's 'trailing' spacing has one
   step more, at timestep -1, which makes noise of the picture. That one is left out. */
void ddim_timesteps(const NoiseSchedule *d, int64_t steps, int64_t *timesteps);

/* One DDIM step from timestep t (DDIMScheduler.step): x [count] and the UNet's output -> x at t -
   train_timesteps / steps. noise [count] is read where eta > 0. x is overwritten. */
void ddim_step(const NoiseSchedule *d, int64_t steps, int64_t t, const float *output, float eta,
               const float *noise, int64_t count, float *x);

#endif
