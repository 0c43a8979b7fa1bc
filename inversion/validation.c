/* SPDX-License-Identifier: MIT */
#include "inversion/validation.h"

#include "io/image_write.h"

#include <stdlib.h>

struct Validation {
    const Model *model;
    Sampling *sampling;
    Prompt prompt, negative;
    Image image;
    const Watch *watch;
};

Validation *validation_new(const Model *m, const Words *words, const char *prompt, const char *negative,
                           PromptOptions prompt_options, SamplingOptions options, PlanOptions plan,
                           Messages *errors, Messages *warnings) {
    Validation *v = mem_alloc(sizeof *v);
    v->model = m;
    if (!prompt_read(m->tokenizer, prompt, prompt_options, &v->prompt, errors, warnings)) {
        free(v);
        return NULL;
    }
    if (!prompt_read(m->tokenizer, negative ? negative : "", prompt_options, &v->negative, errors,
                     warnings)) {
        prompt_free(&v->prompt);
        free(v);
        return NULL;
    }
    options.prompt = &v->prompt;
    options.negative = &v->negative;
    v->sampling = sampling_new(&m->clip, &m->unet, &m->vae, &m->noise_schedule, words->learned,
                               words->vectors, tokenizer_max_length(m->tokenizer), options, plan);
    if (image_new((int)options.width, (int)options.height, &v->image, errors)) return v;
    validation_free(v);
    return NULL;
}

void validation_free(Validation *v) {
    if (!v) return;
    sampling_free(v->sampling);
    image_free(&v->image);
    prompt_free(&v->prompt);
    prompt_free(&v->negative);
    free(v);
}

Sampling *validation_sampling(Validation *v) { return v->sampling; }

/* After the last denoising step the weights of the text encoder and the UNet are not needed
   until training continues. Their pages are released before the decoder's weights are read,
   so that memory never holds both. */
static bool after_step(void *user, int64_t done, int64_t steps) {
    const Validation *v = user;
    if (!watch_go_on(v->watch, done, steps)) return false;
    if (done == steps) folder_release_pages(&v->model->folder);
    return true;
}

/* Keeps the decoded picture, and then releases the pages of the decoder's weights too. */
static void keep_picture(void *user, int64_t i, const float *picture) {
    Validation *v = user;
    (void)i;
    image_from_floats(picture, &v->image);
    folder_release_pages(&v->model->folder);
}

bool validation_sample(Validation *v, const char *path, const PictureText *text, const Watch *watch,
                       Messages *errors) {
    v->watch = watch;
    SamplingEvents events = { .step = after_step, .picture = keep_picture, .user = v };
    return sampling_run(v->sampling, &events, errors) && image_write(path, &v->image, text, errors);
}
