/* SPDX-License-Identifier: MIT */
/* A whole Stable Diffusion model in one .safetensors or .ckpt file of the original layout, opened as if it
   were a folder. What a folder's configs state is derived from the tensors' shapes. */
#ifndef TI_SINGLE_H
#define TI_SINGLE_H

#include "weights/folder.h"

/* Fills m: the configs, the stores of weights and the path of CLIP's vocabulary. own_vae says whether to open
   the file's VAE. When the file is damaged or of another kind, returns false, adds a message for each fault
   (or one that names the kind) and leaves nothing to close. Otherwise m is closed with folder_close. */
bool single_open(const char *path, bool own_vae, ModelFolder *m, Messages *errors);

/* Opens a model from a folder in diffusers' layout (folder_open) or from such a file. vae is the path from
   which the VAE is taken instead: a folder that holds a VAE or a model, or a file with a VAE in diffusers' or
   the original layout; NULL for the model's own VAE. Errors and closing are as for single_open. */
bool exchange_open_model(const char *path, const char *vae, ModelFolder *m, Messages *errors,
                         Messages *warnings);

#endif
