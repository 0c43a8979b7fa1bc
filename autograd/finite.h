/* Where numbers that are not finite come from. */
#ifndef TI_GRAPH_FINITE_H
#define TI_GRAPH_FINITE_H

#include "autograd/graph.h"

/* Whether all of x [count] is finite. */
bool all_finite(const float *x, int64_t count);

typedef struct {
    const Node *node;     /* the first one whose output is not finite; NULL: all are */
    int index;            /* its place in the graph */
    const Weight *weight; /* of its weights the first one that is not finite; NULL: all are, so that the
                             numbers grew too large */
} NotFinite;

/* Runs a bound graph forward once more, on the leaves as they are, and looks at each node's output. */
NotFinite graph_find_not_finite(Graph *g);

/* False, with a line "WHAT is not finite: first in ...", if a result of the graph's last run is not. */
bool check_finite(Graph *g, const Tensor *result, const char *what, Messages *errors);

/* "first in conv_in/conv2d, whose weight \"conv_in.weight\" is not finite", for a message; free() it. */
char *not_finite_text(NotFinite found);

#endif
