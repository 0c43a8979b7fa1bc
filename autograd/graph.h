/* The graph of a computation. It is recorded once, as a list of nodes without data (graph.c). A plan then
   gives every buffer its address (plan.c), and after that the graph runs as often as wanted (execute.c). In
   this example, gradient descent changes x until linear(x) meets the target:

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

   Backward goes from the last node to the first. Thus quick_gelu is the first node that writes h's gradient,
   whose memory still holds the numbers of another buffer: it overwrites them (h->grad = ...). Then gelu
   accumulates (h->grad += ...). The last node uses y twice, and there both inputs accumulate, after the
   executor has filled y's gradient with zeros. It also fills a gradient with zeros if the first op that
   writes it cannot overwrite (Op.can_overwrite). The gradient of a leaf begins with zeros in every run.

   docs/autograd.md explains planning and recomputation on a graph of four nodes. tests/ops/test_graph.c
   compiles the lines above and checks their numbers. */
#ifndef TI_GRAPH_H
#define TI_GRAPH_H

#include "tensor/tensor.h"

typedef struct Graph Graph;
typedef struct Node Node;

/* The weights of a layer, which checkpoints call NAME.weight and NAME.bias. bias is NULL when there is
   none. */
typedef struct {
    const Weight *weight, *bias;
} Layer;

typedef struct {
    int top, bottom, left, right;
} Padding;

/* Sets of a node's tensors: IN0 | OUT is its first input and its output. */
enum { IN0 = 1, IN1 = 2, IN2 = 4, OUT = 8 };

/* An op: its forward and backward pass, and what the planner, the executor and the reports have to know. */
typedef struct {
    const char *name;              /* "conv2d", for messages, traces and timing */
    void (*forward)(const Node *); /* fills out->data, whose content before is undefined */
    /* For each i with in[i]->needs_grad: in[i]->grad = ... if overwrites_gradient(n, i), else
       in[i]->grad += ...  NULL when the op has no gradient. */
    void (*backward)(const Node *);
    /* The inputs whose gradient backward can overwrite when it is the first to write it. For the others, the
       executor writes zeros first. */
    unsigned can_overwrite;
    /* The tensors whose data backward reads. The memory of the others may be reused before backward, so that
       a missing flag makes wrong gradients; a needless one only costs memory. */
    unsigned reads;
    size_t (*workspace)(const Node *); /* floats each thread needs, in either pass; NULL when none */
    size_t (*scratch)(const Node *);   /* floats all threads share, in either pass; NULL when none */
    /* Operations of forward, a multiply-add counted as two. NULL when they are not worth counting. */
    double (*flops)(const Node *);
    double backward_flops; /* backward's as a multiple of forward's, when all gradients are wanted */
} Op;

/* One application of an op. Its builder sets the fields that the op reads. */
enum { NODE_INPUTS = 3 };
struct Node {
    const Op *op;
    Tensor *in[NODE_INPUTS]; /* NULL where the op has fewer inputs */
    Tensor *out;
    Layer layer;         /* frozen weights */
    const Weight *table; /* the table of embedding and add_position */
    const int32_t *ids;  /* embedding's ids, which every forward pass reads */
    int stride, groups, heads;
    Padding padding;
    bool causal;
    float eps;
    /* set when the node is recorded */
    const char *name; /* "down_blocks.0.resnets.0/conv2d" */
    int block;        /* the number of its block (graph_block) */
    /* set by the executor, valid inside forward and backward */
    unsigned overwrites; /* the inputs whose gradient backward must overwrite in this run */
    float *scratch;
    float *workspaces;
    size_t workspace_floats;
};

/* Used in backward: whether the op must overwrite in[i]'s gradient, whose memory holds undefined numbers. If
   not, the op must add to it. */
static inline bool overwrites_gradient(const Node *n, int i) { return n->overwrites & (1u << i); }

/* Used in backward: overwrites `count` floats of in[i]'s gradient, from element `at` on, with those of part,
   or adds part to them, as overwrites_gradient says. An op that can overwrite writes each element once. */
void write_gradient(const Node *n, int i, int64_t at, const float *part, int64_t count);

/* The calling thread's own workspace inside an op. */
float *node_workspace(const Node *n);

Graph *graph_new(void);
void graph_free(Graph *g);

/* Returns a tensor whose data the caller owns and fills before a run. With grad, an array of the same size
   that the caller owns too, the leaf is learned: backward writes the gradient of the run to grad. */
Tensor *graph_leaf(Graph *g, const char *name, Shape shape, float *data, float *grad);

/* Appends a node and returns its output, which needs a gradient if one of the inputs does and the op has a
   backward pass. A graph with a plan takes no more nodes (CHECK). */
Tensor *graph_node(Graph *g, const Op *op, Node node, Shape out);

/* Begins a block: the nodes recorded from here on belong to it. Blocks are what is recomputed, and a block's
   name is the first half of its nodes' names. */
void graph_block(Graph *g, const char *format, ...) PRINTF_LIKE(2, 3);

/* Keeps t's data readable after a run. That of the plan's result always is. */
void graph_keep(Graph *g, Tensor *t);

/* The number of nodes, and node i in the order of recording, for reports. */
int graph_nodes(const Graph *g);
const Node *graph_get(const Graph *g, int i);

typedef struct {
    bool train;     /* plan a backward pass as well */
    int64_t budget; /* bytes that the buffers may take, 0 for no limit; blocks are recomputed to meet it */
    bool keep_all;  /* no buffer's memory is ever reused (tests compare with this) */
    bool poison;    /* fill a buffer with NaN after its last read (tests find wrong `reads` by this) */
    bool separate;  /* each buffer is a malloc of its own (for the sanitizers) */
    int recompute;  /* recompute at least this many blocks, whatever the budget is */
} PlanOptions;

/* What a run will need, known before it starts. */
typedef struct {
    int64_t buffers;   /* bytes of the planned buffers: activations, gradients, scratch */
    int64_t workspace; /* bytes of workspace for each thread */
    int64_t weights;   /* bytes of mapped weights that the graph reads */
    int64_t unshared;  /* bytes of the buffers, without recomputed copies, if no two of them shared memory */
    int blocks, recomputed;
    double forward_flops, backward_flops; /* of a run; forward includes what is recomputed */
    bool fits;                            /* the budget is met */
} Plan;

/* Plans a run that computes result. Nodes on which neither the result nor a kept tensor depends are left out.
   A second plan replaces the first. */
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
/* Runs the backward pass, after graph_forward: writes d loss / d leaf to the grad of each learned leaf. seed
   is d loss / d result, with the result's shape; NULL stands for ones. */
void graph_backward(Graph *g, const float *seed);

/* Functions called before and after each node's forward or backward pass, for profiles, dumps and searches
   for NaN. Each of them may be NULL, and so may the trace, which ends it. */
typedef struct {
    void (*before)(void *user, const Node *n, bool backward);
    void (*after)(void *user, const Node *n, bool backward);
    void *user;
} Trace;
void graph_trace(Graph *g, const Trace *trace);

/* Runs one step of the plan alone, to time it. The graph must be bound. The inputs are whatever lies in their
   memory; trace->before may fill them. */
void graph_run_plan_step(Graph *g, int step);

#endif
