/* A picture of the word as it learns: the same prompt and seed every time. Its generator is its own: no
   random draw of the run is touched. */
#ifndef TI_VALIDATION_H
#define TI_VALIDATION_H

#include "diffusion/sampling.h"
#include "diffusion/model.h"
#include "io/image.h"
#include "io/watch.h"
#include "text/prompt.h"

typedef struct Validation Validation;

/* options.count is 1; its prompt may use the words. NULL and a line where there is no memory; a warning where
   the prompt is too long. The model and the words must outlive it. */
Validation *validation_new(const Model *m, const Words *words, const char *prompt, SamplingOptions options,
                           Messages *errors, Messages *warnings);
void validation_free(Validation *v);
Sampling *validation_sampling(Validation *v); /* for its memory and binding */

/* Draws it into a file. watch (may be NULL) is asked after each step: if it says no, nothing is written, and
   false comes back without a line. */
bool validation_draw(Validation *v, const char *path, const Watch *watch, Messages *errors);

#endif
