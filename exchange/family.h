/* What a file of weights is, told by the names and shapes of its tensors before anything is loaded. */
#ifndef TI_FAMILY_H
#define TI_FAMILY_H

#include "weights/safetensors.h"

typedef struct {
    char text[200];  /* "a Stable Diffusion 1.x checkpoint in one file (original layout)" */
    bool checkpoint; /* of Stable Diffusion 1.x or 2.x, in the original layout, with UNet and text encoder */
    bool vae;        /* and with a VAE */
} Family;

Family weights_family(const Safetensors *s);

/* Takes "_orig_mod." and "module." out of the tensors' names, which torch.compile and DataParallel put in. */
void weights_unwrap(Safetensors *s);

/* Are these tensors learned words rather than weights? */
bool looks_like_words(const Safetensors *s);

/* safetensors_open for files of any origin: of a pickle or a GGUF file the line says what it is, and of a
   pickle how it is converted. */
bool weights_open(const char *path, Safetensors *s, Messages *errors);

/* torch.save's zip, or a bare pickle of protocol 2 and up: .ckpt, .pt, .bin */
bool is_pickle(const void *bytes, size_t size);

#endif
