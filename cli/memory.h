/* SPDX-License-Identifier: MIT */
/* How much memory a run may take (--memory BYTES|auto), and how much its plan needs. */
#ifndef TI_MEMORY_H
#define TI_MEMORY_H

#include "diffusion/sampling.h"

typedef struct {
    int64_t bytes;  /* the most that may be taken */
    bool automatic; /* whether it is what the machine has free, and not a limit that the user set */
} MemoryLimit;

/* Parses "auto", which is the memory that is free, or a number of bytes, which K, M, G, KB, MB or GB may
   follow (powers of 1000). Returns false and adds a message when the text is neither. */
bool memory_limit_parse(const char *text, MemoryLimit *limit, Messages *errors);

/* What a part of a run needs, in bytes. The parts of a run follow one another, and folder_release_pages
   between two of them frees the memory of the first one's weights, so that a run needs what its largest part
   needs. */
typedef struct {
    int64_t weights;        /* mapped from files */
    int64_t buffers;        /* allocated, including the workspaces of all threads */
    int recomputed, blocks; /* recomputed blocks of the training step, and all of its blocks */
    const char *picture;    /* the path when the part is the reading of a picture, else NULL */
    int width, height;      /* of that picture */
} MemoryNeed;

/* Returns the larger of the needs of two parts. */
MemoryNeed memory_larger(MemoryNeed a, MemoryNeed b);

/* Returns the need of generating pictures: that of encoding the prompts and denoising, or that of decoding,
   whichever is larger. The decoder's weights are read after the memory of the others has been freed, and with
   previews before as well. */
MemoryNeed memory_of_sampling(const Sampling *sampling, int threads);

/* Returns the bytes of weights and buffers together. */
int64_t memory_total(const MemoryNeed *need);

/* Prints the warnings and then the need of a run on stderr. When the need is above the limit that the user
   set, returns false and adds a message that says what would suffice. Above an automatic limit it only warns,
   since mapped weights can be read from the disk again. The messages name the picture when reading it takes
   the most. `smaller` says what would take less, such as "a smaller --batch". */
bool memory_announce(const MemoryNeed *need, const MemoryLimit *limit, const char *smaller, int threads,
                     Messages *errors, Messages *warnings);

/* Prints on stderr, at the end of a run, the most memory that the process has taken. */
void print_peak_memory(void);

#endif
