/* The training loop, draw for draw the reference script's (diffusers' textual_inversion.py): which example
   comes when, what noise it gets, when the rows are updated. */
#ifndef TI_LOOP_H
#define TI_LOOP_H

#include "inversion/adamw.h"
#include "inversion/lr_schedule.h"
#include "inversion/dataset.h"
#include "inversion/posterior.h"
#include "inversion/training.h"

typedef struct {
    int64_t steps, batch, accumulate, repeats; /* steps: updates */
    uint64_t seed;
    bool flip;
    LrSchedule schedule;
    AdamWOptions adamw;
} LoopOptions;

/* What the loop trains on; stays the caller's. */
typedef struct {
    const Clip *clip;
    const Unet *unet;
    const NoiseSchedule *noise_schedule;
    const VaeConfig *vae;
    const Posteriors *posteriors;
    const int32_t *prompts; /* [templates, tokens]: each template with the placeholder, as ids */
    int64_t templates, tokens;
    int64_t height, width; /* of the latents */
    int64_t vectors;
    float *learned; /* [vectors, D]: what is learned */
} LoopData;

typedef struct {
    LoopOptions options;
    LoopData data;
    Generator torch;
    Twister python;
    Dataset dataset;
    AdamW adamw;
    int64_t step;            /* updates done */
    int64_t gathered;        /* micro-batches since the last update */
    float *grad;             /* [vectors, D] of one micro-batch */
    float *accumulated;      /* of all since the last update */
    TrainingStep full, last; /* an epoch's last batch may be shorter; the same graph where it is not */
    TrainingStep *ran;       /* by the last loop_next */
    float *latents, *noise, *normal; /* [batch, L, h, w] */
} Loop;

/* One micro-batch, as a line of losses.csv. */
typedef struct {
    int64_t step; /* updates done by then */
    float loss;   /* its own, undivided */
    double lr;    /* of the next step: the script logs it after its scheduler has moved */
    bool updated;
} LoopRecord;

/* Records and plans the graphs; seeds both generators. */
Loop loop_new(LoopOptions options, LoopData data, PlanOptions plan);
void loop_free(Loop *l);

int64_t loop_bytes(const Loop *l, int threads);
/* Plans anew so that loop_bytes is at most this, if recomputing blocks can reach it, else with all of them
   recomputed. */
void loop_plan_within(Loop *l, int64_t bytes, int threads);
void loop_bind(Loop *l, Arena *arena, int threads);

/* Micro-batches in all, and updates an epoch. */
int64_t loop_micro_batches(const Loop *l);

/* One micro-batch; do not call once step == options.steps. A loss that is not finite changes nothing: updated
   is false. */
LoopRecord loop_next(Loop *l);

/* The loss of a run's first micro-batch, on the rows as they are. The loop has not run yet, and stays so. */
float loop_first_loss(Loop *l);

/* Goes on where a run of the same options and data was after `taken` micro-batches of an epoch that began
   with the generators in this state and `step` updates done: the draws are made again, the network does not
   run. The caller puts rows and the moments of adamw back. */
void loop_resume(Loop *l, const Generator *torch, const Twister *python, int64_t taken, int64_t step);

#endif
