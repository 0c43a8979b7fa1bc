/* SPDX-License-Identifier: MIT */
/* The evaluation of words as in the paper (Gal et al. 2022, section 5.2): pictures are drawn from prompts
   with the word, and scored in CLIP's space.

   P prompts, n pictures drawn of each, m training pictures, F length of a feature. */
#ifndef TI_EVALUATION_H
#define TI_EVALUATION_H

#include "diffusion/model.h"
#include "diffusion/sampling.h"
#include "inversion/scores.h"
#include "io/watch.h"
#include "nn/clip_model.h"
#include "text/prompt.h"

/* The prompts of the evaluation, in which "{}" stands for the word. The pictures of prompt 0 are compared
   with the training pictures, and those of all others with the text of their own prompt, which has nothing
   in place of the word. With a single prompt both are its pictures. */
typedef struct {
    const char *const *lines;
    int64_t count;
} EvaluationPrompts;

/* The prompts of the paper and of its code. */
extern const EvaluationPrompts PAPER_PROMPTS;

/* With what pictures are drawn and scored. */
typedef struct {
    const Model *model;
    const Words *words;      /* the learned words that prompts may use */
    ClipFeatures *clip;      /* bound to an arena of its own */
    SamplingOptions options; /* its prompts are set here; count is n */
    PlanOptions plan;
    Arena *arena; /* of at least evaluation_bytes */
    int threads;
} Evaluation;

/* The bytes that drawing takes, and its floating-point operations for one prompt. */
int64_t evaluation_bytes(const Evaluation *e, double *flops);

/* Draws the pictures of one prompt, rounds them to bytes as a file would have them, and computes their
   features [n, F]. watch (may be NULL) is told of each denoising step. Returns false when the watch stops
   the work, and adds a message for what sampling_run and clip_image_feature report. */
bool evaluation_draw(const Evaluation *e, const char *prompt, float *features, const Watch *watch,
                     Messages *errors, Messages *warnings);

/* Computes the features [P, F] of the prompts' texts. CLIP must have a text encoder. */
bool evaluation_texts(ClipFeatures *clip, EvaluationPrompts prompts, float *features, Messages *errors,
                      Messages *warnings);

/* The scores of a word, or of what is compared with it. Those with the text are NAN where texts is NULL. */
typedef struct {
    Score image, text, text_of_mean;
} Scores;

/* The features that scores are computed from. */
typedef struct {
    const float *training; /* [m, F] */
    const float *texts;    /* [P, F], or NULL without a text encoder */
    int64_t training_count, prompts, width;
} ScoreReferences;

/* Returns the scores of the pictures drawn from all prompts, features [P, n, F]: the means over the
   prompts. */
Scores scores_of_drawn(const ScoreReferences *r, const float *features, int64_t n);
/* Returns the scores of one set of pictures [n, F], such as the training pictures, with all of the texts. */
Scores scores_of_set(const ScoreReferences *r, const float *features, int64_t n);

#endif
