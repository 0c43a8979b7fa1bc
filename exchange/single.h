/* A whole Stable Diffusion model in one .safetensors file of the original layout, opened as if it were a
   folder: what the folder's configs say follows from the tensors' shapes here. */
#ifndef TI_SINGLE_H
#define TI_SINGLE_H

#include "weights/folder.h"

/* Fills m: configs, stores, the way to CLIP's vocabulary. own_vae: with the file's VAE, else without one.
   False and a line for each fault, also for a file that is something else, which is named; then there is
   nothing to close. */
bool single_open(const char *path, bool own_vae, ModelFolder *m, Messages *errors);

/* A folder in the layout of diffusers (folder_open), or such a file. vae: where its VAE comes from instead of
   there, a folder of a VAE or a model, or a file with a VAE in diffusers' or the original layout; NULL: it is
   the model's own. */
bool exchange_open_model(const char *path, const char *vae, ModelFolder *m, Messages *errors,
                         Messages *warnings);

#endif
