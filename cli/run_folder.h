/* SPDX-License-Identifier: MIT */
/* The folder that a training run writes: the learned word, at checkpoints and at the end, and the
   losses as numbers and as a plot. */
#ifndef TI_RUN_FOLDER_H
#define TI_RUN_FOLDER_H

#include "inversion/losses.h"
#include "inversion/state.h"

/* The names of two of its files: the options of the run, and the state from which --resume continues. */
#define RUN_OPTIONS "options.json"
#define RUN_STATE   "run.state"

typedef struct {
    char *path;
    char *word;      /* the token, "<grum>" */
    char *file_name; /* the token as a file's name, "grum", which A1111 and ComfyUI use as the word */
    int folder;      /* the folder's descriptor, which holds a lock against a second run */
    bool open;       /* whether the descriptor is open */
    Losses losses;   /* losses.csv */
    int64_t points;
    double *grid; /* [points, 2]: a step and its fixed-grid loss */
} RunFolder;

/* Creates and locks the folder of a new run. Without force, a folder that contains anything is refused. After
   the options are written, run_folder_open_losses must be called. */
bool run_folder_open(RunFolder *r, const char *path, const char *word, bool force, Messages *errors);

/* Opens and locks the folder of a run that was stopped, and removes the temporary files that it left. Ranks
   other than the first (inversion/ranks.h) only learn its name. */
bool run_folder_reopen(RunFolder *r, const char *path, const char *word, Messages *errors);
/* Opens losses.csv. With a state that has records, the file is read as far as the state knows it, and
   the rest is cut off. Otherwise (state may be NULL) the file is begun anew, after the file of an old
   state has been removed. Returns false and adds a message when losses.csv does not begin as the
   state says; then it is not changed. */
bool run_folder_open_losses(RunFolder *r, const RunState *state, Messages *errors);

void run_folder_close(RunFolder *r);

/* Returns the path of a file in the folder, whose name is formatted; free() it. */
char *run_folder_file(const RunFolder *r, const char *format, ...) PRINTF_LIKE(2, 3);

/* Adds a fixed-grid loss, for loss.png and for the state. */
void run_folder_add_grid_loss(RunFolder *r, int64_t step, double loss);

/* Writes loss.png and the learned vectors [vectors, width]: as the checkpoint
   learned_embeds-steps-N.safetensors, or at the end (step < 0) as learned_embeds.safetensors and under the
   word's own name. */
bool run_folder_save(RunFolder *r, int64_t step, const float *learned, int64_t vectors, int64_t width,
                     Messages *errors);

/* For a finished run that is resumed: writes each of the word's two files that does not contain these
   vectors, and prints a note about it. */
bool run_folder_restore(const RunFolder *r, const float *learned, int64_t vectors, int64_t width,
                        Messages *errors);

/* Finds the checkpoints of the run in a folder. Returns their number and sets *steps to the steps at which
   they were saved, in ascending order; free() it. Returns 0 and adds a message when there are none. */
int64_t run_checkpoints(const char *folder, int64_t **steps, Messages *errors);
/* Returns the path of one of them; free() it. */
char *run_checkpoint_path(const char *folder, int64_t step);

#endif
