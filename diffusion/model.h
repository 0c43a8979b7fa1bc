/* SPDX-License-Identifier: MIT */
/* A whole Stable Diffusion model: tokenizer, text encoder, UNet, VAE and noise schedule of one folder. */
#ifndef TI_MODEL_H
#define TI_MODEL_H

#include "nn/clip.h"
#include "diffusion/noise_schedule.h"
#include "text/tokenizer.h"
#include "nn/unet.h"
#include "nn/vae.h"
#include "weights/folder.h"

typedef struct {
    ModelFolder folder;
    Tokenizer *tokenizer;
    Clip clip;
    Unet unet;
    Vae vae;
    NoiseSchedule noise_schedule;
} Model;

/* Loads the parts of an open folder (from folder_open, or from exchange_open_model for the files of
   other programs). The model owns the folder from then on. Returns false and adds a message for
   everything that is wrong; then the folder and the model are closed. Tensors in the files that belong
   to no part of the model add one warning. */
bool model_open(ModelFolder folder, Model *m, Messages *errors, Messages *warnings);

/* Loads the parts of the open folder m->folder, as model_open does. Returns false and adds a message for
   everything that is wrong with them; the model must still be closed by model_close. */
bool model_load(Model *m, Messages *errors);

/* Sets what the UNet predicts, for a file that does not say so (folder.prediction_guessed)
   or says something wrong. Where it was guessed, the UNet's sample_size changes with it: 64
   for epsilon, 96 for v_prediction. */
void model_set_prediction(Model *m, Prediction prediction);

void model_close(Model *m);

#endif
