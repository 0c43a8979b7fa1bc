/* The noise schedule: how a latent picture is noised (DDPM).

   abar_t = prod_{s <= t} (1 - beta_s):   z_t = sqrt(abar_t) z + sqrt(1 - abar_t) noise */
#ifndef TI_NOISE_SCHEDULE_H
#define TI_NOISE_SCHEDULE_H

#include "io/base.h"
#include "weights/config.h"

typedef struct {
    SchedulerConfig config;
    float *alphas_cumprod; /* [train_timesteps], rounded as the reference's fp32 tensor is */
} NoiseSchedule;

NoiseSchedule noise_schedule_new(const SchedulerConfig *config);
void noise_schedule_free(NoiseSchedule *d);
/* False where rescaling divided by zero: one timestep, betas that are all 0, an abar that is 0 too early. */
bool noise_schedule_finite(const NoiseSchedule *d);

/* z_t of one picture (DDPMScheduler.add_noise). */
void noise_schedule_add_noise(const NoiseSchedule *d, const float *z, const float *noise, int64_t t,
                              int64_t count, float *out);

/* What the UNet has to predict: noise, or v = sqrt(abar) noise - sqrt(1 - abar) z
   (DDPMScheduler.get_velocity). CHECK: it does not predict the picture, for which the reference's script has
   no target. */
void noise_schedule_target(const NoiseSchedule *d, const float *z, const float *noise, int64_t t,
                           int64_t count, float *out);

#endif
