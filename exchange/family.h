/* SPDX-License-Identifier: MIT */
/* Finds out which kind of model a file of weights holds, from the names and shapes of its tensors and before
   anything is loaded. */
#ifndef TI_FAMILY_H
#define TI_FAMILY_H

#include "weights/safetensors.h"

/* checkpoint and vae are only true for a file in the original layout. */
typedef struct {
    char text[200];  /* "a checkpoint of Stable Diffusion 1.x in one file (original layout)" */
    bool checkpoint; /* whether it is Stable Diffusion 1.x or 2.x, with UNet and text encoder */
    bool vae;        /* whether it has a VAE */
} Family;

/* Describes the file's content, also that of an unknown kind of file. */
Family weights_family(const Safetensors *s);

/* Removes from the tensors' names the parts "_orig_mod." and "module.", which torch.compile and
   DataParallel insert. */
void weights_unwrap(Safetensors *s);

/* Returns whether the tensors look like learned words and not like a network's weights: there is at least
   one, none is named as a layer's weight or bias, and all have the same width. */
bool looks_like_words(const Safetensors *s);

/* Opens a file from any program as safetensors_open does: a safetensors file, or a file of torch.save (.ckpt,
   .pt, .bin), which is mapped as well. For a GGUF file it returns false and adds a message that names the
   format. */
bool weights_open(const char *path, Safetensors *s, Messages *errors);

#endif
