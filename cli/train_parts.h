/* Parts of `ti train` that do not need its Run: from the options to the start of training, and what is
   printed when the word is finished. */
#ifndef TI_TRAIN_PARTS_H
#define TI_TRAIN_PARTS_H

#include "cli/run_folder.h"
#include "cli/train.h"
#include "diffusion/model.h"
#include "inversion/loop.h"

/* Checks that the folder that will be written is none of those that are read: not the folder of the pictures,
   nor inside the model's or the VAE's, nor one that holds a file of weights or the word's file of --init.
   Adds a message if it is. */
void train_check_folders(const TrainOptions *o, const ModelFolder *m, Messages *errors);

/* Returns the learned vectors [vectors, width] before the first step: those that the state remembers (state
   may be NULL), or else those of the words or of the file in --init; free() them. Returns NULL and adds a
   message for each fault. */
float *train_initial_vectors(TrainOptions *o, const Model *m, const RunState *state, Messages *errors);

/* Returns the options of the training loop. --scale-lr is applied to the learning rate here. */
LoopOptions train_loop_options(const TrainOptions *o);

/* Prints the word's file on stdout, and on stderr how it is used, in lines that can be pasted. */
void train_print_usage(const TrainOptions *o, const RunFolder *f, int64_t width);

#endif
