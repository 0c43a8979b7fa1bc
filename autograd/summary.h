/* SPDX-License-Identifier: MIT */
/* A report on a planned graph, node by node. */
#ifndef TI_GRAPH_SUMMARY_H
#define TI_GRAPH_SUMMARY_H

#include "autograd/graph.h"

typedef struct {
    const Node *node; /* NULL when the plan leaves the node out */
    bool backward;    /* whether the plan has a backward step for the node */
    int64_t weights;  /* bytes of its weights */
    int64_t alive[2]; /* bytes of the buffers that are alive in its forward and in its backward step */
    double gflop[2];  /* of its forward and of its backward step */
} NodeSummary;

/* Returns an array [graph_nodes] with a summary of each node. The caller frees it. */
NodeSummary *graph_summary(const Graph *g);

/* Returns the step in which the most bytes are alive, or the first such step if there are several. */
PlanStep graph_peak(const Graph *g);

#endif
