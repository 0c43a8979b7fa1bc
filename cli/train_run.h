/* SPDX-License-Identifier: MIT */
/* A training run and what happens at some of its steps: losses at fixed points, validation pictures,
   checkpoints. */
#ifndef TI_TRAIN_RUN_H
#define TI_TRAIN_RUN_H

#include "autograd/profile.h"
#include "cli/memory.h"
#include "cli/resume.h"
#include "cli/train.h"
#include "inversion/grid_loss.h"
#include "inversion/validation.h"

typedef struct {
    TrainOptions *o;
    int threads;
    MemoryLimit memory;
    Model model;
    Words words; /* the word that is learned; words.learned are its vectors */
    Pictures pictures;
    TrainingPrompts prompts;
    Masks masks; /* of --masks */
    Encoder encoder;
    Posteriors posteriors;
    Loop loop;
    Validation *validation; /* NULL without --validation-prompt */
    Arena arena;            /* shared by all graphs, which run one at a time */
    RunFolder folder;
    bool has_state; /* whether the run is resumed from `state`; otherwise it begins with its first step */
    RunState state;
    StateSaver saver;
    NormRule norm;        /* of --norm */
    float *initial;       /* [vectors, width]: the learned vectors before the first step */
    EarlyStop stop;       /* of --stop auto */
    bool interrupted;     /* whether a signal, or --for, cut off the validation picture or a fixed loss of the
                             last step, which a resumed run then does first */
    bool weights_changed; /* whether a file of weights was modified during the run, so that
                             no further results may be kept */
    Profile profile;
} Run;

/* The hint that follows a loss that is not finite (check_loss). */
static const char TRAIN_SMALLER_LR[] = " (a smaller --lr?)";

/* What train_measure.c does can be cut short by a signal or by --for. Its functions then return true, and
   r->interrupted is set. They return false and add a message when a loss is not finite or a file cannot be
   written. */

/* What the losses on fixed points are measured on. */
GridLossData train_grid_data(const Run *r);
/* Measures the fixed-grid loss and keeps it for loss.png. When it is interrupted, nothing is kept. */
bool train_measure_grid(Run *r, double *loss, Messages *errors);
/* With --stop auto, measures its loss where that is due after a step and not done yet. */
bool train_measure_stop(Run *r, int64_t step, Messages *errors);

/* Makes prompts, losses and checkpoints use the vectors of the word that are learned after so many steps.
   Where their number changes, which it does with --progressive, the prompt of the validation pictures is
   read anew. */
bool train_show_learned(Run *r, int64_t step, Messages *errors);

/* Does what follows an update at some steps: the loss of --stop auto, a validation picture, the fixed-grid
   loss, a checkpoint. done: the run was stopped at this step, so that some of it may be done already. */
bool train_after_update(Run *r, int64_t step, bool done, Messages *errors);

/* Whether the run ends after this step. */
bool train_is_last(const Run *r, int64_t step);

/* At the end of a run, exchanges the learned vectors and those that --stop auto keeps, if they are others.
   The second call undoes this. */
void train_exchange_best(Run *r);

#endif
