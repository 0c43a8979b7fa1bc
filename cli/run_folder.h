/* The folder that a training run writes: the learned word at the end and at checkpoints, the losses as
   numbers and as a picture. */
#ifndef TI_RUN_FOLDER_H
#define TI_RUN_FOLDER_H

#include "inversion/losses.h"
#include "inversion/state.h"

/* Names in it: the options used, and the state that --resume goes on from. */
#define RUN_OPTIONS "options.json"
#define RUN_STATE   "run.state"

typedef struct {
    char *path;
    char *word;      /* the token, "<grum>" */
    char *file_name; /* the token as a file's name, "grum": A1111 and ComfyUI take the word from it */
    int folder;      /* open and locked while open is true: two runs in one folder would spoil each other */
    bool open;
    Losses losses; /* losses.csv */
    int64_t points;
    double *grid; /* [points, 2]: a step and its fixed-grid loss */
} RunFolder;

/* Makes the folder. An existing one that holds anything is refused without force. run_folder_go_on follows,
   once the options are written. */
bool run_folder_open(RunFolder *r, const char *path, const char *word, bool force, Messages *errors);

/* Opens the folder of a run that was stopped, and removes what it was writing then. */
bool run_folder_reopen(RunFolder *r, const char *path, const char *word, Messages *errors);
/* Reads losses.csv back, as far as the state knows it, and cuts off what follows. Without a state (NULL), or
   if that has no records, it begins, and a state's file that is there goes. Errors: losses.csv is not as it
   was; then nothing is changed. */
bool run_folder_go_on(RunFolder *r, const RunState *state, Messages *errors);

void run_folder_close(RunFolder *r);

/* PATH/NAME; free() it */
char *run_folder_file(const RunFolder *r, const char *format, ...) PRINTF_LIKE(2, 3);

/* A point of the fixed-grid loss for loss.png. */
void run_folder_grid(RunFolder *r, int64_t step, double loss);

/* The learned vectors [vectors, width]: learned_embeds-steps-N.safetensors and loss.png; at the end (step <
   0) learned_embeds.safetensors, and the same under the word's own name. */
bool run_folder_save(RunFolder *r, int64_t step, const float *learned, int64_t vectors, int64_t width,
                     Messages *errors);

/* At the end of a finished run that is looked at again: writes its word's files, and says so, where they are
   not these vectors. */
bool run_folder_restore(const RunFolder *r, const float *learned, int64_t vectors, int64_t width,
                        Messages *errors);

#endif
