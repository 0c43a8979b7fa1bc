/* The state of a run, small enough to be written after every step: what is needed to go on to the same
   bits. */
#ifndef TI_STATE_H
#define TI_STATE_H

#include "inversion/loop.h"

/* What a run was started with and on; a resumed one must agree in all of it. */
typedef struct {
    uint64_t options;                 /* of options.json, but for what may differ (TrainOptions.identity) */
    uint64_t prompts;                 /* of the templates' ids */
    uint64_t text_encoder, unet, vae; /* of the weight files' headers, sizes and sampled bytes */
    int64_t picture_count;
    uint64_t *pictures; /* [picture_count]: of each one's pixels, in their order */
} RunIdentity;

typedef struct {
    RunIdentity identity;
    bool finished; /* all steps are done, and everything is written */
    int64_t step;  /* updates done */
    int64_t taken; /* micro-batches of the epoch that began with these generators */
    Generator torch;
    Twister python;
    int64_t gathered; /* micro-batches since the last update, whose gradients are in accumulated */
    int64_t count;    /* floats of each of these: */
    float *learned, *m, *v, *accumulated;
    int64_t records, losses_bytes; /* lines, without the first, and bytes of losses.csv by then */
    /* A file of version 2 has none of the next three. */
    bool newer;
    int64_t steps;        /* that the run was to have when this was written */
    uint64_t losses_hash; /* of losses.csv's bytes by then */
    float *initial;       /* [count]: the rows that the run began with */
    int64_t points;
    double *grid;      /* [points, 2]: a step and its fixed-grid loss */
    double first_loss; /* of the run; a machine that computes the same numbers finds the same */
} RunState;

/* A view of the loop as it is now: the arrays are the loop's. The rest is the caller's to fill in. */
RunState state_of(const Loop *l);
/* Whether it can be a state of this loop; path is for the message. */
bool state_fits(const RunState *s, const Loop *l, const char *path, Messages *errors);
/* Puts a loop that has not run yet where the state was; its pictures are encoded already. */
void state_restore(const RunState *s, Loop *l);

/* Writes a safetensors file with a checksum (weights/sealed.h): the arrays are its tensors, the numbers its
   metadata, each under its name. What a later version of ti adds gets a name of its own. */
bool state_write(const char *path, const RunState *s, Messages *errors);
/* Reads that, or a file of version 2 (state_parse_2). Errors: missing, cut off, damaged, of another version,
   with a name that this one does not know: a line, false. Free with state_free. */
bool state_read(const char *path, RunState *s, Messages *errors);
bool state_parse(const char *path, const unsigned char *bytes, size_t size, RunState *s, Messages *errors);
void state_free(RunState *s);

/* The version of a file whose fields lie one after the other, as up to version 2; 0: it is none. */
int state_version(const unsigned char *bytes, size_t size);
/* What is in one of version 2; false: it is damaged. */
bool state_parse_2(const unsigned char *bytes, size_t size, RunState *s);

#endif
