/* SPDX-License-Identifier: MIT */
/* The text "parameters" with which A1111's pictures say how they were made, and which its tab "PNG Info",
   civitai and others read:

       the prompt
       Negative prompt: what the picture should differ from
       Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512, ...

   A line is left out where there is nothing to say; the last one is always there. */
#ifndef TI_PARAMETERS_H
#define TI_PARAMETERS_H

#include "io/base.h"

typedef enum {
    SCHEDULE_UNIFORM,
    SCHEDULE_KARRAS,
    SCHEDULE_EXPONENTIAL,
    SCHEDULE_BETA,
    SCHEDULE_ALIGN_YOUR_STEPS
} ScheduleType;

typedef struct {
    const char *prompt, *negative; /* negative may be NULL */
    int64_t steps;
    const char *sampler; /* as --sampler names it */
    ScheduleType schedule;
    double guidance;
    int64_t seed; /* of this picture */
    int64_t width, height;
    const char *model;      /* its name */
    const char *model_hash; /* the SHA-256 of its file, of which 10 digits are written, or NULL */
    double strength;        /* of the noise that is added to a picture, or 0 without one */
    int64_t clip_skip;      /* 1 for none */
    double eta, rescale;    /* of DDIM, and of the guidance */
    bool gpu_noise;
    int64_t batch, number; /* picture `number`, from 0, of so many whose noise comes from one generator */
    const char *words;     /* "name: hash, name: hash", or NULL */
    const char *version;   /* of this program */
} Parameters;

/* Returns the text, which the caller frees. Settings that A1111 leaves out at their default are left out. A
   value with a comma, a colon or a line end is written as a JSON string. "Batch size" and "Batch pos", as
   earlier versions of A1111 wrote them, are there for one of several pictures of a batch. */
char *parameters_text(const Parameters *p);

#endif
