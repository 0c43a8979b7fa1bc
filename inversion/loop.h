/* SPDX-License-Identifier: MIT */
/* The training loop. It repeats the reference script (diffusers' textual_inversion.py) draw for draw: which
   example comes when, what noise it gets, and when the learned vectors are updated. The algorithm is at the
   top of loop.c, and the timeline of its random draws is at the top of dataset.h. */
#ifndef TI_LOOP_H
#define TI_LOOP_H

#include "inversion/adamw.h"
#include "inversion/lr_schedule.h"
#include "inversion/dataset.h"
#include "inversion/loss_weights.h"
#include "inversion/masks.h"
#include "inversion/norm.h"
#include "inversion/posterior.h"
#include "inversion/progressive.h"
#include "inversion/training.h"

typedef struct {
    int64_t steps;      /* updates of the learned vectors */
    int64_t batch;      /* examples in a micro-batch */
    int64_t accumulate; /* micro-batches whose gradients make one update */
    int64_t repeats;    /* how often an epoch shows each picture */
    uint64_t seed;      /* of both generators */
    bool flip;          /* whether pictures are mirrored at random */
    LrSchedule schedule;
    AdamWOptions adamw;
    LossWeights weights;
    double regularise;   /* the weight of regulariser_add, or 0 */
    int64_t progressive; /* the steps between two vectors (progressive.h), or 0 */
    double per_image;    /* the probability that a prompt names the picture's own word, or 0 */
    NormRule norm;
    bool one_by_one; /* whether a batch's examples go through the networks one at a time (and, with several
                        ranks, each on one of them), and their gradients are added up in their order */
} LoopOptions;

/* The data on which the loop trains. All of it belongs to the caller. */
typedef struct {
    const Clip *clip;
    const Unet *unet;
    const NoiseSchedule *noise_schedule;
    const VaeConfig *vae;
    const Posteriors *posteriors; /* of the training pictures */
    const TrainingPrompts *prompts;
    const Masks *masks;    /* NULL without masks */
    int64_t height, width; /* of the latents */
    int64_t vectors;       /* n, of the word */
    int64_t own;           /* with per-image tokens one for each picture, else 0 */
    float *learned;        /* [n + own, D]: the learned vectors, which the loop updates */
    const float *initial;  /* [n + own, D]: the learned vectors before the first step */
} LoopData;

typedef struct {
    LoopOptions options;
    LoopData data;
    PlanOptions plan; /* of both graphs, without a budget */
    Generator torch;
    Twister python;
    Dataset dataset;
    AdamW adamw;
    int64_t step;         /* updates done */
    int64_t gathered;     /* micro-batches since the last update */
    float *grad;          /* [n + own, D]: the gradient of one micro-batch */
    float *accumulated;   /* [n + own, D]: the sum of the gradients since the last update */
    TrainingStep full;    /* for batches of options.batch examples, or for one example with one_by_one */
    TrainingStep last;    /* for an epoch's smaller last batch; without a graph if there is none */
    TrainingStep *latest; /* the one of these two that the latest loop_next used */
    float *latents, *noise, *posterior_noise; /* [batch, L, h, w]: z, eps, and the posterior's noise */
    int64_t *timesteps;                       /* [batch]: t */
    /* With one_by_one: */
    float *rows; /* [batch, 1 + (n + own) D]: the loss and the gradient of each example of a micro-batch */
    float *sum;  /* [1 + (n + own) D]: their sum */
    /* Where it is not NULL, asked with `user` before this rank's results are used: whether the weights are
       still what they were. */
    bool (*intact)(void *user);
    void *user;
} Loop;

/* The contents of one line of losses.csv, which describes one micro-batch. */
typedef struct {
    int64_t step; /* updates done, including this micro-batch's */
    float loss;   /* the micro-batch's loss, not divided by options.accumulate */
    double lr;    /* of the next step, since the script logs it after its scheduler has advanced */
    bool updated; /* whether an update followed this micro-batch */
    /* Whether the micro-batch was given up (ranks_go_on, intact). Then it does not count, there is no loss,
       and the loop can only be saved and freed. */
    bool given_up;
} LoopRecord;

/* Records and plans the graphs. */
Loop loop_new(LoopOptions options, LoopData data, PlanOptions plan);
void loop_free(Loop *l);

/* Records and plans another graph of the loop's step, for `batch` examples. Its learned leaf and its
   gradient are those of the loop. */
TrainingStep loop_new_step(const Loop *l, int64_t batch, PlanOptions plan);

/* Returns the bytes of the arena that the loop needs. */
int64_t loop_bytes(const Loop *l, int threads);
/* Plans the graphs once more so that loop_bytes is at most `bytes`, by recomputing blocks in the backward
   pass. If even recomputing all blocks does not suffice, all blocks are recomputed. */
void loop_plan_within(Loop *l, int64_t bytes, int threads);
/* Binds the graphs to an arena and seeds both generators. */
void loop_bind(Loop *l, Arena *arena, int threads);

/* Returns how many of the word's vectors learn in the next step. */
int64_t loop_vectors(const Loop *l);

/* Returns how often this process runs its graph for a full micro-batch. */
int64_t loop_passes(const Loop *l);

/* Returns the number of micro-batches of the whole run. */
int64_t loop_micro_batches(const Loop *l);

/* Runs one micro-batch. It must not be called when all updates are done (step == options.steps). If the loss
   is not finite, neither the gradients nor the learned vectors change, and `updated` is false. */
LoopRecord loop_next(Loop *l);

/* Makes the random draws of the next micro-batch and fills in the inputs of its training step, which it
   returns, but does not run the networks. Afterwards z and eps are in l->latents and l->noise. Not for a loop
   with one_by_one. */
const TrainingStep *loop_draw(Loop *l);

/* Puts a loop back to its beginning: the next micro-batch is the run's first. The loop must not have run the
   networks backward or updated anything yet. */
void loop_restart(Loop *l);

/* Returns the loss of the run's first micro-batch for the current learned vectors. The loop must not have run
   yet. Afterwards it is at its beginning again. With several ranks all must call it; the result is NAN when
   the ranks end. */
float loop_first_loss(Loop *l);

/* Moves a loop that has not run yet to a later point of a run with the same options and data. At this point
   `step` updates were done, as well as `taken` micro-batches of an epoch at whose beginning the generators
   were in the states torch and python. The random draws of these micro-batches are repeated without running
   the networks. The caller restores the learned vectors, the accumulated gradients and AdamW's state. */
void loop_resume(Loop *l, const Generator *torch, const Twister *python, int64_t taken, int64_t step);

#endif
