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
                         const int32_t *prompts, int64_t count);
void identity_free(RunIdentity *identity);

/* Returns whether a run that began with the inputs `then` may continue with the inputs `now`. Adds a message
   for each file that has changed. */
bool identity_same(const RunIdentity *then, const RunIdentity *now, const TrainOptions *o, const Model *m,
                   const Pictures *pictures, Messages *errors);

/* Reads the state of the run in a folder. If the run was stopped before it saved its first state, *found
   becomes false, and this is not an error. Returns false and adds a message when the state cannot be read. */
bool resume_read(const RunFolder *folder, RunState *state, bool *found, Messages *errors);

/* Checks that the state fits the loop, and restores the folder's losses and fixed-grid losses from
   it. state_restore does the rest. every is the number of steps between two fixed-grid losses. When a
   run is extended, the one that was measured at its former end is dropped, unless its step is a
   multiple of `every`. Returns false and adds a message when the state or losses.csv does not fit;
   then the folder is not changed. */
bool resume_folder(RunFolder *folder, const RunState *state, const Loop *loop, int64_t every,
                   Messages *errors);

/* Writes the run's state from time to time: after the first micro-batch, and then once a second. On a slow
   disk it is written less often, so that writing takes at most a fiftieth of the time. */
typedef struct {
    RunIdentity identity;
    double first_loss;    /* for RunState.first_loss */
    const float *initial; /* for RunState.initial; the array stays the caller's */
    double next;          /* the time of system_seconds at which the next state is due */
} StateSaver;

bool saver_due(const StateSaver *s);
/* Writes the state now. It must be called between two micro-batches, after all files that belong to
   the last one have been written. */
bool saver_write(StateSaver *s, const Loop *loop, RunFolder *folder, bool finished, Messages *errors);

/* Returns the command "ti train --resume --out FOLDER", quoted for a shell; free() it. */
char *resume_command(const char *folder);

#endif
