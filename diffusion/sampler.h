/* SPDX-License-Identifier: MIT */
/* Samplers: the ways from noise to a picture. Each is a file of this folder that begins with its equation and
   defines one constant of the type Sampler, which is listed in SAMPLERS. What calls them (sampling.c, the
   commands) knows none of them by name. */
#ifndef TI_SAMPLER_H
#define TI_SAMPLER_H

#include "diffusion/noise_schedule.h"

typedef struct Sampler Sampler;

/* Whether the sigmas are spaced as Karras et al. 2022 do: as the model's config says, or not. */
typedef enum { KARRAS_AS_CONFIG, KARRAS_ON, KARRAS_OFF } Karras;

/* A number of steps that stands for ten timesteps of Sabour et al. 2024, which some samplers have. */
enum { STEPS_ALIGN_YOUR_STEPS = -1 };

typedef struct {
    const Sampler *sampler;
    int64_t steps; /* N, or STEPS_ALIGN_YOUR_STEPS */
    Karras karras;
    float eta; /* of DDIM: 0 adds no noise in a step */
    /* False: the model's config is read as the reference's pipeline reads it, whose own sampler this is.
       True: it is converted to this sampler's class, as from_config does. See sampler_config. */
    bool converted;
    /* How much of the way is gone from a picture: of N steps the last floor(N strength) are done. 0 where the
       latents begin as noise alone, with all steps. */
    double strength;
} SamplerOptions;

/* The denoising steps of one sampler for one model. The UNet is evaluated `evaluations` times, which is N
   except in PNDM. In evaluation k, counted from 0, it is asked at timesteps[k], which need not be whole. */
typedef struct {
    const Sampler *sampler;
    NoiseSchedule schedule; /* of the model's config as this sampler's class reads it */
    int64_t steps, evaluations;
    int64_t begin;    /* the first evaluation that is done: 0, or a later one where a picture is given */
    float *timesteps; /* [evaluations], in descending order except in PNDM */
    /* [evaluations + 1], in descending order, for samplers that work with sigma = sqrt((1 - abar) / abar),
       the ratio of noise to picture; else NULL. */
    float *sigmas;
    float noise_scale; /* the standard deviation of the initial noise */
    float eta;
    bool align_your_steps;
} Trajectory;

struct Sampler {
    const char *name;           /* as --sampler takes it */
    const char *const *classes; /* the diffusers classes that it stands for, ending with NULL */
    bool (*stands_for)(
        const SchedulerConfig *c); /* whether it does for this config of a class; NULL for any */
    int64_t steps;                 /* the default number of steps */
    const char *reason;            /* why this is the default */
    /* What the class takes where the config has no such field. */
    Spacing spacing;
    bool set_alpha_to_one, clip_sample;
    double beta_start, beta_end; /* 0 for DDPM's, 0.0001 and 0.02, which are linear */
    BetaSchedule beta_schedule;
    bool ignores_zero_snr;
    bool has_karras, has_eta, has_align_your_steps; /* the options that it has */
    bool distilled;                                 /* whether it is for models that were distilled for it */
    int64_t history; /* the arrays as large as a picture's latents that it needs for each picture */

    /* Returns why the class cannot draw with this config, or NULL; the caller frees it. steps is 1 to T.
       May be NULL. What divides by zero need not be found here: sampler_fault tries all steps. */
    char *(*fault)(const SchedulerConfig *c, int64_t steps);
    /* Fills the fields below `steps`, as far as they are not 0, NULL, or 1 for noise_scale. */
    void (*plan)(Trajectory *t);
    /* Returns what the latents are divided by before the UNet sees them. May be NULL, for 1. */
    float (*input_divisor)(const Trajectory *t, int64_t k);
    /* Sets the factors of picture and noise in the latents before step k. May be NULL, for sqrt(abar) and
       sqrt(1 - abar) of its timestep. */
    void (*mix)(const Trajectory *t, int64_t k, float *picture, float *noise);
    /* Returns whether step k reads noise. May be NULL, for no. */
    bool (*draws)(const Trajectory *t, int64_t k);
    /* Does step k, begin <= k < evaluations, for one picture: x [count] is overwritten. output [count] is
       what the UNet predicted for x, noise [count] ~ N(0, I) is read only where draws says so, and past
       [history, count] is the sampler's own, which keeps in it what a step needs of earlier ones. */
    void (*step)(const Trajectory *t, int64_t k, const float *output, const float *noise, int64_t count,
                 float *x, float *past);
};

/* All samplers, ending with NULL, and their names in the same order behind "auto". */
extern const Sampler *const SAMPLERS[];
extern const char *const SAMPLER_NAMES[];

/* Returns the sampler that stands for the class of the config. Sets *converted to false, or, where there
   is no such sampler and another one is returned, to true. */
const Sampler *sampler_of_config(const SchedulerConfig *c, bool *converted);

/* Returns the sampler that has STEPS_ALIGN_YOUR_STEPS. */
const Sampler *sampler_with_align_your_steps(void);

/* Returns the reason why the model cannot sample with these options, or NULL when it can; free() it. The
   reference has no such check: its timesteps may exceed the model's last one, and it may divide by zero. */
char *sampler_fault(const SchedulerConfig *config, SamplerOptions options);
/* Plans the steps. sampler_fault must return NULL. */
Trajectory trajectory_new(const SchedulerConfig *config, SamplerOptions options);
void trajectory_free(Trajectory *t);

/* Sets out [count] to the latents before step k of a picture whose clean latents are z [count], with the
   given noise [count] ~ N(0, I), as add_noise of the sampler's class does. out may be noise. */
void trajectory_add_noise(const Trajectory *t, int64_t k, const float *z, const float *noise, int64_t count,
                          float *out);

/* Sets x0 [count] to the clean latents that the UNet's output [count] predicts before step k, given the
   latents x [count]; where the sampler's class clips or thresholds them, so does this. x0 may be neither. */
void trajectory_predict_x0(const Trajectory *t, int64_t k, const float *x, const float *output, int64_t count,
                           float *x0);

/* Functions of Sampler, of which the first two may be NULL. */
float trajectory_input_divisor(const Trajectory *t, int64_t k);
bool trajectory_draws(const Trajectory *t, int64_t k);
void trajectory_step(const Trajectory *t, int64_t k, const float *output, const float *noise, int64_t count,
                     float *x, float *past);

/* Leads from a picture to noise. It is not in SAMPLERS, and has no number of steps of its own. */
extern const Sampler DDIM_INVERSE;
extern const Sampler DDIM, PNDM, EULER, EULER_ANCESTRAL, DPM_SOLVER, DPM_SOLVER_SDE, LCM;

#endif
