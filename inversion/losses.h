/* The losses of a run as the reference script logs them: losses.csv, "step,loss,lr" with a line a
   micro-batch. */
#ifndef TI_LOSSES_H
#define TI_LOSSES_H

#include "inversion/loop.h"

#include <stdio.h>

typedef struct {
    char *path;
    FILE *file;
    int64_t bytes; /* written by now */
    uint64_t hash; /* of them (io/hash.h) */
    double *loss;  /* [count] */
    double *smoothed;
    int64_t count, capacity;
    int64_t step;   /* updates done */
    double average; /* the last smoothed loss */
} Losses;

/* An empty file at path; one that is there is replaced. */
bool losses_begin(Losses *l, const char *path, Messages *errors);
/* Reads the first records, which take so many bytes, back and cuts off what follows. hash: of these bytes;
   NULL: not known. Errors: the file is not as it was; then nothing is changed. */
bool losses_go_on(Losses *l, const char *path, int64_t records, int64_t bytes, const uint64_t *hash,
                  Messages *errors);
void losses_close(Losses *l);

bool losses_add(Losses *l, LoopRecord record, Messages *errors);
/* The file is on the disk, before a state says so. */
bool losses_sync(Losses *l, Messages *errors);

#endif
