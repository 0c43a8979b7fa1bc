/* The picture from which `ti generate` begins: --init-image. */
#ifndef TI_INIT_IMAGE_H
#define TI_INIT_IMAGE_H

#include "cli/generate.h"
#include "diffusion/model.h"

typedef struct {
    float *picture; /* [3, height, width] of values in -1..1, or NULL without --init-image */
} InitImage;

/* Checks the options that belong to it against each other, before anything is read. */
void init_image_check(const GenerateOptions *o, Messages *errors);
/* Sets the strength that the user has not given. */
void init_image_settle(GenerateOptions *o);
/* Reads the file of --init-image and resizes the picture to --width and --height, as diffusers' VaeImageProcessor
   does. A side that was not given becomes the picture's own, cut down to a multiple of 8 and of the VAE's factor.
   Returns false and adds a message when the file cannot be read, or has less than one such multiple. Call
   init_image_free in every case. */
bool init_image_read(GenerateOptions *o, const Model *m, InitImage *out, Messages *errors);
void init_image_free(InitImage *i);

#endif
