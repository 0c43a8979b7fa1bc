/* SPDX-License-Identifier: MIT */
/* Masks of the training pictures, with which only a part of each picture counts in the loss: the thing, and
   not what stands around it. */
#ifndef TI_MASKS_H
#define TI_MASKS_H

#include "inversion/pictures.h"

typedef struct {
    int64_t count;  /* pixels of a picture's latents, h w */
    float *weights; /* [pictures, 2, count]: (as it is, mirrored) */
} Masks;

/* Whether a file's name is that of a mask: NAME.mask.png. Such a file is never a training picture. */
bool is_mask_name(const char *name);

/* Reads the mask of each picture: the grey values of NAME.mask.png beside it, or else its own alpha channel.
   It is cropped and resized as its picture is, averaged over the pixels of each latent, and raised to
   `background` where it is below that. factor is the VAE's. Returns false and adds a message for each fault:
   a picture has no mask, or one of another size; the file cannot be read. Call masks_free in every case. */
bool masks_read(Masks *m, const Pictures *pictures, PictureFit fit, int64_t factor, double background,
                Messages *errors);
void masks_free(Masks *m);

/* Returns a picture's weights [count], or NULL if m is NULL. */
const float *mask_weights(const Masks *m, int64_t picture, bool flipped);

#endif
