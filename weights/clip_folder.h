/* SPDX-License-Identifier: MIT */
/* Opens a CLIP, which compares pictures and texts: a folder with transformers' CLIPModel and its processor,
   or the safety checker of a folder of Stable Diffusion 1.x, which contains the picture encoder of CLIP
   ViT-L/14 but no text encoder. */
#ifndef TI_CLIP_FOLDER_H
#define TI_CLIP_FOLDER_H

#include "weights/folder.h"

typedef struct {
    char *path;
    ClipModelConfig config;
    PreprocessorConfig preprocessor;
    bool has_text; /* whether there is a text encoder with its projection and its tokenizer */
    TokenizerConfig tokenizer;
    char *vocab_path, *merges_path; /* for tokenizer_load */
    WeightFiles files;
    /* The weights of each encoder, under their names within it, and those of the projections. */
    Store *text, *vision, *projections;
} ClipFolder;

/* Opens the folder, reads its configs and maps its weights, as folder_open does. Returns false and adds a
   message for each fault; then there is nothing to close. The stores keep the pointer errors, which must
   outlive them. */
bool clip_folder_open(const char *path, WeightsOpener *open, ClipFolder *f, Messages *errors,
                      Messages *warnings);
/* Does the same with MODEL/safety_checker, whose preprocessor's config is in MODEL/feature_extractor. */
bool clip_folder_open_checker(const char *model, WeightsOpener *open, ClipFolder *f, Messages *errors,
                              Messages *warnings);
/* Returns whether a model has the weights of such a safety checker. */
bool clip_folder_has_checker(const char *model);
void clip_folder_close(ClipFolder *f);

#endif
