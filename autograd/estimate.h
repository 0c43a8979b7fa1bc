/* SPDX-License-Identifier: MIT */
/* Estimates how long a planned graph takes, from the times of a few nodes. */
#ifndef TI_GRAPH_ESTIMATE_H
#define TI_GRAPH_ESTIMATE_H

#include "autograd/graph.h"

typedef struct {
    double forward, backward; /* seconds */
    int timed, all;           /* number of kinds of steps that were timed; number of steps of the plan */
} GraphTime;

/* Times each kind of step at most `rounds` times, and stops after about `seconds`. The graph must be bound.
   This overwrites the contents of the arena and of the leaves. */
GraphTime graph_time(Graph *g, double seconds, int rounds);

#endif
