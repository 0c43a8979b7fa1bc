/* SPDX-License-Identifier: MIT */
/* Helpers of the tests of models in one file of the original layout. They read lists of the tensors' names,
   which golden/single.py checked with diffusers, and write files that hold these tensors. */
#ifndef TI_SINGLE_FILE_H
#define TI_SINGLE_FILE_H

#include "tensor/tensor.h"

/* A tensor of a model, by its names in both layouts. */
typedef struct {
    const char *original;    /* its name in the single file */
    const char *part, *name; /* its part and its name in diffusers */
    Shape shape;             /* in diffusers */
    /* '1' for a 1x1 convolution in the single file; 'q', 'k' or 'v' for a third of a tensor of the file,
       which stacks the three; 0 for any other tensor */
    char flag;
} NamePair;

typedef struct {
    char *text; /* holds the names */
    NamePair *pairs;
    int64_t count;
} Names;

/* Reads golden/single/MODEL/names.txt, or exits with status 1. Free the result with names_free. */
Names names_read(const char *model);
void names_free(Names *n);

/* A tensor to be written. */
typedef struct {
    char name[200];
    const char *dtype;
    Shape shape;
    const NamePair *sources; /* the tensors whose numbers fill it one after the other; NULL for zeros */
    int source_count;        /* 1, or 3 for q, k and v */
} Entry;

typedef struct {
    Entry *at; /* freed by the caller */
    int64_t count;
} Entries;

/* Appends a tensor of zeros and returns it. */
Entry *entries_put(Entries *e, const char *name, const char *dtype, Shape shape);
/* Returns the bytes of a number of type F8_*, F16, BF16, F32, I32 or I64. */
size_t entry_size(const char *dtype);

/* Returns the tensors of a single file. text_type is the type of the text encoder's tensors and type that of
   all others. entries_write can write numbers of the types F32 and BF16. */
Entries entries_of_names(const Names *names, const char *text_type, const char *type);

/* Appends tensors that full checkpoints contain although they are no part of the model. LEFTOVERS is the
   number of those that are reported as ignored; position_ids is ignored silently. */
void entries_put_leftovers(Entries *e);
enum { LEFTOVERS = 9 };

/* Writes a safetensors file, or exits with status 1. When `numbers` is false, its data are a hole, which
   reads as zeros and takes no space on disk. */
void entries_write(const char *path, const Entries *e, bool numbers);

#endif
