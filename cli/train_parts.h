/* What `ti train` does before the run and after it, apart from it: where the rows start, what to do with the
   word. */
#ifndef TI_TRAIN_PARTS_H
#define TI_TRAIN_PARTS_H

#include "cli/run_folder.h"
#include "cli/train.h"
#include "diffusion/model.h"

/* The rows [vectors, width] before the first step: as the state remembers them (NULL: there is none), or
   those of the words or the file in --init. free() them. NULL and a line for each fault. */
float *train_initial_rows(TrainOptions *o, const Model *m, const RunState *state, Messages *errors);

/* The word's file on stdout, and on stderr how it is used, in lines that can be pasted. */
void train_print_usage(const TrainOptions *o, const RunFolder *f, int64_t width);

#endif
