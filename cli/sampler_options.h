/* SPDX-License-Identifier: MIT */
/* The options that choose a sampler, which the commands that draw pictures share. */
#ifndef TI_SAMPLER_OPTIONS_H
#define TI_SAMPLER_OPTIONS_H

#include "cli/options.h"
#include "diffusion/model.h"
#include "diffusion/sampler.h"

/* Part of a command's struct of values. */
typedef struct {
    int sampler;   /* index into SAMPLER_NAMES */
    int64_t steps; /* 0 for the sampler's own number, or STEPS_ALIGN_YOUR_STEPS */
    bool karras, no_karras;
    double eta;
} SamplerChoice;

/* The entries of the table of options for a SamplerChoice at `at`. */
#define SAMPLER_OPTION(at, title)                                                                            \
    {                                                                                                        \
        "sampler", OPTION_CHOICE, (at) + offsetof(SamplerChoice, sampler), "NAME",                           \
            .choices = SAMPLER_NAMES, .standard = "auto", .model = true, .heading = title,                   \
            .reason = "that of the model's scheduler, as in diffusers",                                      \
            .help = "ddim, pndm, euler, euler-a, dpm++2m, dpm++2m-sde or lcm (for latent consistency "       \
                    "models); each reads the model's scheduler_config.json as its class in diffusers does"   \
    }
#define SAMPLER_STEPS_OPTION(at, option)                                                                     \
    {                                                                                                        \
        option, OPTION_INT, (at) + offsetof(SamplerChoice, steps), "N|ays", 1, 1000,                         \
            .word = "ays", .model = true, .shown = "the sampler's own", .reason = SAMPLER_STEPS,             \
            .help = "the denoising steps; "                                                                  \
                    "ays: ten timesteps "                                                                    \
                    "that were optimised "                                                                   \
                    "for Stable Diffusion "                                                                  \
                    "1.5, with dpm++2m "                                                                     \
                    "(Align Your Steps)"                                                                     \
    }
#define KARRAS_OPTION(at)                                                                                    \
    {                                                                                                        \
        "karras", OPTION_FLAG, (at) + offsetof(SamplerChoice, karras),                                       \
            .model = true,                                                                                   \
            .help = "space the noise levels as Karras et al. 2022 do (euler, dpm++2m, "                      \
                    "dpm++2m-sde), and with --no-karras do not, whatever the model's "                       \
                    "scheduler says"                                                                         \
    }
#define NO_KARRAS_OPTION(at)                                                                                 \
    { "no-karras", OPTION_FLAG, (at) + offsetof(SamplerChoice, no_karras), .help = "see --karras" }
#define SAMPLER_STEPS "ddim 30, pndm 50, euler 30, euler-a 30, dpm++2m 20, dpm++2m-sde 25, lcm 4"

/* Adds a message when the options of the command line exclude each other. */
void sampler_check(const SamplerChoice *o, Messages *errors);
/* To be called when the model's defaults.json was read: what it says about steps and sigmas was meant for
   its own sampler, and does not hold when the user names one or gives other steps. `steps` is the name of
   the option for the steps. */
void sampler_settle(const Command *c, const void *values, const char *steps, SamplerChoice *o);
/* Sets *out. strength is that of a picture to begin from, or 0. Adds a warning when the model's own
   sampler is one that is not here. Returns false and adds a message when the options do not fit each other
   or the model. */
bool sampler_choose(const SamplerChoice *o, const char *steps, double strength, const Model *m,
                    SamplerOptions *out, Messages *errors, Messages *warnings);

#endif
