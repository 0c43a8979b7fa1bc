/* SPDX-License-Identifier: MIT */
/* A whole CLIP (transformers' CLIPModel; Radford et al. 2021): two encoders that map a picture and a text to
   features of one space, in which the cosine between two features says how alike the two are.

   S text tokens, F length of a feature. */
#ifndef TI_CLIP_MODEL_H
#define TI_CLIP_MODEL_H

#include "nn/clip_vision.h"
#include "weights/clip_folder.h"

typedef struct {
    ClipFolder folder;
    Tokenizer *tokenizer; /* NULL where there is no text encoder (folder.has_text) */
    Clip text;
    Layer text_projection;
    ClipVision vision;
} ClipModel;

/* Loads the parts of an open folder, which the model owns from then on. Returns false and adds a message for
   everything that is wrong; then the folder and the model are closed. */
bool clip_model_open(ClipFolder folder, ClipModel *m, Messages *errors);
void clip_model_close(ClipModel *m);

/* Returns the number of the token whose state becomes the feature of a text: the first end token. In the
   configs of OpenAI's models eos_token_id is 2, which is wrong, and there the reference takes the largest
   id. Both rules agree on texts without added words. The ids are [tokens]. */
int64_t clip_model_pooled(const ClipModel *m, const int32_t *ids, int64_t tokens);

/* The encoders as planned graphs, for one picture or text at a time. */
typedef struct {
    const ClipModel *model;
    Graph *vision, *text; /* text is NULL where there is no text encoder */
    Tensor *of_vision, *of_text;
    Plan vision_plan, text_plan;
    float *patches; /* the inputs of the graphs */
    int32_t *ids;
} ClipFeatures;

/* Records and plans both graphs. The model must outlive them. */
ClipFeatures clip_features_new(const ClipModel *m, PlanOptions plan);
void clip_features_free(ClipFeatures *f);
/* The bytes of the arena that the graphs share. */
int64_t clip_features_bytes(const ClipFeatures *f, int threads);
/* Gives the graphs their memory; must be called before the functions below. */
void clip_features_bind(ClipFeatures *f, Arena *arena, int threads);

/* Computes the feature [F] of a picture of any size, or of a text. Both are scaled to length 1, since only
   cosines are of interest. `name` of a picture is for messages. Returns false and adds a message for the
   faults of clip_vision_crop, and when the feature is zero or not finite. A text that is too long adds a
   warning. */
bool clip_image_feature(ClipFeatures *f, const char *name, const Image *image, float *out, Messages *errors);
bool clip_text_feature(ClipFeatures *f, const char *text, float *out, Messages *errors, Messages *warnings);

#endif
