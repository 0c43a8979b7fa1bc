/* How much memory a run may take, and what its plan takes: --memory BYTES|auto. */
#ifndef TI_MEMORY_H
#define TI_MEMORY_H

#include "diffusion/sampling.h"

typedef struct {
    int64_t bytes;  /* that may be taken */
    bool automatic; /* what is free, rather than what the user said */
} MemoryLimit;

/* "auto", or a number of bytes, with K, M, G, KB, MB or GB behind it (powers of 1000). */
bool memory_limit_parse(const char *text, MemoryLimit *limit, Messages *errors);

/* What a part of a run takes: memory of its own, and mapped weights. Between two parts, folder_forget. */
typedef struct {
    int64_t weights, buffers; /* buffers: with the workspaces of all threads */
    int recomputed, blocks;   /* of the training step */
    const char *picture;      /* the part is reading this picture, of that size; else NULL */
    int width, height;
} MemoryNeed;

/* The part that takes more. */
MemoryNeed memory_worse(MemoryNeed a, MemoryNeed b);

/* A drawing's: prompts and denoising, or decoding, whose weights come when those of the others are
   forgotten. */
MemoryNeed memory_of_sampling(const Sampling *d, int threads);

int64_t memory_total(const MemoryNeed *need);

/* Tells on stderr what the run takes, after the warnings. False, with a line that says what would do, if that
   is over the limit; where the limit is automatic only a warning, since mapped weights can be read anew from
   the disk. The line names the picture where that is what takes the most. smaller: what would take less, "a
   smaller --batch". */
bool memory_announce(const MemoryNeed *need, const MemoryLimit *limit, const char *smaller, int threads,
                     Messages *errors, Messages *warnings);

/* What this process has taken, at the end of a run. */
void tell_peak_memory(void);

#endif
