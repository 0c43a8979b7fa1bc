/* Initial noise from a file, in place of noise that is drawn. */
#ifndef TI_LATENTS_H
#define TI_LATENTS_H

#include "tensor/tensor.h"

typedef struct {
    Shape shape; /* [count, L, h, w] */
    float *data;
} Latents;

/* Reads a safetensors file that holds one F32 tensor, `latents` [count, L, h, w], for 1 to 1000 pictures.
   Returns false and adds a message when it holds something else or a number that is not finite. */
bool latents_read(const char *path, Latents *l, Messages *errors);
/* Does the same for the bytes of such a file; path is used for messages. */
bool latents_parse(const char *path, const void *bytes, size_t size, Latents *l, Messages *errors);
void latents_free(Latents *l);

#endif
