/* SPDX-License-Identifier: MIT */
/* The CLIP with which commands score pictures: which one it is, and the features of picture files. */
#ifndef TI_SCORER_H
#define TI_SCORER_H

#include "inversion/pictures.h"
#include "nn/clip_model.h"

typedef struct {
    char *path; /* of the CLIP, or NULL when there is none */
    ClipModel model;
    ClipFeatures features;
    Arena arena;
} Scorer;

/* Opens the CLIP in the folder `clip`, or, where that is NULL, the one that lies in the model's folder as
   clip/ or, for pictures only, as safety_checker/. "none" opens none. Says on stderr which one it is, or
   that the model has none. Returns false and adds a message for each fault of it. The caller calls
   scorer_close in every case. */
bool scorer_open(Scorer *s, const char *clip, const char *model, Precision precision, int threads,
                 Messages *errors, Messages *warnings);
void scorer_close(Scorer *s);

/* The length F of a feature, and whether texts can be compared. */
int64_t scorer_width(const Scorer *s);
bool scorer_has_text(const Scorer *s);

/* Computes the features [pictures, F] of the files of a list, as they are before any resizing for training;
   free() them. Returns NULL and adds a message for each file that is damaged. */
float *scorer_files(Scorer *s, const Pictures *files, Messages *errors);

/* Lists the pictures of a folder, of which only the paths are used. */
bool scorer_list(const Scorer *s, const char *folder, Pictures *out, Messages *errors, Messages *warnings);

#endif
