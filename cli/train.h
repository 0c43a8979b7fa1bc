/* `ti train`: its options (train_options.c) and the run (train.c). */
#ifndef TI_TRAIN_H
#define TI_TRAIN_H

#include "cli/commands.h"
#include "inversion/lr_schedule.h"
#include "inversion/templates.h"

typedef struct {
    Given given;
    /* what is learned */
    char *images, *token;
    StringList init;
    bool init_is_file; /* init's only item is the path of a learned word */
    int64_t vectors;
    Kind kind;
    char *templates; /* NULL: the kind's own */
    char *model;     /* NULL: the embedded one */
    char *vae;       /* NULL: the model's own */
    int prediction;  /* PREDICTIONS */
    /* how */
    int64_t steps;
    double lr;
    bool scale_lr;
    LrScheduleKind schedule;
    int64_t warmup, cycles;
    double weight_decay;
    int64_t batch, accumulate, repeats, seed;
    int64_t resolution; /* 0: the model's own */
    bool center_crop, no_flip;
    /* what is written */
    char *out; /* never NULL once they are parsed without a fault */
    bool resume, force;
    bool steps_given; /* with --resume: --steps stands on the command line */
    int64_t checkpoint_every;
    char *validation_prompt; /* NULL: no pictures */
    int64_t validation_every, sampling_steps;
    double guidance;
    int64_t grid_loss;
    bool grid_loss_given;
    /* the machine */
    char *memory;    /* as memory_limit_parse takes it */
    int64_t threads; /* 0: the physical cores */
    bool profile;
    /* instead of training */
    bool dry_run, json;
    char *dump;        /* NULL: no */
    uint64_t identity; /* hash of those that a resumed run must share */
} TrainOptions;

/* The run; the exit status where there are no errors. */
int train_run(void *options, Messages *errors, Messages *warnings);

/* Once the model is known: its folder's defaults.json, and the checks that depend on it. */
bool train_options_complete(TrainOptions *o, const char *model_folder, Messages *errors);

/* A learned word in --init has so many vectors. False, with a line, if --vectors says another number or
   --token cannot have so many. */
bool train_options_set_vectors(TrainOptions *o, int64_t vectors, Messages *errors);

/* FOLDER/options.json, its paths absolute; with --resume the file that is there, with the steps and the
   places of the inputs as they are now. Sets o->identity. */
bool train_options_save(TrainOptions *o, const char *folder, Messages *errors);

/* With --resume: the options of the run in o->out, all that were not given now; sets o->identity. Errors, a
   line each: there is no such run, an option that differs, --steps that the run cannot have. *recorded: the
   steps that the run's options have. */
bool train_options_resume(TrainOptions *o, int64_t *recorded, Messages *errors);

/* Whether a run can have more steps afterwards: where the learning rate does not depend on their number. */
bool train_options_extendable(const TrainOptions *o);

#endif
