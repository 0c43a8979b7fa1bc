/* SPDX-License-Identifier: MIT */
/* Runs a recorded graph, with matrix products in either precision, with all kinds of plans (without reuse
   of memory, with it, with recomputed blocks, with separate allocations, with NaN in buffers after their
   last read) and with 1, 2 and 5 threads, and tests that all of them give the same bits. */
#ifndef TI_RUN_GRAPH_H
#define TI_RUN_GRAPH_H

#include "autograd/graph.h"

/* Returns a copy of out's data, which the caller frees; afterwards the leaves [count] have their gradients.
   dy is d loss / d out, or NULL to run only the forward pass. `name` is the test's name. */
float *run_graph(Graph *g, Tensor *out, const float *dy, Tensor *const leaves[], int count,
                 Precision precision, const char *name);

#endif
