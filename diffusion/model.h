/* A whole Stable Diffusion model: the parts and what connects them. */
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

/* Takes an open folder over (folder_open, or exchange_open_model for files of other programs) and loads its
   parts. Everything that is wrong becomes a line in errors; then false, and there is nothing to close. What
   the files hold beyond the model is one line in warnings. */
bool model_open(ModelFolder folder, Model *m, Messages *errors, Messages *warnings);

/* The parts of an open folder, as model_open loads them, and what is wrong with them. */
bool model_load(Model *m, Messages *errors);

/* Says what the UNet predicts, where a file does not (folder.prediction_guessed) or says it wrongly. */
void model_set_prediction(Model *m, Prediction prediction);

void model_close(Model *m);

#endif
