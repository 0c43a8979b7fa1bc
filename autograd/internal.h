/* SPDX-License-Identifier: MIT */
/* The parts of a graph that graph.c, plan.c and execute.c share. */
#ifndef TI_GRAPH_INTERNAL_H
#define TI_GRAPH_INTERNAL_H

#include "autograd/graph.h"

/* Used instead of the number of a plan step when there is no such step. */
enum { NEVER = -1 };

/* Memory with a lifetime: in the plan steps from first_write to last_read, both included, `floats` floats
   from `offset` on belong to this buffer. */
typedef struct {
    int first_write, last_read; /* first_write is NEVER when the plan does not need the buffer */
    int64_t floats, offset;
    float *separate; /* the buffer's own allocation, with PlanOptions.separate */
} Buffer;

/* A tensor and its buffers: its data, the copy that exists if its block is recomputed, and its gradient. The
   caller owns the memory of a leaf, whose buffers are not needed. */
typedef struct {
    Tensor *tensor;
    int producer; /* the index of the node that computes the tensor, -1 for a leaf */
    bool leaf, keep;
    const char *name; /* of a leaf */
    Buffer data, recomputed, grad;
} Slot;

struct Graph {
    Node **nodes;
    int count, capacity;
    Slot *slots; /* [tensors], by Tensor.id */
    int tensors, slot_capacity;
    char **blocks; /* [block_count], their names */
    int block_count;
    /* the plan */
    PlanOptions options;
    Tensor *result;
    bool *needed;     /* [count]: whether the result or a kept tensor depends on the node */
    bool *recomputed; /* [block_count]: whether the block is recomputed in backward */
    PlanStep *steps;  /* [step_count]; NULL when there is no plan */
    int step_count;
    int forward_steps;        /* number of steps of the forward pass, which come first */
    Buffer *scratch;          /* [step_count] */
    int64_t floats;           /* of all buffers together */
    int64_t workspace_floats; /* for each thread */
    /* the run */
    float *memory;
    int threads;
    const Trace *trace;
    const Watch *watch;
};

/* The buffers of a planned graph are numbered: three for each tensor, then the scratch of each step. */
static inline int buffer_count(const Graph *g) { return 3 * g->tensors + g->step_count; }
static inline Buffer *buffer_at(Graph *g, int i) {
    if (i >= 3 * g->tensors) return &g->scratch[i - 3 * g->tensors];
    Slot *s = &g->slots[i / 3];
    return i % 3 == 0 ? &s->data : i % 3 == 1 ? &s->recomputed : &s->grad;
}

/* Frees the plan, and forgets the memory that was bound to it. */
void graph_release_plan(Graph *g);

#endif
