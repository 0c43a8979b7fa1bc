/* SPDX-License-Identifier: MIT */
/* The VAE's posterior of every training picture, both as it is and mirrored. It is computed once, before
   the first step, and kept in a file. A training step then only has to sample it (posterior_sample of
   nn/encoder.h), which is cheap. */
#ifndef TI_POSTERIOR_H
#define TI_POSTERIOR_H

#include "io/image.h"
#include "io/watch.h"
#include "nn/encoder.h"

/* The parameters of all posteriors (diffusers' DiagonalGaussianDistribution.parameters). */
typedef struct {
    int64_t pictures;
    int64_t count;     /* elements of one picture's latents, L h w */
    float *parameters; /* [pictures, 2, 2, count]: (as it is, mirrored), (mean, logvar) */
} Posteriors;

/* Computes the posteriors of images [count], which have the encoder's size. Those of the mirrored
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

/* Gives rank 0's posteriors to the other ranks (ranks.h), which call it instead of posteriors_compute.
   Returns false when the ranks end. */
bool posteriors_share(Posteriors *p, const Encoder *e, int64_t count);

/* Returns the parameters of one picture [2, count]: its mean, then its logvar. */
const float *posterior_of(const Posteriors *p, int64_t picture, bool flipped);

#endif
