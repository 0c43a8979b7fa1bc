/* The time that a run will take, from a few timed nodes. */
#ifndef TI_ESTIMATE_H
#define TI_ESTIMATE_H

#include "autograd/estimate.h"
#include "inversion/loop.h"
#include "diffusion/sampling.h"

/* What is to be done: micro-batches, pictures to encode, fixed-grid losses, pictures to draw. */
typedef struct {
    int64_t batches, encoded, grids, drawn;
} Work;

typedef struct {
    Work work;
    GraphTime batch;
    double steps, encoding, grids, pictures; /* seconds of the work */
} Estimate;

/* Times operations of a batch, and of the encoder where there is something to encode: each kind at most
   `rounds` times, for about `seconds`. loop, encoder and drawing (NULL: none is drawn) are bound; the loop
   stays as it is, what lies in the arena is lost. */
Estimate estimate_new(const Loop *loop, const Encoder *encoder, const Sampling *sampling, Work work,
                      double seconds, int rounds);

double estimate_all(const Estimate *e);

#endif
