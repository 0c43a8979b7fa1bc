/* SPDX-License-Identifier: MIT */
/* Finds where numbers that are not finite (infinities and NaN) come from. */
#ifndef TI_GRAPH_FINITE_H
#define TI_GRAPH_FINITE_H

#include "autograd/graph.h"

/* Whether all elements of x [count] are finite. */
bool all_finite(const float *x, int64_t count);

typedef struct {
    const Node *node; /* the first node whose output is not finite; NULL when there is none */
    int index;        /* of the node in the graph; -1 when there is none */
    /* the node's first weight that is not finite; NULL when all are finite and the numbers grew too large */
    const Weight *weight;
} NotFinite;

/* Runs a bound graph forward once more, with the present data of the leaves, and examines the
   output of each node. */
NotFinite graph_find_not_finite(Graph *g);

/* Returns false and adds the message "WHAT is not finite: first in ..." if result, which the graph's last run
   computed, is not finite. */
bool check_finite(Graph *g, const Tensor *result, const char *what, Messages *errors);

/* Returns the end of a message, such as "first in conv_in/conv2d, whose weight \"conv_in.weight\" is not
   finite". The caller frees it. */
char *not_finite_text(NotFinite found);

#endif
