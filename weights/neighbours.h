/* Compares learned vectors with the vocabulary's: their norms, and which known tokens lie nearest. */
#ifndef TI_NEIGHBOURS_H
#define TI_NEIGHBOURS_H

#include "tensor/tensor.h"

/* The first count rows of the token embedding [.., width], those of the vocabulary's own tokens. */
typedef struct {
    const Weight *table;
    int64_t count, width, nearest; /* nearest: how many tokens to find for each vector */
    double *norms;                 /* of the rows, [count], in ascending order once neighbours_of has run */
} Vocabulary;

typedef struct {
    int32_t id;
    double cosine;
} Near;

/* What neighbours_of finds out about one learned vector. */
typedef struct {
    double norm, shorter; /* shorter: the fraction of the vocabulary whose vectors have a smaller norm */
    Near *near;           /* [found], in descending order of the cosine */
    int64_t found;
} Neighbours;

/* table may be NULL; neighbours_of then computes norms alone. */
Vocabulary vocabulary_new(const Weight *table, int64_t count, int64_t nearest);
void vocabulary_free(Vocabulary *v);
/* The median of the rows' norms; neighbours_of must have run. */
double vocabulary_median(const Vocabulary *v);

/* Compares the learned vectors [n, width] with the vocabulary, in one pass over it. Returns n results, to be
   freed with neighbours_free. */
Neighbours *neighbours_of(Vocabulary *v, const float *learned, int64_t n, int64_t width);
void neighbours_free(Neighbours *neighbours, int64_t n);

#endif
