/* SPDX-License-Identifier: MIT */
/* The losses of a run as the reference script logs them: the file losses.csv, which has the header
   "step,loss,lr" and one line for each micro-batch. */
#ifndef TI_LOSSES_H
#define TI_LOSSES_H

#include "inversion/loop.h"

#include <stdio.h>

typedef struct {
    char *path;
    FILE *file;
    int64_t bytes;    /* of the file so far */
    uint64_t hash;    /* of these bytes (io/hash.h) */
    double *loss;     /* [count]: each micro-batch's loss */
    double *smoothed; /* [count]: their exponential mean, for the plot */
    int64_t count, capacity;
    int64_t step;   /* updates done */
    double average; /* the last smoothed loss */
} Losses;

/* Creates the file with its header. An existing file is replaced. */
bool losses_begin(Losses *l, const char *path, Messages *errors);
/* Opens the file of a run that is resumed. Reads its first `records` records, which with the header are
   its first `bytes` bytes, and cuts off what follows. hash is the hash of these bytes, or NULL when it is
   not known. Returns false and adds a message when the file does not begin with the bytes that were
   written; then the file is not changed. */
bool losses_resume(Losses *l, const char *path, int64_t records, int64_t bytes, const uint64_t *hash,
                   Messages *errors);
void losses_close(Losses *l);

/* Appends a line and adds the loss to the arrays. */
bool losses_add(Losses *l, LoopRecord record, Messages *errors);
/* Makes sure that all lines are on the disk. A state that counts on them may be written only afterwards. */
bool losses_sync(Losses *l, Messages *errors);

#endif
