/* SPDX-License-Identifier: MIT */
/* Validation: a picture that shows what the word has learned, generated from the same prompt and seed every
   time. It has a generator of its own, so that the run's random draws do not depend on it. */
#ifndef TI_VALIDATION_H
#define TI_VALIDATION_H

#include "diffusion/sampling.h"
#include "diffusion/model.h"
#include "io/image.h"
#include "io/picture_text.h"
#include "io/watch.h"
#include "text/prompt.h"

typedef struct Validation Validation;

/* options.count must be 1. The prompt and the negative prompt, NULL for none, may contain the words. The
   words and the model must outlive the result. Returns NULL and adds a message when there is not enough
   memory, and for the faults of prompt_read. A prompt that is too long gives a warning. */
Validation *validation_new(const Model *m, const Words *words, const char *prompt, const char *negative,
                           PromptOptions prompt_options, SamplingOptions options, PlanOptions plan,
                           Messages *errors, Messages *warnings);
void validation_free(Validation *v);
/* Returns the sampler inside, so that the caller can plan its memory and bind it to an arena. */
Sampling *validation_sampling(Validation *v);

/* Generates the picture and writes it to a PNG file, with the text. watch (may be NULL) is asked after each
   denoising step. When it stops the work, nothing is written and the function returns false without a
   message. */
bool validation_sample(Validation *v, const char *path, const PictureText *text, const Watch *watch,
                       Messages *errors);

#endif
