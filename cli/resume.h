/* What makes a run go on where it was stopped: what it was started on, to be compared, and its state, to be
   saved as it goes. */
#ifndef TI_RESUME_H
#define TI_RESUME_H

#include "inversion/pictures.h"
#include "cli/run_folder.h"
#include "inversion/state.h"
#include "cli/train.h"
#include "diffusion/model.h"

/* prompts [count]: the ids of all templates. Free with identity_free. */
RunIdentity identity_new(const TrainOptions *o, const Model *m, const Pictures *pictures,
                         const int32_t *prompts, int64_t count);
void identity_free(RunIdentity *identity);

/* Whether the run that began with `then` may go on with `now`. A line for each file that is another by
   now. */
bool identity_same(const RunIdentity *then, const RunIdentity *now, const TrainOptions *o, const Model *m,
                   const Pictures *pictures, Messages *errors);

/* The state of the run in a folder. *found is false, without an error, if it was stopped before its first
   one. */
bool resume_read(const RunFolder *folder, RunState *state, bool *found, Messages *errors);

/* Puts the folder where the state was, once it is known that the loop can follow (state_restore). every:
   steps between two points of the fixed-grid loss; one that was measured at an end that is none any more is
   dropped. Errors: the state or losses.csv does not fit; then the folder is as it was. */
bool resume_folder(RunFolder *folder, const RunState *state, const Loop *loop, int64_t every,
                   Messages *errors);

/* Writes the state: at once the first time, then a second after the last time at the earliest, or later where
   the disk is so slow that it would cost more than a fiftieth of the time. */
typedef struct {
    RunIdentity identity;
    double first_loss;    /* RunState's */
    const float *initial; /* RunState's; the caller's */
    double next;          /* on system_seconds' clock */
} StateSaver;

bool saver_due(const StateSaver *s);
/* Between two micro-batches, after everything that belongs to the last one is written. */
bool saver_write(StateSaver *s, const Loop *loop, RunFolder *folder, bool finished, Messages *errors);

/* "ti train --resume --out FOLDER", as a shell takes it; free() it. */
char *resume_command(const char *folder);

#endif
