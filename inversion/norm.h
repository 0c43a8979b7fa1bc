/* SPDX-License-Identifier: MIT */
/* The norms of the learned vectors. AdamW lets them grow: after training, a vector can be many times as long
   as the vocabulary's, and the authors of DTI (Kim et al. 2025, "Directional Textual Inversion", arXiv
   2512.13672) report that such a word drowns the rest of a prompt. Two remedies are an option: every vector
   is scaled to a fixed norm after each step, or its direction alone is learned. */
#ifndef TI_NORM_H
#define TI_NORM_H

#include "tensor/tensor.h"

typedef enum {
    NORM_FREE,  /* the norms are as AdamW makes them */
    NORM_FIXED, /* after each step of AdamW, every vector is scaled to `length` */
    NORM_SPHERE /* the vectors have the norm `length`, and sphere_step moves their directions */
} NormKind;

typedef struct {
    NormKind kind;
    double length; /* ignored where kind is NORM_FREE */
} NormRule;

/* Parses "free", "median", "sphere" or a number above 0. The length of "median" and "sphere" becomes 0,
   since it depends on the vocabulary. Returns false for any other text. */
bool norm_rule_parse(const char *text, NormRule *rule);

/* With NORM_FIXED, scales each of the vectors v [n, width] to the norm. A zero vector stays as it is. */
void vectors_rescale(const NormRule *rule, int64_t n, int64_t width, float *v);

/* With NORM_SPHERE, makes one step of DTI's optimiser for a vector v [width] and returns true; otherwise
   returns false. The
   optimiser, with its published settings (momentum beta = 0, prior kappa = 1e-4), is Riemannian gradient
   descent with a prior. With u = v / length on the unit sphere, mu the direction of the initial vector v0,
   and the gradient g = length dloss/dv:

       g = g - kappa mu               a von Mises-Fisher prior draws u towards mu
       g = g - <g, u> u               the part of g that is tangential to the sphere
       u = u - lr g / (|g| + 1e-8)    so every step turns u by about lr, whatever the loss's scale is
       v = length u / |u|

   Each vector has a sphere of its own. A zero vector has no direction and stays as it is. */
bool sphere_step(const NormRule *rule, double lr, int64_t width, float *v, const float *v0,
                 const float *grad);

#endif
