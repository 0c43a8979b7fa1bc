/* SPDX-License-Identifier: MIT */
/* Initial noise from a file, in place of noise that is drawn. */
#ifndef TI_LATENTS_H
#define TI_LATENTS_H

#include "tensor/tensor.h"

typedef struct {
    Shape shape; /* [count, L, h, w] */
    float *data;
    int64_t steps;        /* those of ti invert, or 0 where the file does not say */
    uint64_t fingerprint; /* of the UNet, or 0 */
} Latents;

/* What latents were made with: the values of the metadata "prompt", "steps", "guidance" and "unet", whose
   fingerprint is in hexadecimal digits. */
typedef struct {
    const char *prompt;
    int64_t steps;
    double guidance;
    uint64_t fingerprint;
} LatentsOrigin;

/* Reads a safetensors file that holds one F32 tensor, `latents` [count, L, h, w], for 1 to 1000 pictures.
   Returns false and adds a message when it holds something else, a number that is not finite, or metadata of
   those names that are no number of steps or no fingerprint. */
bool latents_read(const char *path, Latents *l, Messages *errors);
/* Does the same for the bytes of such a file; path is used for messages. */
bool latents_parse(const char *path, const void *bytes, size_t size, Latents *l, Messages *errors);
/* Writes such a file. Returns false and adds a message when it cannot be written. */
bool latents_write(const char *path, const float *data, Shape shape, const LatentsOrigin *origin,
                   Messages *errors);
/* Adds a warning where the latents were made by ti invert with another number of steps or another UNet. */
void latents_compare(const char *path, const Latents *l, int64_t steps, uint64_t fingerprint,
                     Messages *warnings);
void latents_free(Latents *l);

#endif
