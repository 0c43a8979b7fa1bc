/* The options of `ti generate`. */
#ifndef TI_GENERATE_H
#define TI_GENERATE_H

#include "cli/commands.h"

typedef struct {
    Given given;
    /* what is drawn */
    char *prompt, *negative; /* negative: NULL: "" */
    StringList embeddings;   /* files */
    char *model;             /* NULL: the embedded one */
    char *vae;               /* NULL: the model's own */
    int prediction;          /* PREDICTIONS */
    int64_t count;
    int64_t width, height; /* 0: the model's own side */
    /* how */
    int64_t seed, steps;
    double guidance, eta;
    int sampler; /* 0: ddim */
    /* what is written */
    char *out;
    bool grid, force;
    /* the machine */
    char *memory;    /* as memory_limit_parse takes it */
    int64_t threads; /* 0: the physical cores */
    bool profile;
} GenerateOptions;

#endif
