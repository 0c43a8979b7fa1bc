/* What graph.c, plan.c and execute.c share. */
#ifndef TI_GRAPH_INTERNAL_H
#define TI_GRAPH_INTERNAL_H

#include "autograd/graph.h"

/* A time on the plan's schedule at which nothing happens. */
enum { NEVER = -1 };

/* A stretch of the schedule [first, last], both included, during which bytes at offset belong to one
   buffer. */
typedef struct {
    int first, last; /* first == NEVER: not needed */
    int64_t floats, offset;
    float *separate; /* PlanOptions.separate: a malloc of its own instead */
} Buffer;

/* What a run does in one moment. */
typedef struct {
    int node;
    Pass pass;
} Moment;

/* The buffers of one tensor: its data in the forward pass, again where its block is recomputed, its
   gradient. */
typedef struct {
    Tensor *tensor;
    int producer; /* the node, -1 for a leaf */
    bool leaf, keep;
    const char *name; /* of a leaf */
    Buffer data, recomputed, grad;
} Slot;

struct Graph {
    Node **nodes;
    int count, capacity;
    Slot *slots; /* by Tensor.id */
    int tensors, slot_capacity;
    char **blocks;
    int block_count;
    /* the plan */
    PlanOptions options;
    Tensor *result;
    bool *live;       /* [count]: the result depends on it */
    bool *recomputed; /* [block_count] */
    Moment *schedule;
    int moments;
    int forward_moments;      /* the schedule's first part */
    Buffer *scratch;          /* [moments] */
    int64_t floats;           /* of all buffers together */
    int64_t workspace_floats; /* a thread */
    /* the run */
    float *memory;
    int threads;
    const Trace *trace;
};

/* Forgets the plan and what was bound to it. */
void graph_release_plan(Graph *g);

#endif
