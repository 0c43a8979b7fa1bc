/* The graph: a step is recorded once as a list of nodes without data, planned, and executed as often as
   wanted.

       Graph *g     = graph_new();
       Tensor *x    = graph_leaf(g, "x", shape2(4, 8), data, grad);
       Tensor *loss = mse_loss(g, linear(g, x, &layer), target);
       Plan plan    = graph_plan(g, loss, (PlanOptions) { .train = true });
       graph_bind(g, &arena)                                   after arena_reserve(&arena, &plan, ...)
       for (...) { graph_forward(g); graph_backward(g, NULL); }

   graph.c records, plan.c gives every buffer its address before any work, execute.c runs. */
#ifndef TI_GRAPH_H
#define TI_GRAPH_H

#include "tensor/tensor.h"

typedef struct Graph Graph;
typedef struct Node Node;

/* A layer's two weights under the names of the checkpoint: NAME.weight and NAME.bias (NULL: it has none). */
typedef struct {
    const Weight *weight, *bias;
} Layer;

typedef struct {
    int top, bottom, left, right;
} Padding;

/* What an op is. The facts after backward are what the executor, planning and reports need. */
enum { IN0 = 1, IN1 = 2, IN2 = 4, OUT = 8 };
typedef struct {
    const char *name;              /* "conv2d": for messages, traces and timing */
    void (*forward)(const Node *); /* fills out->data, whose content before is undefined */
    /* in[i]->grad += ..., or = ... where gradient_overwrites(n, i), for each i with in[i]->needs_grad; NULL:
       has no gradient */
    void (*backward)(const Node *);
    unsigned overwrites; /* whose gradients backward sets if they are fresh; the others are zeros then */
    unsigned reads;      /* whose data backward reads: IN0 | IN1 | IN2 | OUT; the rest is free for reuse */
    size_t (*workspace)(const Node *); /* floats each thread needs, in either pass; NULL: none */
    size_t (*scratch)(const Node *);   /* floats all threads share, in either pass; NULL: none */
    double (*flops)(const Node *); /* of forward, a multiply-add counted as two; NULL: not worth counting */
    double backward_flops;         /* backward's as a multiple of forward's, with all gradients wanted */
} Op;

/* One application of an op. Ops read the fields that their builder set. */
enum { NODE_INPUTS = 3 };
struct Node {
    const Op *op;
    Tensor *in[NODE_INPUTS];
    Tensor *out;
    Layer layer;         /* frozen weights */
    const Weight *table; /* embedding */
    const int32_t *ids;  /* embedding: read at every forward pass */
    int stride, groups, heads;
    Padding padding;
    bool causal;
    float eps;
    /* set by the graph */
    const char *name; /* "down_blocks.0.resnets.0/conv2d" */
    int block;        /* the named range it belongs to */
    /* set by the executor, valid inside forward and backward */
    unsigned overwrites; /* IN0 | ...: see gradient_overwrites */
    float *scratch;
    float *workspaces;
    size_t workspace_floats;
};

/* In backward: nothing has been added to in[i]'s gradient yet, and its memory holds anything. */
static inline bool gradient_overwrites(const Node *n, int i) { return n->overwrites & (1u << i); }

/* In backward: a part of in[i]'s gradient, `count` floats from element `at` on, is added or set. */
void write_gradient(const Node *n, int i, int64_t at, const float *part, int64_t count);

/* The calling thread's own workspace inside an op. */
float *node_workspace(const Node *n);

Graph *graph_new(void);
void graph_free(Graph *g);

/* A tensor whose data the caller owns and fills before a run. With grad (same shape, the caller's too) it is
   learned: backward sets grad to the gradient of the run. */
Tensor *graph_leaf(Graph *g, const char *name, Shape shape, float *data, float *grad);

/* Appends a node and returns its output. It needs a gradient if an input of it does and the op has a
   backward. */
Tensor *graph_node(Graph *g, const Op *op, Node node, Shape out);

/* From here on nodes belong to this named block: the unit of recomputation, and the first half of a node's
   name. */
void graph_block(Graph *g, const char *format, ...) PRINTF_LIKE(2, 3);

/* Its data stays readable after a run (the plan's result always does). */
void graph_keep(Graph *g, Tensor *t);

/* The nodes in order, for reports. */
int graph_nodes(const Graph *g);
const Node *graph_get(const Graph *g, int i);

typedef struct {
    bool train;     /* plan a backward pass as well */
    int64_t budget; /* bytes the buffers may take; 0: no limit. A smaller one recomputes blocks in backward */
    bool keep_all;  /* no buffer is ever reused (tests compare with it) */
    bool poison;    /* released buffers are filled with NaN (tests find wrong `reads` by it) */
    bool separate;  /* each buffer is a malloc of its own (for the sanitizers) */
    int recompute;  /* recompute at least this many blocks, whatever the budget */
} PlanOptions;

/* What a run will need, known before any work. */
typedef struct {
    int64_t buffers;   /* bytes of planned buffers: activations, gradients, scratch */
    int64_t workspace; /* bytes of workspace a thread */
    int64_t weights;   /* bytes of mapped weights the graph reads */
    int64_t kept;      /* bytes the buffers would take if nothing were reused */
    int blocks, recomputed;
    double forward_flops, backward_flops;
    bool fits; /* the budget is met */
} Plan;

/* Plans a run that computes result (dead nodes are left out). A second plan takes the place of the first. */
Plan graph_plan(Graph *g, Tensor *result, PlanOptions options);

/* The moments of a plan in their order, for reports: which node runs in which pass, and the bytes of the
   buffers that are alive then. */
typedef enum { FORWARD, RECOMPUTE, BACKWARD } Pass;
typedef struct {
    const Node *node;
    int index; /* the node's, as in graph_get */
    Pass pass;
    int64_t alive;
} PlanStep;
int graph_plan_steps(const Graph *g);
PlanStep graph_plan_step(const Graph *g, int i);

/* One allocation that several graphs can share, one run at a time. */
typedef struct {
    float *memory;
    int64_t bytes;
} Arena;

/* The bytes a plan needs with this many threads. */
int64_t plan_bytes(const Plan *plan, int threads);
/* False where there is no memory. */
bool arena_allocate(Arena *arena, int64_t bytes);
void arena_free(Arena *arena);
/* Gives the graph its memory; threads as in plan_bytes: no more may run it (a CHECK). */
void graph_bind(Graph *g, Arena *arena, int threads);

/* Runs the nodes. After forward, result->data is valid (and what graph_keep named) until the next run in the
   arena. */
void graph_forward(Graph *g);
/* d result / d leaf into each learned leaf's grad. seed has the result's shape: d loss / d result (NULL:
   ones). */
void graph_backward(Graph *g, const float *seed);

/* A look at every node right after it ran: profiles, dumps, searches for NaN. NULL: none. */
typedef struct {
    void (*before)(void *user, const Node *n, bool backward);
    void (*after)(void *user, const Node *n, bool backward);
    void *user;
} Trace;
void graph_trace(Graph *g, const Trace *trace);

/* Runs one moment of the plan by itself, on whatever lies where its inputs will be (trace->before may fill
   them): to time it. The graph is bound. */
void graph_run_plan_step(Graph *g, int moment);

#endif
