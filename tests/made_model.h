/* Models whose weights are made from their names: the architecture of Stable Diffusion 1.5, 2.1 and of a tiny
   model of the same build, tensor by tensor, under diffusers' names and under those of the original single
   files. The real weights are not needed to test that a model of this size loads and computes what the
   reference computes.

   An element is k 2^-e: k = centre + u, u a hash of the tensor's name and the element's index, uniform in
   [-m, m], |k| <= 127, so that F32, F16 and BF16 hold it exactly and give the same bits. golden/full.py has
   the same rule. */
#ifndef TI_MADE_MODEL_H
#define TI_MADE_MODEL_H

#include "nn/layers.h"
#include "weights/config.h"

typedef struct {
    const char *name;
    ClipConfig clip;
    UnetConfig unet;
    VaeConfig vae;
    bool v_prediction;
} Family;

/* "sd15", "sd21" or "tiny"; NULL: there is none of that name. */
const Family *family_find(const char *name);

typedef enum { TEXT_ENCODER, UNET, VAE, PARTS } Part;

typedef struct {
    Part part;
    Name name;      /* diffusers' */
    Name original;  /* in a single file; neighbours of the same one are parts of one tensor, one below the
                       other */
    Shape shape;    /* diffusers' */
    bool pointwise; /* a linear here, in the single file a 1x1 convolution [out, in, 1, 1] */
    int centre, spread, exponent; /* centre, m and e above */
} MadeTensor;

typedef struct {
    MadeTensor *at; /* free() it */
    int64_t count;
} MadeTensors;

/* All tensors of a model, in an order of their own. */
MadeTensors made_tensors(const Family *family);

/* Loops shorter than this are not worth waking the other threads. */
enum { MADE_RUN = 1 << 16 };

/* Elements [first, first + count) of a tensor as k - centre + spread, 0 to 2 spread: an index into the table
   of the values that it can have, (centre - spread + index) 2^-e. */
void made_indices(const MadeTensor *t, int64_t first, int64_t count, unsigned char *out);

#endif
