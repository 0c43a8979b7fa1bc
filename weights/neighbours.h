/* SPDX-License-Identifier: MIT */
/* Compares learned vectors with those of the vocabulary: their norms, and which known tokens lie nearest. */
#ifndef TI_NEIGHBOURS_H
#define TI_NEIGHBOURS_H

#include "tensor/tensor.h"

/* The vectors of the vocabulary's own tokens: the first count rows of the token embedding [.., width]. */
typedef struct {
    const Weight *table;
    int64_t count, width, nearest; /* nearest is how many tokens to find for each learned vector */
    double *norms;                 /* the rows' norms [count], which neighbours_of sets, in ascending order */
} Vocabulary;

typedef struct {
    int32_t id;
    double cosine;
} Near;

/* The result for one learned vector. */
typedef struct {
    double norm, shorter; /* shorter is the fraction of the vocabulary's vectors that have a smaller norm */
    Near *near;           /* [found], in descending order of the cosine */
    int64_t found;
} Neighbours;

/* When table is NULL, neighbours_of only computes the norms of the learned vectors. */
Vocabulary vocabulary_new(const Weight *table, int64_t count, int64_t nearest);
void vocabulary_free(Vocabulary *v);
/* Returns the median of the rows' norms. To be called after neighbours_of. */
double vocabulary_median(const Vocabulary *v);

/* Compares the learned vectors [n, width] with the vocabulary, in one pass over it. Returns n results,
   which the caller frees with neighbours_free. */
Neighbours *neighbours_of(Vocabulary *v, const float *learned, int64_t n, int64_t width);
void neighbours_free(Neighbours *neighbours, int64_t n);

/* The median of the norms of the first `count` rows of the token embedding, and the mean of those that are
   not 0. */
double vocabulary_median_norm(const Weight *table, int64_t count);
double vocabulary_mean_norm(const Weight *table, int64_t count);

#endif
