/* SPDX-License-Identifier: MIT */
/* The state of a run: everything that a resumed run needs to reach the same bits as one that was never
   stopped. It is small enough to be written after every step. */
#ifndef TI_STATE_H
#define TI_STATE_H

#include "inversion/early_stop.h"
#include "inversion/loop.h"

/* Hashes of the inputs with which a run was started. A resumed run must agree in all of them. */
typedef struct {
    uint64_t options;                 /* of the options that must not differ (TrainOptions.identity) */
    uint64_t prompts;                 /* of the templates' token ids */
    uint64_t text_encoder, unet, vae; /* of the weight files' headers, sizes and sampled bytes */
    int64_t picture_count;
    uint64_t *pictures; /* [picture_count]: of each picture's pixels, in the pictures' order */
} RunIdentity;

typedef struct {
    RunIdentity identity;
    bool finished;   /* whether all steps are done and all files are written */
    int64_t step;    /* updates done */
    int64_t taken;   /* micro-batches of the current epoch that are done */
    Generator torch; /* both generators as they were when this epoch began */
    Twister python;
    int64_t gathered; /* micro-batches since the last update, whose gradients are in `accumulated` */
    int64_t count;    /* elements of each of the next four arrays and of `initial` */
    float *learned, *m, *v, *accumulated;
    int64_t records;      /* lines of losses.csv, without its header */
    int64_t losses_bytes; /* bytes of losses.csv */
    bool newer;           /* whether the file is newer than version 2, which lacks the next three fields */
    int64_t steps;        /* of the whole run, as its options said when this was written */
    uint64_t losses_hash; /* of the first losses_bytes bytes of losses.csv */
    float *initial;       /* [count]: the learned vectors before the first step */
    int64_t points;
    double *grid;      /* [points, 2]: a step and its fixed-grid loss */
    double first_loss; /* of the run's first micro-batch: a machine that computes the same bits repeats it */
    EarlyStop stop;    /* of a run with early stopping; the file of any other run does not mention it */
} RunState;

/* Returns the loop's part of the current state. The arrays are the loop's
   own. The caller fills in the rest. */
RunState state_of(const Loop *l);
/* Returns whether the state can belong to this loop. If not, adds a message about the file at path. */
bool state_fits(const RunState *s, const Loop *l, const char *path, Messages *errors);
/* Moves a loop that has not run yet to the state. The posteriors of its pictures must have been computed. */
void state_restore(const RunState *s, Loop *l);

/* Writes a safetensors file with a checksum (weights/sealed.h). The arrays are its tensors and the numbers
   are its metadata, each under a name of its own. If a later version of ti adds something to the state, it
   uses a new name, so that this version recognises that it does not know the file. */
bool state_write(const char *path, const RunState *s, Messages *errors);
/* Reads such a file, or one of version 2. Returns false and adds a message when the file is missing, cut
   off, damaged or of another version, or when it contains a name that this version does not know. The caller
   frees the state with state_free. */
bool state_read(const char *path, RunState *s, Messages *errors);
/* Reads the state from the bytes of a file; path is for messages. */
bool state_parse(const char *path, const unsigned char *bytes, size_t size, RunState *s, Messages *errors);
void state_free(RunState *s);

/* Up to version 2 a file began with a magic string, which was followed by the fields of the state one after
   the other. Returns the version of such a file, or 0 for any other file. */
int state_version(const unsigned char *bytes, size_t size);
/* Reads a file of version 2. Returns false when it is damaged. */
bool state_parse_2(const unsigned char *bytes, size_t size, RunState *s);

#endif
