/* SPDX-License-Identifier: MIT */
/* The VAE's encoder as a graph of its own for one picture, and samples of the posterior that it computes:

       z = mean + exp(logvar / 2) n,  n ~ N(0, 1) */
#ifndef TI_ENCODER_H
#define TI_ENCODER_H

#include "nn/vae.h"

typedef struct {
    Graph *graph;
    Tensor *parameters; /* [1, 2 L, h, w]: the posterior's mean, then its logvar */
    Plan plan;
    int64_t height, width; /* of the picture */
    Precision precision;   /* of its matrix products */
    float *picture;        /* [1, 3, height, width] with values in -1..1, filled in before the graph runs */
} Encoder;

/* Records and plans the graph. height and width are in pixels, multiples of the VAE's factor. */
Encoder encoder_new(const Vae *vae, int64_t height, int64_t width, PlanOptions plan);
void encoder_free(Encoder *e);
/* Computes the parameters of the picture. The graph must be bound to its arena. Returns false and adds a
   message when they are not finite. */
bool encoder_run(const Encoder *e, Messages *errors);

/* Samples one posterior and scales the sample for the UNet (diffusers' DiagonalGaussianDistribution.sample):

       out = (mean + exp(logvar / 2) n) scaling_factor,  logvar clamped to [-30, 20]

   parameters [2, count] are the mean, then the logvar. n [count] ~ N(0, 1) is the noise. */
void posterior_sample(const float *parameters, const float *n, int64_t count, float scaling_factor,
                      float *out);

#endif
