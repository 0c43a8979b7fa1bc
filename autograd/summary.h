/* What there is to say of a planned graph, node by node. */
#ifndef TI_GRAPH_SUMMARY_H
#define TI_GRAPH_SUMMARY_H

#include "autograd/graph.h"

/* A node runs forward once, and backward or again or not. */
typedef struct {
    const Node *node; /* NULL: nothing needs it */
    bool backward;
    int64_t weights;  /* bytes of its weights */
    int64_t alive[2]; /* bytes of the buffers that are alive in its forward and its backward pass */
    double gflop[2];
} NodeSummary;

/* [graph_nodes]; free() it. */
NodeSummary *graph_summary(const Graph *g);

/* The moment at which the most buffers are alive. */
PlanStep graph_peak(const Graph *g);

#endif
