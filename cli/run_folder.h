/* The folder that a training run writes: the learned word at the end and at checkpoints, the losses as numbers and as a
   picture. */
#ifndef TI_RUN_FOLDER_H
#define TI_RUN_FOLDER_H

#include "cli/loop.h"

#include <stdio.h>

typedef struct {
    char *path;
    char *word;      /* the token, "<grum>" */
    char *file_name; /* the token as a file's name, "grum": A1111 and ComfyUI take the word from it */
    FILE *losses;    /* losses.csv: step,loss,lr with a line a micro-batch */
    /* for loss.png */
    double *loss, *smoothed;
    int64_t count, capacity;
    int64_t step;   /* updates done */
    double average; /* the last smoothed loss */
    struct {
        double *step, *loss;
        int64_t count;
    } grid;
} RunFolder;

/* Makes the folder. An existing one that holds anything is refused without force. */
bool run_folder_open(RunFolder *r, const char *path, const char *word, bool force, Messages *errors);
void run_folder_close(RunFolder *r);

/* PATH/NAME; free() it */
char *run_folder_file(const RunFolder *r, const char *format, ...) PRINTF_LIKE(2, 3);

/* A line of losses.csv; the smoothed loss is in r->average. */
bool run_folder_log(RunFolder *r, LoopRecord record, Messages *errors);
void run_folder_grid(RunFolder *r, int64_t step, double loss);

/* The learned vectors [vectors, width]: learned_embeds-steps-N.safetensors and loss.png; at the end (step < 0)
   learned_embeds.safetensors, and the same under the word's own name. */
bool run_folder_save(RunFolder *r, int64_t step, const float *rows, int64_t vectors, int64_t width,
                     Messages *errors);

#endif
