/* SPDX-License-Identifier: MIT */
/* The options of `ti evaluate` and the parts of the command: the words that are evaluated (evaluate.c),
   their scores in CLIP's space (evaluate_scores.c), and how the numbers are shown (evaluate_report.c). */
#ifndef TI_EVALUATE_H
#define TI_EVALUATE_H

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/sampler_options.h"
#include "cli/scorer.h"
#include "inversion/evaluation.h"

typedef struct {
    Given given;
    char *images, *init, *checkpoints, *model, *vae;
    StringList embeddings; /* each as words_load takes it */
    int kind, prediction;
    Sides sides;
    int64_t clip_skip, batch, threads;
    int precision;
    bool center_crop;
    /* the scores */
    char *clip;            /* a folder, "none", or NULL for the model's own CLIP */
    StringList prompts;    /* templates; empty for the paper's */
    char *pictures, *text; /* existing pictures, which are scored instead of words */
    char *plot;            /* the picture of the trade-off, or NULL */
    bool paper, json, force;
    int64_t count, seed;
    SamplerChoice sampler;
    double guidance;
} EvaluateOptions;

/* What is evaluated: a learned word, or what the learned words are compared with. */
typedef struct {
    char *name;     /* for readers */
    char *word;     /* what stands in the place of the word in prompts; "" for nothing */
    bool reference; /* whether it is only compared with */
    double loss;    /* the fixed-grid loss, or NAN where it is not measured */
    bool joined; /* whether it is a checkpoint behind another one, so that a line of the plot leads to it */
    bool drawn;  /* whether `scores` are set */
    Scores scores;
} Subject;

typedef struct {
    EvaluateOptions *o;
    int threads;
    Model model;
    Words words;
    Pictures pictures; /* the training pictures, at the size of training */
    Subject
        *subjects; /* [count]: the learned words in the order in which they were given, then the references */
    int64_t count;
    double speed; /* of the networks, in floating-point operations a second */
    Scorer scorer;
    float *training; /* the features [pictures, F] of the training pictures' files */
    EvaluationPrompts prompts;
    SamplerOptions sampler;
    Scores training_scores; /* of the training pictures themselves */
} Evaluated;

/* Draws pictures with each subject and sets all scores. The prompts, the sampler and the CLIP must be set. */
bool score_subjects(Evaluated *v, Messages *errors, Messages *warnings);
/* Scores the pictures of --pictures against the training pictures and the text, and prints the scores. */
bool score_pictures(Evaluated *v, Messages *errors, Messages *warnings);

/* Prints the fixed-grid losses. */
void report_losses(const Evaluated *v);
/* Prints the table of scores. */
void report_scores(const Evaluated *v);
/* Draws the trade-off between the similarities to the pictures and to the text, a point for each subject,
   as the paper's figure does, and writes it to --plot. Returns false and adds a message when it cannot be
   written. */
bool report_plot(const Evaluated *v, Messages *errors);
/* Prints all numbers as a JSON document. */
void report_json(const Evaluated *v);
/* Prints the scores of --pictures. */
void report_pictures(const Scores *s, bool json);

#endif
