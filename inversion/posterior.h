/* The VAE's posterior of every training picture, both as it is and mirrored. It is computed once, before the
   first step, and kept in a file. A training step then only has to sample it, which is cheap:

       z = mean + exp(logvar / 2) n,  n ~ N(0, 1) */
#ifndef TI_POSTERIOR_H
#define TI_POSTERIOR_H

#include "io/image.h"
#include "io/watch.h"
#include "nn/vae.h"

/* The graph of the VAE's encoder for one square picture. */
typedef struct {
    Graph *graph;
    Tensor *parameters; /* [1, 2 L, h, w]: the posterior's mean, then its logvar */
    Plan plan;
    int64_t resolution;
    Precision precision; /* of its matrix products */
    float *picture;      /* [1, 3, resolution, resolution], filled in before the graph runs */
} Encoder;

Encoder encoder_new(const Vae *vae, int64_t resolution, PlanOptions plan);
void encoder_free(Encoder *e);

/* The parameters of all posteriors (diffusers' DiagonalGaussianDistribution.parameters). */
typedef struct {
    int64_t pictures;
    int64_t count;     /* elements of one picture's latents, L h w */
    float *parameters; /* [pictures, 2, 2, count]: (as it is, mirrored), (mean, logvar) */
} Posteriors;

/* Computes the posteriors of images [count], which have the encoder's resolution. Those of the mirrored
   images are computed only if flips is true. The encoder must be bound to its arena.

   cache is the path of a file (weights/sealed.h) that keeps the results, or NULL. Results that it contains
   for these pictures and this VAE (identified by vae_key) are read from it. The others are computed, and
   then the file is written with all of them. A cache is not used if it is damaged, or if it was written
   with another VAE, at another precision, with other BLAS kernels or by another build of this program, since
   its bits may differ. A warning then says so.

   watch (may be NULL) is asked before each picture. When it stops the work, the results so far are written to
   the cache, and the function returns false without a message. It returns false and adds a message when the
   cache cannot be written or a result is not finite. Call posteriors_free in every case. */
bool posteriors_compute(Posteriors *p, const Encoder *e, const Image *images, int64_t count, bool flips,
                        uint64_t vae_key, const char *cache, const Watch *watch, Messages *errors,
                        Messages *warnings);
void posteriors_free(Posteriors *p);

/* Returns the parameters of one picture [2, count]: its mean, then its logvar. */
const float *posterior_of(const Posteriors *p, int64_t picture, bool flipped);

/* Samples one posterior and scales the sample for the UNet (DiagonalGaussianDistribution.sample):

       out = (mean + exp(logvar / 2) n) scaling_factor,  logvar clamped to [-30, 20]

   parameters [2, count] are the mean, then the logvar. n [count] ~ N(0, 1) is the noise. */
void posterior_sample(const float *parameters, const float *n, int64_t count, float scaling_factor,
                      float *out);

#endif
