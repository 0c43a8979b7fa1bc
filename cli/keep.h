/* SPDX-License-Identifier: MIT */
/* `ti generate --keep N`: of the drawn pictures, only the N that CLIP scores best are written. */
#ifndef TI_KEEP_H
#define TI_KEEP_H

#include "cli/generate.h"
#include "cli/scorer.h"
#include "text/prompt.h"

typedef struct {
    Scorer scorer;
    float *training; /* the features [pictures, F] of --images, or NULL */
    int64_t training_count;
    double *scores; /* [count], from the best to the worst */
    int64_t *order; /* [count]: which of the drawn pictures each of them is */
} Keep;

/* Opens the CLIP, and reads the pictures of --images. Does nothing without --keep. Returns false and adds a
   message for each fault. The caller calls keep_close in every case. */
bool keep_open(Keep *k, const GenerateOptions *o, const Model *m, int threads, Messages *errors,
               Messages *warnings);
void keep_close(Keep *k);

/* Scores the pictures [count] of a prompt and sorts them from the best to the worst. A score is the cosine
   of the picture's and the prompt's features, where the prompt is without its learned words, which CLIP
   does not know; with --images, the mean cosine with these is added. Returns false and adds a message when
   a score is not finite. */
bool keep_rank(Keep *k, const GenerateOptions *o, const Words *words, const char *prompt, Image *images,
               int64_t count, Messages *errors, Messages *warnings);

#endif
