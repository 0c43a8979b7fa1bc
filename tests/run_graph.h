/* Runs a recorded graph in every way there is (nothing reused, planned, recomputed by blocks; 1, 2 and 5
   threads; released buffers poisoned; each buffer a malloc of its own) and tests that all give the same
   bits. */
#ifndef TI_RUN_GRAPH_H
#define TI_RUN_GRAPH_H

#include "autograd/graph.h"

/* A copy of out's data, free() it; the gradients are in the leaves [count]. dy: d loss / d out; NULL: forward
   alone. name: of the test line. */
float *run_graph(Graph *g, Tensor *out, const float *dy, Tensor *const leaves[], int count, const char *name);

#endif
