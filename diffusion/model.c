/* SPDX-License-Identifier: MIT */
#include "diffusion/model.h"

#include <stdlib.h>

bool model_load(Model *m, Messages *errors) {
    int before = errors->count;
    ModelFolder *f = &m->folder;
    m->tokenizer = tokenizer_load(f->vocab_path, f->merges_path, &f->tokenizer, errors);
    m->clip = clip_load(&f->clip, f->text_encoder);
    m->unet = unet_load(&f->unet_config, f->unet);
    m->vae = vae_load(&f->vae_config, f->vae);
    m->noise_schedule = noise_schedule_new(&f->scheduler);
    if (!noise_schedule_finite(&m->noise_schedule))
        messages_add(
            errors,
            "%s/scheduler/scheduler_config.json: \"rescale_betas_zero_snr\" is true: these betas cannot "
            "be rescaled, since that would divide by zero",
            f->path);
    if (m->tokenizer && tokenizer_vocab_size(m->tokenizer) > f->clip.vocab_size)
        messages_add(errors, "%s: the tokenizer has %lld tokens, the text encoder %lld", f->path,
                     (long long)tokenizer_vocab_size(m->tokenizer), (long long)f->clip.vocab_size);
    return errors->count == before;
}

bool model_open(ModelFolder folder, Model *m, Messages *errors, Messages *warnings) {
    *m = (Model) { .folder = folder };
    if (!model_load(m, errors)) {
        model_close(m);
        return false;
    }
    Unused unused = { 0 };
    folder_unused(&m->folder, &unused);
    if (unused.count) {
        char *text = unused_text(&unused);
        messages_add(warnings, "%s: ignored, since they are no part of the model: %s", folder.path, text);
        free(text);
    }
    unused_free(&unused);
    return true;
}

void model_set_prediction(Model *m, Prediction prediction) {
    enum { LATENTS_512 = 64, LATENTS_768 = 96 };
    ModelFolder *f = &m->folder;
    if (f->prediction_guessed) /* the default size was guessed along with it */
        f->unet_config.sample_size = m->unet.config.sample_size =
            prediction == PREDICT_V ? LATENTS_768 : LATENTS_512;
    f->prediction_guessed = false;
    f->scheduler.prediction = prediction;
    noise_schedule_free(&m->noise_schedule);
    m->noise_schedule = noise_schedule_new(&f->scheduler);
}

void model_close(Model *m) {
    clip_free(&m->clip);
    unet_free(&m->unet);
    vae_free(&m->vae);
    noise_schedule_free(&m->noise_schedule);
    if (m->tokenizer) tokenizer_free(m->tokenizer);
    folder_close(&m->folder);
    *m = (Model) { 0 };
}
