/* SPDX-License-Identifier: MIT */
/* Arithmetic on learned words. */
#ifndef TI_MIX_H
#define TI_MIX_H

#include "weights/embedding.h"

typedef struct {
    const Embedding *word;
    double factor;
} MixPart;

/* Computes the sum of factor times word, vector by vector, in double; the sum's name is the first word's.
   Returns false and adds a message when the words have other numbers of vectors or other widths than the
   first, or when the sum is not finite. The caller frees *sum with embeddings_free. */
bool words_mix(const MixPart *parts, int64_t count, Embeddings *sum, Messages *errors);

/* Keeps only the vectors with these indices [count], from 0, in this order. Returns false and adds a message
   when the word does not have such a vector. */
bool word_keep_rows(Embedding *e, const int64_t *rows, int64_t count, Messages *errors);

/* Scales each vector to this norm. Returns false and adds a message when a vector is 0. */
bool word_set_norm(Embedding *e, double norm, Messages *errors);

#endif
