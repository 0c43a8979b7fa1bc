/* The options of `ti evaluate` and the parts of the command: the words that are evaluated (evaluate.c),
   their scores in CLIP's space (evaluate_scores.c), and how the numbers are shown (evaluate_report.c). */
#ifndef TI_EVALUATE_H
#define TI_EVALUATE_H

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/sampler_options.h"
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
    bool paper, json;
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
    bool drawn;     /* whether `scores` are set */
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
    double speed;    /* of the networks, in floating-point operations a second */
    char *clip_path; /* of the CLIP, or NULL when none was found */
    ClipModel clip;
    ClipFeatures features;
    Arena clip_arena;
    float *training; /* the features [pictures, F] of the training pictures' files */
    EvaluationPrompts prompts;
    SamplerOptions sampler;
    Scores training_scores; /* of the training pictures themselves */
} Evaluated;

/* Opens the CLIP of --clip, or else the one that lies in the model's folder as clip/ or, for pictures only,
   as safety_checker/. Says on stderr which one it is, or that there is none. Returns false and adds a
   message for each fault of it. */
bool open_clip(Evaluated *v, const char *model, Messages *errors, Messages *warnings);
void close_clip(Evaluated *v);

/* Draws pictures with each subject and sets all scores. The prompts, the sampler and the CLIP must be set. */
bool score_subjects(Evaluated *v, Messages *errors, Messages *warnings);
/* Scores the pictures of --pictures against the training pictures and the text, and prints the scores. */
bool score_pictures(Evaluated *v, Messages *errors, Messages *warnings);

/* Prints the fixed-grid losses. */
void report_losses(const Evaluated *v);
/* Prints the table of scores. */
void report_scores(const Evaluated *v);
/* Prints all numbers as a JSON document. */
void report_json(const Evaluated *v);
/* Prints the scores of --pictures. */
void report_pictures(const Scores *s, bool json);

#endif
