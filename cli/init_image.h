/* SPDX-License-Identifier: MIT */
/* The picture from which `ti generate` begins, and the mask of what is repainted: --init-image and --mask. */
#ifndef TI_INIT_IMAGE_H
#define TI_INIT_IMAGE_H

#include "cli/generate.h"
#include "cli/memory.h"
#include "diffusion/model.h"
#include "io/image.h"

typedef struct {
    Image image;         /* [height, width], resized */
    float *picture;      /* [3, height, width], its values in -1..1, or NULL without --init-image */
    unsigned char *mask; /* [height, width], 1 where the picture is repainted, or NULL without --mask */
    float *latent_mask;  /* [height / f, width / f], the same for the latents */
    MemoryNeed reading;  /* of the picture or the mask, whichever takes more */
} InitImage;

/* Checks the options that belong to it against each other, before anything is read. */
void init_image_check(const GenerateOptions *o, Messages *errors);
/* Sets the strength that the user has not given. */
void init_image_settle(GenerateOptions *o);
/* Reads the file of --init-image and resizes the picture to --width and --height, as diffusers'
   VaeImageProcessor does, and the same for --mask. A side that was not given becomes the picture's own,
   cut down to a multiple of 8 and of the VAE's factor, or with --mask the model's own, with a warning
   where that squashes the picture. Returns false and adds a message when a file cannot be read, the
   picture has less than one such multiple, or the mask has another size than the picture or keeps all of
   it. Call init_image_free in every case. */
bool init_image_read(GenerateOptions *o, const Model *m, InitImage *out, Messages *errors,
                     Messages *warnings);
/* Returns the larger of a run's need, to which that of the pictures which stay in memory is added, and of
   their reading. */
MemoryNeed init_image_need(const InitImage *i, MemoryNeed run);
void init_image_free(InitImage *i);

#endif
