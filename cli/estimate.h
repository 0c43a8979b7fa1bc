/* SPDX-License-Identifier: MIT */
/* Estimates how long a run will take, by timing a few nodes of its graphs. */
#ifndef TI_ESTIMATE_H
#define TI_ESTIMATE_H

#include "autograd/estimate.h"
#include "inversion/loop.h"
#include "diffusion/sampling.h"

/* The amount of work that a run has to do. */
typedef struct {
    int64_t steps;   /* updates */
    int64_t batches; /* micro-batches */
    int64_t encoded; /* pictures to encode */
    int64_t grids;   /* measurements of the fixed-grid loss */
    int64_t stops;   /* measurements of the loss of --stop auto */
    int64_t sampled; /* validation pictures to generate */
} Work;

typedef struct {
    Work work;
    int64_t passes;                                 /* loop_passes */
    GraphTime batch;                                /* of one micro-batch, or of this rank's share of it */
    double steps, encoding, grids, stops, pictures; /* seconds for the kinds of work */
} Estimate;

/* Estimates the time of the work by timing nodes of a micro-batch and, if there are pictures to encode, of
   the encoder. Each kind of node is timed at most `rounds` times, and each graph for about `seconds`. The
   graphs of loop, encoder and sampling (NULL without validation) must be bound. The loop's state does not
   change, but the contents of the arena are lost. */
Estimate estimate_new(const Loop *loop, const Encoder *encoder, const Sampling *sampling, Work work,
                      double seconds, int rounds);

/* Estimates the seconds of a micro-batch with matrix products in bfloat16, in about `seconds`, in the
   arena of the loop. Returns 0 when the processor has no instructions for bfloat16 or the arena is too
   small. */
double estimate_bf16(const Loop *loop, Arena *arena, int threads, double seconds);

/* Returns the seconds of all work together. */
double estimate_all(const Estimate *e);

/* Returns how many of the steps are done after so many seconds. */
int64_t estimate_steps(const Estimate *e, double seconds);

#endif
