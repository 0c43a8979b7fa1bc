/* SPDX-License-Identifier: MIT */
/* Models whose weights are generated from their tensors' names. They have the architecture of Stable
   Diffusion 1.5, of 2.1, or of a tiny model of the same kind. Each tensor has a name in diffusers' layout and
   one in the original single-file layout. With such a model a test can check that a model of full size loads
   and computes the same as the reference, without the real weights.

   An element is k 2^-e with an integer k = centre + u, |k| <= 127. u is a hash of the tensor's name and the
   element's index, uniform in [-m, m]. F32, F16 and BF16 represent such a number exactly, so that all three
   give the same bits. golden/full.py generates the same weights by the same rule. */
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

/* Finds a family of models by its name, "sd15", "sd21" or "tiny"; NULL when there is none of that name. */
const Family *family_find(const char *name);

/* The parts of a model, and a whole CLIP with both encoders, which is none of them. */
typedef enum { TEXT_ENCODER, UNET, VAE, PARTS, CLIP_MODEL = PARTS } Part;

typedef struct {
    Part part;
    Name name;      /* in diffusers' layout */
    Name original;  /* in a single file, where successive tensors with the same name are stacked into one */
    Shape shape;    /* in diffusers' layout */
    bool pointwise; /* a linear layer in diffusers' layout, and a 1x1 convolution in the original layout */
    int centre, spread, exponent; /* centre, m and e of the rule above */
} MadeTensor;

typedef struct {
    MadeTensor *at; /* free() it */
    int64_t count;
} MadeTensors;

/* Returns all tensors of a model. Their order is neither that of diffusers nor that of the original files. */
MadeTensors made_tensors(const Family *family);

/* Returns all tensors of a CLIP, sorted by no rule either. They have no original names. */
MadeTensors made_clip_tensors(const ClipModelConfig *config);

/* The number of elements that one thread generates at a time. A shorter tensor is left to one thread. */
enum { MADE_RUN = 1 << 16 };

/* Generates the elements [first, first + count) of a tensor as indices k - centre + spread, from 0 to 2
   spread. The value that belongs to an index is (centre - spread + index) 2^-e. */
void made_indices(const MadeTensor *t, int64_t first, int64_t count, unsigned char *out);

#endif
