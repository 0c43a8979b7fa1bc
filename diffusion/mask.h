/* SPDX-License-Identifier: MIT */
/* The mask of a picture that is repainted in part (blended latent diffusion, Avrahami et al. 2022, as
   diffusers' StableDiffusionInpaintPipeline does it with a UNet for whole pictures). Where the mask is 1,
   the picture is drawn; where it is 0, the given one stays: after each step its latents, with the noise of
   the next step, replace those that were drawn. */
#ifndef TI_MASK_H
#define TI_MASK_H

#include "io/image.h"

/* Sets mask [height, width] to 1 where the picture is at least half as bright as white (pixel_brightness),
   and else to 0. */
void mask_from_image(const Image *image, unsigned char *mask);
/* Returns the number of ones. */
int64_t mask_ones(const unsigned char *mask, int64_t count);
/* Sets out [height / factor, width / factor] to the pixels at multiples of factor, as torch's interpolate
   does with its mode nearest. */
void mask_to_latents(const unsigned char *mask, int64_t height, int64_t width, int64_t factor, float *out);
/* Replaces x [channels, pixels] by (1 - m) kept + m x, with mask m [pixels]. */
void mask_blend(const float *mask, const float *kept, int64_t channels, int64_t pixels, float *x);
/* Replaces the pixels of *image that are not masked by those of the original, which has the same size. */
void mask_paste(const unsigned char *mask, const Image *original, Image *image);

#endif
