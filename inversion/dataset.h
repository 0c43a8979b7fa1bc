/* SPDX-License-Identifier: MIT */
/* The order in which the reference script (diffusers' textual_inversion.py) visits its training pictures,
   and the random numbers that it draws on the way. The script has a dataset of pictures x repeats
   examples, a DataLoader that shuffles it in every epoch, and accelerate, which fetches one batch ahead in
   order to know which batch is the last.

   The script uses two generators, both seeded with --seed. Each draw depends on all earlier draws from the
   same generator, so the same word is learned only if all draws happen in this order:

                                                              torch's generator          Python's random
       an epoch begins   a base seed for the workers          1 number of 64 bits
                         a seed for the permutation           1 number of 64 bits
       fetch batch 0     for each of its examples             flip                       template
       fetch batch 1     for each of its examples             flip                       template
       use batch 0       the posterior's noise [B, L, h, w]   all of it
                         the training noise    [B, L, h, w]   all of it
                         for each of its examples             t
       fetch batch 2     for each of its examples             flip                       template
       use batch 1       as for batch 0
       ...
       use the last batch, for which no batch is fetched ahead; then the next epoch begins

   With per-image tokens, Python's random draws one number more after each template, random(), which decides
   whether the prompt names the picture's own word.

   The permutation itself is drawn from a third generator, which has no other use. dataset.c makes the draws
   of epochs and fetches, and draw_noise in loop.c makes those of the uses. */
#ifndef TI_DATASET_H
#define TI_DATASET_H

#include "inversion/training_prompts.h"
#include "tensor/rng.h"

/* One training example: which picture, whether it is mirrored, and which row of the prompts is its prompt.
   With per-image tokens, own says whether the prompt names the picture's own word (training_prompts.h). */
typedef struct {
    int64_t picture, prompt;
    bool flipped, own;
} Example;

typedef struct {
    Example *examples; /* [count], valid until the next call of dataset_next */
    int64_t count;     /* the last batch of an epoch may have fewer examples than the others */
    bool last;         /* whether it is the last batch of its epoch */
} Batch;

typedef struct {
    int64_t pictures, repeats, batch;
    const TrainingPrompts *prompts;
    bool flip;
    double per_image; /* the probability of Example.own */
    Generator *torch; /* the run's generators; loop.c draws from `torch` too, between two batches */
    Twister *python;
    int64_t *order;  /* [pictures * repeats]: this epoch's permutation of the examples */
    int64_t fetched; /* examples of this epoch that have been fetched so far */
    int64_t taken;   /* batches of this epoch that dataset_next has returned */
    /* Both generators as they were when this epoch began. A resumed run starts from them and
       repeats the draws of `taken` batches. */
    Generator epoch_torch;
    Twister epoch_python;
    Batch current; /* the batch that dataset_next returned last */
    Batch ahead;   /* the batch after it, which has been fetched already; its count is 0 when there is none */
} Dataset;

/* All sizes must be positive. prompts, torch and python belong to the caller and must outlive the dataset. */
Dataset dataset_new(int64_t pictures, int64_t repeats, int64_t batch, const TrainingPrompts *prompts,
                    bool flip, double per_image, Generator *torch, Twister *python);
void dataset_free(Dataset *d);

/* Returns the number of batches in an epoch. */
int64_t dataset_batches(const Dataset *d);

/* Returns the next batch, and begins a new epoch first when the last one is over. Makes all draws of the
   timeline that precede the use of this batch. */
Batch dataset_next(Dataset *d);

#endif
