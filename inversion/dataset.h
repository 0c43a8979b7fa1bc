/* The order in which the reference script (diffusers' textual_inversion.py) meets its training pictures, and
   the random numbers that this order takes. The script has a dataset of pictures x repeats examples, a
   DataLoader that shuffles it in every epoch, and accelerate, which fetches one batch ahead in order to know
   which batch is the last.

   The script uses two generators, both seeded with --seed. Whatever is drawn from one of them depends on all
   that was drawn from it before, so the same word comes out only if all draws happen in this order:

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
       use the last batch, ahead of which nothing is fetched; then the next epoch begins

   The permutation itself is drawn from a third generator, which has no other use. dataset.c makes the draws
   of epochs and fetches, draw_noise in loop.c those of the uses. */
#ifndef TI_DATASET_H
#define TI_DATASET_H

#include "tensor/rng.h"

/* One training example: which picture, whether it is mirrored, and which template is its prompt. */
typedef struct {
    int64_t picture, template;
    bool flipped;
} Example;

typedef struct {
    Example *examples; /* [count], valid until the next call of dataset_next */
    int64_t count;     /* the last batch of an epoch may have fewer examples than the others */
    bool last;         /* whether it is the last batch of its epoch */
} Batch;

typedef struct {
    int64_t pictures, repeats, batch, templates;
    bool flip;
    Generator *torch; /* the run's generators, from which loop.c draws as well, between two batches */
    Twister *python;
    int64_t *order;  /* [pictures * repeats]: this epoch's permutation of the examples */
    int64_t fetched; /* examples of this epoch that were fetched so far */
    int64_t taken;   /* batches of this epoch that dataset_next has returned */
    /* Both generators as they were when this epoch began. With these and `taken`, a run that is resumed
       repeats the epoch's draws. */
    Generator epoch_torch;
    Twister epoch_python;
    Batch current; /* the batch that dataset_next returned last */
    Batch ahead;   /* the batch after it, which is fetched already; its count is 0 when there is none */
} Dataset;

/* All sizes are positive. torch and python stay the caller's and must outlive the dataset. */
Dataset dataset_new(int64_t pictures, int64_t repeats, int64_t batch, int64_t templates, bool flip,
                    Generator *torch, Twister *python);
void dataset_free(Dataset *d);

/* The number of batches in an epoch. */
int64_t dataset_batches(const Dataset *d);

/* Returns the next batch. When the epoch is over, a new one begins first. Makes all draws of the timeline
   that precede the use of this batch. */
Batch dataset_next(Dataset *d);

#endif
