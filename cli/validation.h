/* A picture of the word as it learns: the same prompt and seed every time, into the run's folder. Its generator is its own:
   no random draw of the run is touched. */
#ifndef TI_VALIDATION_H
#define TI_VALIDATION_H

#include "cli/common.h"
#include "cli/run_folder.h"
#include "cli/train.h"
#include "diffusion/drawing.h"

typedef struct Validation Validation;

Validation *validation_new(const Model *m, const Words *words, const TrainOptions *o, Messages *errors,
                           Messages *warnings);
void validation_free(Validation *v);
Drawing *validation_drawing(Validation *v); /* for its memory and binding */

/* FOLDER/validation-STEP.png */
bool validation_draw(Validation *v, const RunFolder *folder, int64_t step, Messages *errors);

#endif
