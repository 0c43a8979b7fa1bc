/* SPDX-License-Identifier: MIT */
/* `ti train`: its options (train_options.c), their record (train_record.c) and the run itself (train.c). */
#ifndef TI_TRAIN_H
#define TI_TRAIN_H

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/sampler_options.h"
#include "inversion/lr_schedule.h"
#include "inversion/templates.h"

/* The choices of --stop. */
enum { STOP_OFF, STOP_AUTO };

typedef struct {
    Given given;
    /* what is learned */
    char *images, *token;
    StringList init;
    bool init_is_file; /* whether init's only item is the path of the file of a learned word */
    int64_t vectors;
    Kind kind;
    char *templates; /* a list's name or a file; NULL for the reference script's */
    char *class;     /* the word before the new one, or NULL */
    bool captions, masks;
    double background; /* of --masks */
    char *model;       /* NULL for the embedded model */
    char *vae;         /* NULL for the model's own */
    int prediction;    /* an index into PREDICTIONS */
    /* how it is learned */
    int64_t steps;
    char *lr;      /* a rate, or rates by step */
    LrRates rates; /* parsed from lr */
    bool scale_lr;
    LrScheduleKind schedule;
    int64_t warmup, cycles;
    double weight_decay;
    int64_t batch, accumulate, repeats, seed;
    Sides sides; /* of the pictures */
    int64_t clip_skip;
    bool center_crop, no_flip;
    double min_snr, regularise; /* 0 for none */
    int64_t progressive;        /* 0 for all vectors from the first step on */
    double per_image;           /* 0 for none */
    char *norm;                 /* free, median, sphere or a number */
    /* when it ends */
    int stop; /* STOP_OFF or STOP_AUTO */
    double stop_threshold;
    int64_t stop_window; /* 0 for a share of the evaluations */
    char *duration;      /* NULL without --for */
    double seconds;      /* of --for */
    /* what is written */
    char *out; /* not NULL after the options were parsed without an error */
    bool resume, force;
    bool steps_given; /* whether --steps is on the command line, set with --resume */
    int64_t checkpoint_every;
    char *validation_prompt; /* NULL for no validation pictures */
    char *negative;          /* their negative prompt, NULL for none */
    int64_t validation_every;
    SamplerChoice sampler; /* of these pictures */
    double guidance, rescale;
    int prompt_syntax, long_prompts; /* of the validation prompt: a PromptSyntax, a LongPrompts */
    int64_t grid_loss;
    bool grid_loss_given;
    /* the machine */
    char *memory;    /* parsed by memory_limit_parse */
    int64_t threads; /* 0 for the number of physical cores */
    int precision;   /* PRECISION_F32 or PRECISION_BF16 */
    bool profile;
    /* instead of training */
    bool dry_run, json;
    char *dump;        /* the folder of --dump, or NULL */
    bool one_by_one;   /* always true with several ranks */
    uint64_t identity; /* a hash of all options that must not change when the run is resumed */
} TrainOptions;

/* Runs the command. Returns the exit status: 0 after success, 1 after errors, 128 + N after signal N. */
int train_run(void *options, Messages *errors, Messages *warnings);

/* Completes the options when the model is known: reads the defaults.json of its folder, then makes the checks
   that depend on it. Returns false and adds a message for each fault. */
bool train_options_complete(TrainOptions *o, const char *model_folder, Messages *errors);

/* Sets the number of vectors to that of the learned word in --init. Returns false and adds a message when
   --vectors gives another number or --token cannot have so many. */
bool train_options_set_vectors(TrainOptions *o, int64_t vectors, Messages *errors);

/* Writes FOLDER/options.json with absolute paths. With --resume, only the steps, --stop and the paths of the
   inputs are changed in the file. Sets o->identity. */
bool train_options_save(TrainOptions *o, const char *folder, Messages *errors);

/* Returns a hash of the text of an options.json, which must be valid, without the options that may differ
   when the run is resumed. Only the options that the file contains count, so that a newer ti, which has more
   of them, can resume the run of an older one. The options of --stop are compared with the state, which says
   how the run began to be measured. */
uint64_t train_options_identity(const char *text, size_t size);

/* Returns a hash of the options that all ranks of a run must have. */
uint64_t train_options_hash(const TrainOptions *o);

/* With --resume: takes all options that are not on the command line from options.json of the run in o->out,
   and sets o->identity. *recorded becomes the number of steps in that file. Returns false and adds a message
   for each fault: there is no such run, an option differs from the run's, or the run cannot have this number
   of steps. */
bool train_options_resume(TrainOptions *o, int64_t *recorded, Messages *errors);

/* Returns whether a run can be extended by more steps, which is possible if its learning-rate schedule
   does not depend on their number. */
bool train_options_extendable(const TrainOptions *o);

#endif
