/* SPDX-License-Identifier: MIT */
/* Resuming a run: the identity of its inputs, which must not have changed, and its state,
   which is saved during the run. */
#ifndef TI_RESUME_H
#define TI_RESUME_H

#include "inversion/pictures.h"
#include "cli/run_folder.h"
#include "inversion/state.h"
#include "cli/train.h"
#include "diffusion/model.h"

/* Hashes the inputs of the run. prompts [count] are the token ids of all templates. Free
   the result with identity_free. */
RunIdentity identity_new(const TrainOptions *o, const Model *m, const Pictures *pictures,
                         const TrainingPrompts *prompts, const Masks *masks);
void identity_free(RunIdentity *identity);

/* Returns whether a run that began with the inputs `then` may continue with the inputs `now`. Adds a message
   for each file that has changed. */
bool identity_same(const RunIdentity *then, const RunIdentity *now, const TrainOptions *o, const Model *m,
                   const Pictures *pictures, Messages *errors);

/* With several ranks (inversion/ranks.h), returns whether all have the same inputs and the same program. Adds
   a message for each rank that has others. */
bool identity_shared(const RunIdentity *own, const TrainOptions *o, const Model *m, Messages *errors);

/* Reads the state of the run in a folder. If the run was stopped before it saved its first state, *found
   becomes false, and this is not an error. Returns false and adds a message when the state cannot be read. */
bool resume_read(const RunFolder *folder, RunState *state, bool *found, Messages *errors);

/* Restores the folder's losses and fixed-grid losses to the state, after checking that the state fits the
   loop; state_restore does the rest. every is the number of steps between two fixed-grid losses: where a run
   is extended, the one that was measured at its former end is dropped, unless it is one of these and that of
   the last learned vectors, not of those that --stop auto has kept. Returns false and adds a message when the
   state or losses.csv does not fit; then the folder is not changed. */
bool resume_folder(RunFolder *folder, const RunState *state, const Loop *loop, int64_t every,
                   Messages *errors);

/* Recomputes the loss of the run's first micro-batch, before the learned vectors are restored. If it is not
   what it was, the rest of the run will not have the bits that it would have had either, and a warning says
   so. */
void resume_check_first_loss(const RunState *state, Loop *loop);

/* Moves what the state knows of early stopping to *stop, all but its `every`, if the options have --stop
   auto. Returns false and adds a message when its rule is not the one that they name. */
bool resume_early_stop(const RunFolder *folder, RunState *state, const TrainOptions *o, EarlyStop *stop,
                       Messages *errors);
/* Whether this is the state of a run that --stop auto has ended before its last step. */
bool resume_ended_early(const RunState *state);

/* Writes the run's state from time to time: after the first micro-batch, and then once a second, or less
   often on a slow disk, so that it takes at most a fiftieth of the time. */
typedef struct {
    RunIdentity identity;
    double first_loss;     /* for RunState.first_loss */
    const float *initial;  /* for RunState.initial; the array stays the caller's */
    const EarlyStop *stop; /* for RunState.stop, or NULL; it stays the caller's */
    double next;           /* the next state is due at this time of system_seconds */
} StateSaver;

bool saver_due(const StateSaver *s);
/* Writes the state now. It must be called between two micro-batches, after all files that belong to
   the last one have been written. */
bool saver_write(StateSaver *s, const Loop *loop, RunFolder *folder, bool finished, Messages *errors);

/* Returns the command "ti train --resume --out FOLDER", quoted for a shell; free() it. */
char *resume_command(const char *folder);

#endif
