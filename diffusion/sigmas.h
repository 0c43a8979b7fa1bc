/* SPDX-License-Identifier: MIT */
/* Which timesteps and noise levels a sampler visits: what the samplers share. A noise level is

       sigma_t = sqrt((1 - abar_t) / abar_t),

   the ratio of noise to picture in z_t. */
#ifndef TI_SIGMAS_H
#define TI_SIGMAS_H

#include "diffusion/noise_schedule.h"

/* Returns timestep i of n, in descending order, in the config's spacing (Lin et al. 2023, table 2), before it
   is rounded to a whole number. `last` is the number of timesteps that may be visited, T unless a sampler
   leaves out the noisiest:

       leading    (n - 1 - i) (last div n) + steps_offset
       linspace   (n - 1 - i) (last - 1) / (n - 1)
       trailing   round(last - i T / n) - 1

   Two traps come from numpy: it rounds halves to even, as rint does, and its arange of floats advances by
   the difference of its first two members, each rounded, rather than by the step that it was given. In the
   'trailing' spacing the reference has one step more wherever T / (T / n), computed in floating point,
   exceeds n (for T = 1000, 61 steps are the first case). This additional step is at timestep -1, which no
   model was trained on, so it is left out here. */
double spaced_timestep(const SchedulerConfig *c, int64_t last, int64_t n, int64_t i);
/* Returns a message when a whole timestep of the n is not one of the model's, which steps_offset can
   cause. */
char *spacing_fault(const SchedulerConfig *c, int64_t n);

/* Returns abar_t, but 2^-24 instead of 0 at the end of a schedule with zero SNR, so that its sigma is 4096
   instead of infinite. */
float alpha_cumprod_above_zero(const NoiseSchedule *schedule, int64_t t);
/* Fills table [T] with all sigma_t. */
void sigma_table(const NoiseSchedule *schedule, float *table);
/* Returns sigma at a timestep that need not be whole: linear between its neighbours, constant outside. */
double sigma_at(const float *table, int64_t total, double t);
/* Returns the timestep of a sigma: linear in log sigma between its neighbours in the table. */
double timestep_of_sigma(const float *log_table, int64_t total, double sigma);
/* Fills log_table [T] with the logarithms of the table, rounded to fp32. */
void sigma_logs(const float *table, int64_t total, float *log_table);

/* The config's ways to place n sigmas between two ends, the greater first. Each returns sigma i:

       Karras        (a^(1/7) + i / (n - 1) (b^(1/7) - a^(1/7)))^7     (Karras et al. 2022, equation 5)
       exponential   exp(log a + i / (n - 1) (log b - log a)) */
double karras_sigma(double a, double b, int64_t n, int64_t i);
double exponential_sigma(double a, double b, int64_t n, int64_t i);
/* Returns numpy.linspace(a, b, n)[i]. */
double linspace(double a, double b, int64_t n, int64_t i);

/* Fills sigmas [n] with values from the greatest of the table to the least whose logarithms are linear. */
void log_linear_sigmas(const float *table, int64_t total, int64_t n, double *sigmas);

/* Replaces the sigma_min and sigma_max that a table or the visited timesteps have by those of the config,
   where it sets them. */
void sigma_ends(const SchedulerConfig *c, double *first, double *last);
/* Returns the sigma after the last step: 0, or that of timestep 0, as the config says. */
float final_sigma(const SchedulerConfig *c, const float *table);
/* Returns a message when the config asks for sigmas that are not supported, or for two kinds at once. */
char *sigmas_fault(const SchedulerConfig *c);

#endif
