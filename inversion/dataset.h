/* The order in which the reference script meets its pictures, and the random draws that this takes: its
   DataLoader over a dataset of pictures x repeats, shuffled anew every epoch, with accelerate's look-ahead of
   one batch. */
#ifndef TI_DATASET_H
#define TI_DATASET_H

#include "tensor/rng.h"

/* One training example: which picture, mirrored or not, in which template. */
typedef struct {
    int64_t picture, template;
    bool flipped;
} Example;

typedef struct {
    Example *examples; /* [count], valid until the batch after the next is fetched */
    int64_t count;     /* the last batch of an epoch may be short */
    bool last;         /* of its epoch */
} Batch;

typedef struct {
    int64_t pictures, repeats, batch, templates;
    bool flip;
    Generator *torch; /* both are also drawn from by others, in between */
    Twister *python;
    int64_t *order;  /* [pictures * repeats]: this epoch's permutation */
    int64_t fetched; /* of order, so far */
    int64_t taken;   /* batches of this epoch that dataset_next has returned */
    Generator
        epoch_torch; /* both generators as this epoch found them: with taken, all that has to be saved */
    Twister epoch_python;
    Batch current, ahead;
} Dataset;

/* Sizes are positive; torch and python stay the caller's. */
Dataset dataset_new(int64_t pictures, int64_t repeats, int64_t batch, int64_t templates, bool flip,
                    Generator *torch, Twister *python);
void dataset_free(Dataset *d);

int64_t dataset_batches(const Dataset *d);    /* an epoch */
int64_t dataset_last_batch(const Dataset *d); /* examples in an epoch's last batch */

/* The next batch, with the draws that happen before its training step: of a new epoch if the last one is
   over. */
Batch dataset_next(Dataset *d);

#endif
