/* The state of a run, small enough to be written after every step: what is needed to go on to the same bits. */
#ifndef TI_STATE_H
#define TI_STATE_H

#include "cli/loop.h"

/* What the run was started with and on; a resumed run must agree in all of it. */
typedef struct {
    uint64_t pictures; /* hash of the training pictures' pixels, in their order */
    uint64_t weights;  /* of the weight files' headers, sizes and sampled bytes */
    uint64_t prompts;  /* of the templates' ids */
} RunIdentity;

typedef struct {
    RunIdentity identity;
    int64_t step, taken; /* updates done; micro-batches of the epoch that began with these generators */
    int64_t records, losses_bytes; /* lines and bytes of losses.csv by then */
    double grid_before;            /* the fixed-grid loss before the first step, NAN: not computed */
    Generator torch;
    Twister python;
    int64_t count; /* floats of each of these: */
    float *rows, *m, *v;
} RunState;

/* A view of the loop as it is now; the arrays are the loop's. */
RunState state_of(const Loop *l, RunIdentity identity);
/* Puts a loop that has not run yet where the state was. count must be the loop's. */
void state_restore(const RunState *s, Loop *l);

/* Written aside and renamed, with a checksum. */
bool state_write(const char *path, const RunState *s, Messages *errors);
/* Errors: missing, cut off, damaged, of another version: a line, false. Free with state_free. */
bool state_read(const char *path, RunState *s, Messages *errors);
bool state_parse(const char *path, const unsigned char *bytes, size_t size, RunState *s, Messages *errors);
void state_free(RunState *s);

#endif
