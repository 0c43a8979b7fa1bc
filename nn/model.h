/* A whole Stable Diffusion model, opened from its folder: the parts and what connects them. */
#ifndef TI_MODEL_H
#define TI_MODEL_H

#include "nn/clip.h"
#include "nn/diffusion.h"
#include "nn/tokenizer.h"
#include "nn/unet.h"
#include "nn/vae.h"
#include "weights/folder.h"

typedef struct {
    ModelFolder folder;
    Tokenizer *tokenizer;
    Clip clip;
    Unet unet;
    Vae vae;
    Diffusion diffusion;
} Model;

/* Everything that is wrong becomes a line in errors; then false, and there is nothing to close. */
bool model_open(const char *path, Model *m, Messages *errors, Messages *warnings);
void model_close(Model *m);

#endif
