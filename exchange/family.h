/* Which kind of model a file of weights holds, recognised by the names and shapes of its tensors before
   anything is loaded. */
#ifndef TI_FAMILY_H
#define TI_FAMILY_H

#include "weights/safetensors.h"

typedef struct {
    char text[200];  /* "a Stable Diffusion 1.x checkpoint in one file (original layout)" */
    bool checkpoint; /* of Stable Diffusion 1.x or 2.x, in the original layout, with UNet and text encoder */
    bool vae;        /* whether the file, if in the original layout, has a VAE */
} Family;

/* Describes the file's content; it does not fail. */
Family weights_family(const Safetensors *s);

/* Removes from the tensors' names the parts "_orig_mod." and "module.", which torch.compile and
   DataParallel insert. */
void weights_unwrap(Safetensors *s);

/* Whether the tensors look like learned words instead of a network's weights: none is named as a layer's
   weight or bias, and all have the same width. */
bool looks_like_words(const Safetensors *s);

/* Opens a file of any origin as safetensors_open does. For a pickle or a GGUF file it returns false and adds
   a message that says so, and how a pickle can be converted. */
bool weights_open(const char *path, Safetensors *s, Messages *errors);

/* Whether the bytes begin as a file of torch.save does (.ckpt, .pt, .bin): a zip file, or a pickle of
   protocol 2 to 5. */
bool is_pickle(const void *bytes, size_t size);

#endif
