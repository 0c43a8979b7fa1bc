/* The time that a planned graph takes, from a few timed nodes. */
#ifndef TI_GRAPH_ESTIMATE_H
#define TI_GRAPH_ESTIMATE_H

#include "autograd/graph.h"

typedef struct {
    double forward, backward; /* seconds */
    int timed, all;           /* of its operations */
} GraphTime;

/* Each kind of operation is timed at most `rounds` times, for about `seconds`. The graph is bound; what lies
   in the arena and in the leaves is lost. */
GraphTime graph_time(Graph *g, double seconds, int rounds);

#endif
