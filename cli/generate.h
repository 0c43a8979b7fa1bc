/* SPDX-License-Identifier: MIT */
/* The options of `ti generate`. */
#ifndef TI_GENERATE_H
#define TI_GENERATE_H

#include "cli/commands.h"
#include "cli/sampler_options.h"

typedef struct {
    Given given;
    /* what is generated */
    char *prompt, *negative; /* negative is NULL, which means "", when it was not given */
    char *prompts;           /* the file of prompts, or NULL; then prompt is not NULL */
    char *like;              /* the picture from which options are taken, or NULL */
    StringList embeddings;   /* each FILE, NAME=FILE or FOLDER, as words_load takes it */
    char *model;             /* NULL for the embedded model */
    char *vae;               /* NULL for the model's own VAE */
    int prediction;          /* index into PREDICTIONS */
    int64_t count, picture;  /* picture: the number of the only one of them that is drawn, or 0 for all */
    int64_t width, height;   /* in pixels; 0 for the model's own side */
    /* how it is generated */
    int64_t seed;
    int rng; /* index into the choices of --rng: 1 is gpu */
    SamplerChoice sampler;
    double guidance, rescale;
    int64_t clip_skip;
    int prompt_syntax, long_prompts; /* a PromptSyntax, a LongPrompts */
    char *latents;                   /* the file of the initial noise, or NULL */
    char *init_image;                /* the file of the picture to begin from, or NULL */
    char *mask;                      /* the file of the mask for init_image, or NULL */
    double strength;                 /* of --init-image */
    bool no_paste;                   /* with --mask: the picture's own pixels are not put back */
    int precision;                   /* PRECISION_F32 or PRECISION_BF16 */
    /* what is written */
    char *out;
    int64_t keep;        /* how many of the pictures are written, the best by CLIP's score, or 0 for all */
    char *clip, *images; /* the CLIP, and the folder of pictures to which they are to be alike, or NULL */
    int64_t preview;     /* each how many steps there is a preview, or 0 */
    bool grid, force, no_metadata;
    /* the machine */
    char *memory;    /* as memory_limit_parse takes it */
    int64_t threads; /* 0 for the physical cores */
    bool profile;
} GenerateOptions;

#endif
