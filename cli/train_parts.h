/* SPDX-License-Identifier: MIT */
/* Parts of `ti train` that do not need its Run: what happens between the options and the start of training,
   and what is printed when the word is finished. */
#ifndef TI_TRAIN_PARTS_H
#define TI_TRAIN_PARTS_H

#include "cli/run_folder.h"
#include "cli/train.h"
#include "diffusion/model.h"
#include "inversion/pictures.h"
#include "inversion/training_prompts.h"
#include "inversion/early_stop.h"
#include "inversion/loop.h"
#include "inversion/validation.h"

/* Fits the open model and the options together: --resolution, --width, --height and --clip-skip. Adds a
   message for each fault: also for a model that cannot be trained, and when the folder that will be written
   is one that is read, which is the folder of the pictures, one inside the model's or the VAE's, or one that
   holds a file of weights or the word's file of --init. Returns false when the text encoder cannot be set
   up. */
bool train_prepare_model(TrainOptions *o, Model *m, Messages *errors, Messages *warnings);

/* Returns the learned vectors [vectors, width] before the first step; free() them. They come from the state
   if it contains them (state may be NULL), and otherwise from the words or the file in --init. With
   NORM_SPHERE new ones begin on their sphere. Returns NULL and adds a message for each fault. */
float *train_initial_vectors(TrainOptions *o, const Model *m, NormRule norm, const RunState *state,
                             Messages *errors);

/* Returns the length of the vectors in the state, or 0 if it does not hold as many vectors as the run has. */
int64_t train_state_width(const TrainOptions *o, const RunState *state);

/* With --per-image, appends a vector for each picture to the word's vectors and to the initial ones: a copy
   of the first. */
void train_own_vectors(Words *words, float **initial, int64_t pictures);

/* Reads the pixels of the listed pictures, and with --masks their masks. Returns false and adds a message
   for each fault. */
bool train_read_pictures(const TrainOptions *o, const Model *m, Pictures *pictures, Masks *masks,
                         Messages *errors);

/* Reads the prompts with which the word is learned. Returns false and adds a message for each fault. */
bool train_prompts(const TrainOptions *o, Tokenizer *t, const Pictures *pictures, TrainingPrompts *prompts,
                   Messages *errors, Messages *warnings);

/* Makes what generates the validation pictures, or NULL without --validation-prompt. Returns false and adds a
   message when it cannot be made. */
bool train_validation(const TrainOptions *o, const Model *m, const Words *words, Validation **validation,
                      Messages *errors, Messages *warnings);

/* Returns the rule of --norm, with the length that follows from the model's vocabulary. */
NormRule train_norm(const TrainOptions *o, const Model *m);

/* Returns the options of the training loop. --scale-lr is applied to the learning rates here. */
LoopOptions train_loop_options(const TrainOptions *o, NormRule norm);

/* Returns the rule of --stop auto for a run that begins with these options, or {0} with --stop off. */
EarlyStop train_early_stop(const TrainOptions *o);

/* Prints at which step a run was stopped, how to go on with it and, if the word was saved, where that is. */
void train_print_stopped(const TrainOptions *o, const RunFolder *f, int64_t step, bool saved);
/* Prints why --stop auto ends a run at this step, or that it did not end it before its last step, and which
   word is kept. */
void train_print_early_stop(const EarlyStop *stop, int64_t step, int64_t steps);
/* Prints at which step the fixed-grid loss was first as low as at its end, or at most 1 % higher, if it was
   measured along the run. */
void train_print_settled(const RunFolder *f);

/* Prints the word's file on stdout, and on stderr how it is used, in lines that can be pasted. ended_early:
   whether --stop auto has ended the run before its last step. */
void train_print_usage(const TrainOptions *o, const RunFolder *f, int64_t width, bool ended_early);

#endif
