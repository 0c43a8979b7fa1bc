/* SPDX-License-Identifier: MIT */
/* The graph of a computation. It is recorded once, as a list of nodes without data (graph.c). Then a plan
   gives every buffer its address (plan.c), and the planned graph can run any number of times (execute.c). In
   this example, gradient descent changes x until linear(x) equals the target:

       float x_data[2] = { 3, -1 }, x_grad[2], target_data[1] = { 0.5f };
       Graph *g = graph_new();
       Tensor *x = graph_leaf(g, "x", shape2(1, 2), x_data, x_grad);
       Tensor *target = graph_leaf(g, "target", shape2(1, 1), target_data, NULL);
       Tensor *loss = mse_loss(g, linear(g, x, &layer), target);
       Plan plan = graph_plan(g, loss, (PlanOptions) { .train = true });
       int threads = omp_get_max_threads();
       Arena arena;
       CHECK(arena_allocate(&arena, plan_bytes(&plan, threads)));
       graph_bind(g, &arena, threads);
       for (int step = 0; step < 2; step++) {
           graph_forward(g);
           graph_backward(g, NULL);
           losses[step] = loss->data[0];
           for (int i = 0; i < 2; i++) x_data[i] -= 0.1f * x_grad[i];
       }
       graph_free(g);
       arena_free(&arena);

   With the weight (1, 2) and the bias 0.5, the first loss is ((3 - 2 + 0.5) - 0.5)^2 = 1, its gradient is
   2 (1, 2) = (2, 4), and the second loss is 0.

   A tensor's gradient is a sum with one term for each use of the tensor. Here h and y are used twice:

       Tensor *h = silu(g, x);
       Tensor *a = gelu(g, h);
       Tensor *b = quick_gelu(g, h);
       Tensor *y = add(g, a, b);
       Tensor *z = add(g, y, y);

   Backward goes from the last node to the first. Thus quick_gelu is the first node that writes h's gradient.
   The memory of this gradient still contains the numbers of another buffer, so quick_gelu overwrites it
   (h->grad = ...). Then gelu accumulates (h->grad += ...). The last node uses y twice. For both inputs it
   accumulates, after the executor has filled y's gradient with zeros. The executor also fills a gradient with
   zeros if the first op that writes the gradient cannot overwrite it (Op.can_overwrite). The gradient of a
   leaf begins with zeros in every run.

   docs/autograd.md explains planning and recomputation on a graph of four nodes. tests/ops/test_graph.c
   compiles the lines above and checks their numbers. */
#ifndef TI_GRAPH_H
#define TI_GRAPH_H

#include "io/watch.h"
#include "tensor/tensor.h"

typedef struct Graph Graph;
typedef struct Node Node;

/* The weights of a layer, which checkpoints call NAME.weight and NAME.bias. bias is NULL when
   the layer has none. */
typedef struct {
    const Weight *weight, *bias;
} Layer;

typedef struct {
    int top, bottom, left, right;
} Padding;

/* Flags for sets of a node's tensors: IN0 | OUT is the set of its first input and its output. */
enum { IN0 = 1, IN1 = 2, IN2 = 4, OUT = 8 };

/* An op: its forward and backward pass, and what the planner, the executor and the reports need to know. */
typedef struct {
    const char *name;              /* "conv2d", for messages, traces and timing */
    void (*forward)(const Node *); /* fills out->data, whose content is undefined before */
    /* For each i with in[i]->needs_grad, overwrites in[i]->grad if overwrites_gradient(n, i), else adds to
       it. NULL when the op has no gradient. */
    void (*backward)(const Node *);
    /* The inputs whose gradient backward can overwrite when it is the first to write it. For the others, the
       executor writes zeros first. */
    unsigned can_overwrite;
    /* The tensors whose data backward reads. The memory of all others may be reused before backward.
       Therefore a missing flag makes gradients wrong, while an unnecessary flag only costs memory. */
    unsigned reads;
    size_t (*workspace)(const Node *); /* floats that each thread needs, in either pass; NULL for none */
    size_t (*scratch)(const Node *);   /* floats that all threads share, in either pass; NULL for none */
    /* Floating-point operations of forward, where a multiply-add counts as two. NULL when they are so few
       that they are not counted. */
    double (*flops)(const Node *);
    double backward_flops; /* backward's operations / forward's, if all inputs need gradients */
} Op;

/* One application of an op. Its builder sets the fields that the op reads. */
enum { NODE_INPUTS = 3 };
struct Node {
    const Op *op;
    Tensor *in[NODE_INPUTS]; /* NULL where the op has fewer inputs */
    Tensor *out;
    Layer layer;         /* frozen weights */
    const Weight *table; /* the table of embedding and add_position */
    const int32_t *ids;  /* the ids of embedding, which every forward pass reads */
    int stride, groups, heads;
    Padding padding;
    bool causal;
    float eps;
    /* set when the node is recorded */
    const char *name;    /* "down_blocks.0.resnets.0/conv2d" */
    int block;           /* the number of its block (graph_block) */
    Precision precision; /* of its matrix products; set when the graph is planned */
    /* set by the executor, valid inside forward and backward */
    unsigned overwrites; /* the inputs whose gradient backward must overwrite in this run */
    float *scratch;
    float *workspaces;
    size_t workspace_floats;
};

/* Used in backward. Returns true if the op must overwrite the gradient of in[i], whose memory is undefined,
   and false if the op must add to it. */
static inline bool overwrites_gradient(const Node *n, int i) { return n->overwrites & (1u << i); }

/* Used in backward. Writes `part` to `count` floats of in[i]'s gradient, from element `at` on, or adds it to
   them, depending on overwrites_gradient. An op that can overwrite must write each element exactly once. */
void write_gradient(const Node *n, int i, int64_t at, const float *part, int64_t count);

/* Returns the calling thread's workspace inside an op. */
float *node_workspace(const Node *n);

Graph *graph_new(void);
void graph_free(Graph *g);

/* Returns a tensor whose data the caller owns and fills before a run. If grad is not NULL, the
   leaf is learned: backward writes the gradient of the run to grad, an array of the same size that
   the caller also owns. */
Tensor *graph_leaf(Graph *g, const char *name, Shape shape, float *data, float *grad);

/* Appends a node and returns its output, which needs a gradient if one of the inputs does and the op has a
   backward pass. To append a node to a graph that has a plan is a programming error (CHECK). */
Tensor *graph_node(Graph *g, const Op *op, Node node, Shape out);

/* Begins a block, to which all nodes belong that are recorded until the next block begins. Blocks are the
   units of recomputation, and the names of nodes begin with the name of their block. */
void graph_block(Graph *g, const char *format, ...) PRINTF_LIKE(2, 3);

/* Makes the data of t readable after a run, as the data of the plan's result always is. */
void graph_keep(Graph *g, Tensor *t);

/* The number of nodes, and node i in the order of recording, for reports. */
int graph_nodes(const Graph *g);
const Node *graph_get(const Graph *g, int i);

typedef struct {
    bool train;          /* plan a backward pass as well */
    Precision precision; /* of the matrix products of all ops */
    int64_t budget; /* bytes that the buffers may take, 0 for no limit; blocks are recomputed to meet it */
    bool keep_all;  /* never reuse a buffer's memory; tests compare other plans with this */
    bool poison;    /* fill a buffer with NaN after its last read, so that tests notice a wrong `reads` */
    bool separate;  /* give each buffer its own malloc, for the sanitizers */
    int recompute;  /* recompute at least this many blocks, whatever the budget is */
} PlanOptions;

/* What a run will need, known before it starts. */
typedef struct {
    int64_t buffers;   /* bytes of the planned buffers: activations, gradients, scratch */
    int64_t workspace; /* bytes of workspace for each thread */
    int64_t weights;   /* bytes of mapped weights that the graph reads */
    int64_t unshared;  /* bytes of the buffers if none shared memory and nothing were recomputed */
    int blocks, recomputed;
    double forward_flops, backward_flops; /* of a run; forward includes recomputation */
    bool fits;                            /* whether the budget is met */
} Plan;

/* Plans a run that computes `result`. Nodes on which neither the result nor a kept tensor depends are left
   out. A second plan replaces the first. */
Plan graph_plan(Graph *g, Tensor *result, PlanOptions options);

/* A step of a plan: one node in one pass. The plan is the list of its steps in the order in which they run,
   forward steps first. */
typedef enum { FORWARD, RECOMPUTE, BACKWARD } Pass;
typedef struct {
    const Node *node;
    int index; /* of the node: graph_get(g, index) == node */
    Pass pass;
    int64_t alive; /* bytes of the buffers whose lifetime includes this step */
} PlanStep;
int graph_plan_steps(const Graph *g);
PlanStep graph_plan_step(const Graph *g, int i);

/* One allocation, which several graphs can share if only one of them runs at a time. */
typedef struct {
    float *memory;
    int64_t bytes;
} Arena;

/* The bytes that a plan needs with this many threads. */
int64_t plan_bytes(const Plan *plan, int threads);
/* Returns false when there is not enough memory. */
bool arena_allocate(Arena *arena, int64_t bytes);
void arena_free(Arena *arena);
/* Gives the graph its memory. A run with more threads than were counted in plan_bytes fails a CHECK. */
void graph_bind(Graph *g, Arena *arena, int threads);

/* Runs the forward pass. After it, the data of the result and of kept tensors is valid until the next run in
   the same arena. */
void graph_forward(Graph *g);
/* Runs the backward pass, after graph_forward, and writes d loss / d leaf to the grad of each learned leaf.
   `seed` is d loss / d result, with the result's shape, where NULL stands for ones. */
void graph_backward(Graph *g, const float *seed);

/* Functions that are called before and after each node's forward or backward pass, for profiles, dumps and
   searches for NaN. Each of them may be NULL. */
typedef struct {
    void (*before)(void *user, const Node *n, bool backward);
    void (*after)(void *user, const Node *n, bool backward);
    void *user;
} Trace;
/* Starts a trace of g, or ends the present one if `trace` is NULL. */
void graph_trace(Graph *g, const Trace *trace);
/* From now on `watch` is asked before each node of a forward or backward pass, with the step of the plan. A
   pass ends early when it returns false, and then its results must not be used. NULL ends this. */
void graph_watch(Graph *g, const Watch *watch);

/* Runs one step of the plan alone, to time it. The graph must be bound. The data of the inputs is undefined,
   but trace->before may fill it. */
void graph_run_plan_step(Graph *g, int step);

#endif
