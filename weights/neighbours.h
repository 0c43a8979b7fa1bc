/* Learned vectors beside the vocabulary: how long they are, and which known words they lie near. */
#ifndef TI_NEIGHBOURS_H
#define TI_NEIGHBOURS_H

#include "tensor/tensor.h"

/* The vocabulary's rows of the token embedding. */
typedef struct {
    const Weight *table;
    int64_t count, width, nearest;
    double *norms; /* [count], sorted once neighbours_of has run */
} Vocabulary;

typedef struct {
    int32_t id;
    double cosine;
} Near;

/* A learned vector beside it. */
typedef struct {
    double norm, shorter; /* shorter: the part of the vocabulary whose vectors are */
    Near *near;           /* [found], the nearest first */
    int64_t found;
} Neighbours;

/* The first `count` rows of the table; nearest: how many words to find for a vector. */
Vocabulary vocabulary_new(const Weight *table, int64_t count, int64_t nearest);
void vocabulary_free(Vocabulary *v);
/* Of the rows' norms, once neighbours_of has run. */
double vocabulary_median(const Vocabulary *v);

/* Of n vectors [n, width], in one pass over the vocabulary; their norms alone where that has no table.
   neighbours_free. */
Neighbours *neighbours_of(Vocabulary *v, const float *learned, int64_t n, int64_t width);
void neighbours_free(Neighbours *neighbours, int64_t n);

#endif
