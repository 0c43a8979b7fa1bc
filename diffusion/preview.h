/* SPDX-License-Identifier: MIT */
/* Previews: what the picture will look like, at a sixteenth of the cost of decoding it. The predicted clean
   latents of a step are averaged over squares of 4 x 4, and the VAE's decoder makes a small picture of the
   means. No network is trained for it, so that it works with every model. */
#ifndef TI_PREVIEW_H
#define TI_PREVIEW_H

#include "nn/vae.h"

enum { PREVIEW_REDUCTION = 4 }; /* the side of a square of latents that becomes one */

typedef struct {
    Graph *graph;
    Tensor *picture; /* [1, 3, f ceil(h / 4), f ceil(w / 4)], the result, with values of about -1..1 */
    Plan plan;
    float scaling_factor;
    Shape full, small; /* [1, L, h, w] and [1, L, ceil(h / 4), ceil(w / 4)] */
    float *latents;    /* `small`, which the graph reads */
} Preview;

/* Records and plans the decoding of a preview of latents [1, L, h, w]. */
Preview preview_new(const Vae *vae, Shape latents, PlanOptions plan);
void preview_free(Preview *p);
/* Sets what the graph reads to the means of z [L, h, w], scaled latents. Squares at the right and lower edge
   are averaged as far as they are there (torch's avg_pool2d with ceil_mode). */
void preview_set(Preview *p, const float *z);

#endif
