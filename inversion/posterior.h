/* The VAE's posterior of every training picture, mirrored and not: computed once, before the first step, and
   kept in a file, since a step needs only a sample of it: z = mean + exp(logvar / 2) n. */
#ifndef TI_POSTERIOR_H
#define TI_POSTERIOR_H

#include "io/image.h"
#include "io/watch.h"
#include "nn/vae.h"

/* The encoder's graph for one square picture. */
typedef struct {
    Graph *graph;
    Tensor *moments; /* [1, 2 L, h, w] */
    Plan plan;
    int64_t resolution;
    float *picture; /* [1, 3, resolution, resolution] */
} Encoder;

Encoder encoder_new(const Vae *vae, int64_t resolution);
void encoder_free(Encoder *e);

typedef struct {
    int64_t pictures, count; /* count: floats of a latent picture, L h w */
    float *moments;          /* [pictures, 2, 2 count]: unflipped, flipped; mean, logvar */
} Posteriors;

/* images [count], of the encoder's resolution. cache: a file (weights/sealed.h) that is read, where its
   entries' keys (pixels and vae_key) fit, and written again with all of these; NULL: none. A cache that is
   damaged, or that was computed with another VAE, other BLAS kernels or another build of this program, whose
   bits may differ, is computed anew, and a warning says so. The encoder is bound to its arena already. watch
   (may be NULL) is asked before each picture: if it says no, what is done by then is in the cache, and false
   without a line comes back. False and a line where the cache cannot be written, or numbers come out that are
   not finite. */
bool posteriors_compute(Posteriors *p, const Encoder *e, const Image *images, int64_t count, bool flips,
                        uint64_t vae_key, const char *cache, const Watch *watch, Messages *errors,
                        Messages *warnings);
void posteriors_free(Posteriors *p);

/* Mean and logvar [2 count] of a picture. */
const float *posterior_of(const Posteriors *p, int64_t picture, bool flipped);

/* Posterior of the VAE: moments [2 count], mean then logvar (clamped to [-30, 20] here), and n [count] ~ N(0,
   1): out = (mean + exp(logvar / 2) n) scaling_factor. One picture. */
void posterior_sample(const float *moments, const float *n, int64_t count, float scaling_factor, float *out);

#endif
