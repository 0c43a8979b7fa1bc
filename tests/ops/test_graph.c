/* SPDX-License-Identifier: MIT */
/* Compares what a planned graph reports (bytes, operations, lifetimes of buffers, recomputed blocks) with
   numbers that were counted by hand. Also tests kept tensors, traces, separate allocations, overwritten
   gradients, the examples in autograd/graph.h and the plans shown in docs/autograd.md.

   build/test_graph --map prints those plans. */
#include "autograd/internal.h"
#include "autograd/ops.h"
#include "io/text.h"
#include "tests/refusal.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { R = 4, D = 32, V = 10 };

/* Makes a weight whose elements are different numbers between -1/2 and 1/2. */
static Weight weight_new(const char *name, Shape shape) {
    int64_t count = shape_count(shape);
    float *data = mem_alloc((size_t)count * sizeof *data);
    for (int64_t i = 0; i < count; i++) data[i] = (float)(i * 37 % 101) / 101 - 0.5f;
    return (Weight) { .name = name, .dtype = F32, .shape = shape, .data = data };
}

static void weight_free(Weight *w) { free((void *)(uintptr_t)w->data); }

static Arena bind(Graph *g, const Plan *plan) {
    Arena arena;
    CHECK(arena_allocate(&arena, plan_bytes(plan, 1)));
    graph_bind(g, &arena, 1);
    return arena;
}

static void equal(const char *name, double got, double want) {
    test_true(name, got == want, "%.0f, counted %.0f", got, want);
}

typedef struct {
    Weight w, b;
    Layer layer;
    float x[R * D], dx[R * D], target[R * D];
    Graph *g;
    Tensor *first, *second, *loss;
} Twice;

/* loss = mse(linear(linear(x)), target), where both linear ops use the same layer */
static void twice_new(Twice *t) {
    t->w = weight_new("w", shape2(D, D));
    t->b = weight_new("b", shape1(D));
    t->layer = (Layer) { &t->w, &t->b };
    for (int i = 0; i < R * D; i++) {
        t->x[i] = sinf((float)i);
        t->target[i] = 0.25f;
    }
    t->g = graph_new();
    Tensor *x = graph_leaf(t->g, "x", shape2(R, D), t->x, t->dx);
    t->first = linear(t->g, x, &t->layer);
    t->second = linear(t->g, t->first, &t->layer);
    t->loss = mse_loss(t->g, t->second, graph_leaf(t->g, "target", shape2(R, D), t->target, NULL));
}

static void twice_free(Twice *t) {
    graph_free(t->g);
    weight_free(&t->w);
    weight_free(&t->b);
}

/* The plan has six steps. A tensor [R, D] takes n bytes; the loss and its gradient take 16 floats each,
   since sizes are rounded up. Backward of a linear layer reads no data, and that of the loss reads its
   input. */
static void test_numbers(void) {
    Twice t;
    twice_new(&t);
    const double n = R * D * 4, small = 16 * 4;
    Plan plan = graph_plan(t.g, t.loss, (PlanOptions) { .train = true });
    equal("weights used twice count once", (double)plan.weights, (D * D + D) * 4);
    equal("forward's operations", plan.forward_flops, 2.0 * (2 * R * D * D));
    equal("backward's operations", plan.backward_flops, 2.0 * (2 * R * D * D));
    equal("bytes without reuse", (double)plan.unshared, 4 * n + 2 * small);
    equal("bytes with reuse", (double)plan.buffers, 2 * n + 2 * small);
    equal("nodes", graph_nodes(t.g), 3);
    test_true("the first and the last node",
              strcmp(graph_get(t.g, 0)->op->name, "linear") == 0 && graph_get(t.g, 0)->out == t.first &&
                  graph_get(t.g, 2)->out == t.loss,
              "linear and mse_loss");
    const double alive[] = { n, 2 * n, n + small, 2 * n + 2 * small, 2 * n + small, n + small };
    const int nodes[] = { 0, 1, 2, 2, 1, 0 };
    equal("plan steps", graph_plan_steps(t.g), 6);
    for (int i = 0; i < 6; i++) {
        PlanStep step = graph_plan_step(t.g, i);
        test_true("a plan step",
                  (double)step.alive == alive[i] && step.index == nodes[i] &&
                      step.node == graph_get(t.g, nodes[i]) && step.pass == (i < 3 ? FORWARD : BACKWARD),
                  "%d: node %d, %lld bytes, counted %.0f", i, step.index, (long long)step.alive, alive[i]);
    }
    twice_free(&t);
}

static int64_t count_nan(const Tensor *t) {
    int64_t count = 0;
    for (int64_t i = 0; i < shape_count(t->shape); i++) count += isnan(t->data[i]);
    return count;
}

/* Checks that the data of a tensor are intact after the run if and only if the tensor is kept. */
static void test_keep(void) {
    Twice t;
    twice_new(&t);
    int64_t gone[2];
    for (int keep = 0; keep < 2; keep++) {
        if (keep) graph_keep(t.g, t.first);
        Plan plan = graph_plan(t.g, t.loss, (PlanOptions) { .train = true, .poison = true });
        Arena arena = bind(t.g, &plan);
        graph_forward(t.g);
        gone[keep] = count_nan(t.first);
        arena_free(&arena);
    }
    test_true("kept data", gone[0] > 0 && gone[1] == 0, "%lld and %lld NaN", (long long)gone[0],
              (long long)gone[1]);
    twice_free(&t);
}

typedef struct {
    int before, after, backward;
    const Node *last;
} Seen;

static void see_before(void *user, const Node *n, bool backward) {
    Seen *seen = user;
    seen->before++;
    seen->backward += backward;
    seen->last = n;
}
static void see_after(void *user, const Node *n, bool backward) {
    Seen *seen = user;
    seen->after += seen->last == n;
    seen->backward += backward;
}

static void test_trace(void) {
    Twice t;
    twice_new(&t);
    Plan plan = graph_plan(t.g, t.loss, (PlanOptions) { .train = true });
    Arena arena = bind(t.g, &plan);
    Seen seen = { 0 };
    Trace trace = { see_before, see_after, &seen };
    graph_trace(t.g, &trace);
    graph_forward(t.g);
    graph_backward(t.g, NULL);
    test_true("a trace",
              seen.before == 6 && seen.after == 6 && seen.backward == 6 && seen.last == graph_get(t.g, 0),
              "%d before, %d after, %d of backward", seen.before, seen.after, seen.backward);
    graph_trace(t.g, NULL);
    graph_forward(t.g);
    equal("no trace", seen.before, 6);
    arena_free(&arena);
    twice_free(&t);
}

/* y = a - b. Backward can overwrite the gradient of b, and always adds to that of a. */
static void minus_forward(const Node *n) {
    for (int i = 0; i < 4; i++) n->out->data[i] = n->in[0]->data[i] - n->in[1]->data[i];
}
static void minus_backward(const Node *n) {
    float part[4];
    for (int i = 0; i < 4; i++) {
        n->in[0]->grad[i] += n->out->grad[i];
        part[i] = -n->out->grad[i];
    }
    write_gradient(n, 1, 0, part, 4);
}
static const Op MINUS = {
    .name = "minus", .forward = minus_forward, .backward = minus_backward, .can_overwrite = IN1
};

enum { TENSORS = 8 };

/* A trace that notes which gradients each node overwrites, indexed by the id of the node's output. */
static void see_overwrites(void *user, const Node *n, bool backward) {
    if (backward) ((unsigned *)user)[n->out->id] = n->overwrites;
}

/* Runs a graph forward and backward in memory that is full of NaN at first. */
static void run_in_nan(Graph *g, Tensor *result, unsigned overwrites[TENSORS]) {
    Plan plan = graph_plan(g, result, (PlanOptions) { .train = true });
    Arena arena = bind(g, &plan);
    Trace trace = { .after = see_overwrites, .user = overwrites };
    for (int i = 0; i < TENSORS; i++) overwrites[i] = ~0u;
    for (int64_t i = 0; i < arena.bytes / 4; i++) arena.memory[i] = NAN;
    graph_trace(g, &trace);
    graph_forward(g);
    graph_backward(g, NULL);
    arena_free(&arena);
}

/* Tests d (2 x - silu(x)) / dx, and d (2 x - 2 x) / dx where both inputs of the subtraction are the same
   tensor. A gradient that the op cannot overwrite, or that two inputs share, is filled with zeros first. */
static void test_zeros(void) {
    for (int same = 0; same < 2; same++) {
        float x[4] = { -1, 0, 0.5f, 2 }, dx[4];
        unsigned overwrites[TENSORS];
        Graph *g = graph_new();
        Tensor *leaf = graph_leaf(g, "x", shape1(4), x, dx), *a = add(g, leaf, leaf);
        Tensor *b = same ? a : silu(g, leaf);
        Tensor *y = graph_node(g, &MINUS, (Node) { .in = { a, b } }, shape1(4));
        run_in_nan(g, y, overwrites);
        double worst = 0;
        for (int i = 0; i < 4; i++) {
            double s = 1 / (1 + exp(-(double)x[i])), slope = s * (1 + (double)x[i] * (1 - s));
            worst = test_worse(worst, fabs((double)dx[i] - (same ? 0 : 2 - slope)));
        }
        equal("the gradients that minus overwrites", overwrites[y->id], same ? 0 : IN1);
        test_below(same ? "both inputs are the same tensor" : "one gradient added to zeros, one overwritten",
                   worst, 1e-6);
        graph_free(g);
    }
}

/* The first example in autograd/graph.h. test_header compares the lines. */
static void test_example(void) {
    const float weight[2] = { 1, 2 }, bias[1] = { 0.5f };
    Weight w = { .name = "w", .dtype = F32, .shape = shape2(1, 2), .data = weight };
    Weight b = { .name = "b", .dtype = F32, .shape = shape1(1), .data = bias };
    Layer layer = { &w, &b };
    float losses[2];

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

    test_true("the example's losses", losses[0] == 1 && losses[1] < 1e-12f, "%g and %g", (double)losses[0],
              (double)losses[1]);
    double moved = fabs((double)x_data[0] - (3 - 0.1 * 2)) + fabs((double)x_data[1] - (-1 - 0.1 * 4));
    test_below("the example's gradient is (2, 4)", moved, 1e-6);
}

/* The derivatives of t sigmoid(a t) and of gelu. */
static double swish_slope(double t, double a) {
    double s = 1 / (1 + exp(-a * t));
    return s * (1 + a * t * (1 - s));
}
static double gelu_slope(double t) {
    return (1 + erf(t / sqrt(2))) / 2 + t * exp(-t * t / 2) / sqrt(2 * acos(-1));
}

/* The second example in autograd/graph.h: the tensors have the ids x = 0 (a leaf), h = 1, a = 2, b = 3, y = 4
   and z = 5. */
static void test_two_uses(void) {
    float data[4] = { -1, 0, 0.5f, 2 }, grad[4];
    Graph *g = graph_new();
    Tensor *x = graph_leaf(g, "x", shape1(4), data, grad);

    Tensor *h = silu(g, x);
    Tensor *a = gelu(g, h);
    Tensor *b = quick_gelu(g, h);
    Tensor *y = add(g, a, b);
    Tensor *z = add(g, y, y);

    unsigned overwrites[TENSORS];
    run_in_nan(g, z, overwrites);
    test_true("a node that uses y twice adds to zeros", overwrites[z->id] == 0, "overwrites none");
    test_true("the first node that writes a gradient",
              overwrites[y->id] == (IN0 | IN1) && overwrites[b->id] == IN0, "overwrites it");
    test_true("the second node that writes h's gradient", overwrites[a->id] == 0, "adds to it");
    test_true("a node that writes a leaf's gradient", overwrites[h->id] == 0, "adds to it");
    double worst = 0;
    for (int i = 0; i < 4; i++) {
        double t = (double)data[i], u = t / (1 + exp(-t));
        double want = 2 * (gelu_slope(u) + swish_slope(u, 1.702)) * swish_slope(t, 1);
        worst = test_worse(worst, fabs((double)grad[i] - want));
    }
    test_below("the gradient of both uses", worst, 1e-6);
    graph_free(g);
}

/* Counts the lines of `text` that are indented by `indent` spaces or more. Each must be a line of `source`,
   in the same order. Returns the first line that is not, or NULL when all are. Changes `text`. */
static const char *missing_line(char *text, size_t indent, const char *source, int *lines) {
    *lines = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        size_t spaces = strspn(line, " ");
        if (spaces < indent) continue;
        char *whole = mem_format(" %s\n", line + spaces);
        source = strstr(source, whole);
        free(whole);
        if (!source) return line;
        ++*lines;
    }
    return NULL;
}

/* The examples in autograd/graph.h are the lines of its first comment after the licence that are indented by
   seven spaces. */
static void test_header(void) {
    char *header = read_text("autograd/graph.h", NULL), *source = read_text("tests/ops/test_graph.c", NULL);
    int lines;
    *strstr(strstr(header, "*/") + 2, "*/") = 0;
    const char *missing = missing_line(header, 7, source, &lines);
    test_true("the examples in autograd/graph.h", !missing && lines == 23, "%d lines%s%s", lines,
              missing ? ", but this file lacks " : "", missing ? missing : "");
    free(header);
    free(source);
}

/* Counts the operations of a convolution, of a normalisation and of attention. A multiply-add counts as
   two. */
static void test_operations(void) {
    Weight w = weight_new("w", shape4(6, 4, 3, 3)), b = weight_new("b", shape1(6)),
           scale = weight_new("scale", shape1(6));
    Layer conv = { &w, &b }, norm = { &scale, &b };
    float x[4 * 5 * 7], dx[4 * 5 * 7];
    memset(x, 0, sizeof x);
    for (int causal = 0; causal < 2; causal++) {
        Graph *g = graph_new();
        Tensor *h = conv2d(g, graph_leaf(g, "x", shape4(1, 4, 5, 7), x, dx), &conv, 1, PAD1);
        h = to_tokens(g, group_norm(g, h, &norm, 2, 1e-5f));
        h = attention(g, h, h, h, 2, causal);
        Plan plan = graph_plan(g, h, (PlanOptions) { .train = true });
        double c = 2.0 * 6 * 5 * 7 * 4 * 9, n = 8.0 * 6 * 35, a = 4.0 * 35 * 35 * 6 / (causal + 1);
        equal("operations forward", plan.forward_flops, c + n + a);
        equal("operations backward", plan.backward_flops, c + 2 * n + 2.5 * a);
        equal("the weights", (double)plan.weights, (6 * 4 * 9 + 6 + 6) * 4);
        graph_free(g);
    }
    weight_free(&w);
    weight_free(&b);
    weight_free(&scale);
}

/* Checks that recomputation begins with the largest block. The data of these four blocks are in the ratio
   1:4:2:3. */
static void test_recomputed(void) {
    static const int64_t width[] = { 16, 64, 32, 48 };
    static const char *const largest_first[] = { "1/", "3/", "2/", "0/" };
    Weight w[4];
    Layer layer[4];
    float x[16 * 16], dx[16 * 16];
    memset(x, 0, sizeof x);
    Graph *g = graph_new();
    Tensor *h = graph_leaf(g, "x", shape2(16, 16), x, dx);
    for (int i = 0; i < 4; i++) {
        w[i] = weight_new("w", shape2(width[i], i ? width[i - 1] : 16));
        layer[i] = (Layer) { &w[i], NULL };
        graph_block(g, "%d", i);
        h = linear(g, h, &layer[i]);
        for (int k = 0; k < 3; k++) h = silu(g, h);
    }
    for (int blocks = 0; blocks <= 4; blocks++) {
        Plan plan = graph_plan(g, h, (PlanOptions) { .train = true, .recompute = blocks });
        int recomputed = 0, wrong = 0;
        for (int i = 0; i < graph_plan_steps(g); i++) {
            PlanStep step = graph_plan_step(g, i);
            if (step.pass != RECOMPUTE) continue;
            int rank = 0;
            while (rank < 4 && strncmp(step.node->name, largest_first[rank], 2) != 0) rank++;
            wrong += rank >= blocks;
            recomputed++;
        }
        test_true("blocks are recomputed by their size",
                  plan.recomputed == blocks && wrong == 0 && (recomputed > 0) == (blocks > 0),
                  "%d of 4: %d nodes are recomputed, %d of them in other blocks", blocks, recomputed, wrong);
    }
    graph_free(g);
    for (int i = 0; i < 4; i++) weight_free(&w[i]);
}

/* Tests a graph with as many buffers as possible. In this chain each convolution has scratch memory and each
   tensor is recomputed. */
static void test_buffers(void) {
    enum { CHAIN = 12 };
    Weight w = weight_new("w", shape4(2, 2, 3, 3));
    Layer layer = { &w, NULL };
    float x[2 * 4 * 4], dx[2 * 4 * 4];
    for (int i = 0; i < 32; i++) x[i] = (float)i;
    Graph *g = graph_new();
    Tensor *h = graph_leaf(g, "x", shape4(1, 2, 4, 4), x, dx);
    graph_block(g, "chain");
    for (int i = 0; i < CHAIN; i++) h = silu(g, conv2d(g, h, &layer, 1, PAD1));
    float first[32];
    for (int recomputed = 0; recomputed < 2; recomputed++) {
        Plan plan = graph_plan(g, h, (PlanOptions) { .train = true, .recompute = recomputed });
        Arena arena = bind(g, &plan);
        graph_forward(g);
        graph_backward(g, NULL);
        equal("recomputed blocks", plan.recomputed, recomputed);
        if (recomputed)
            test_same("a long chain", dx, first, sizeof dx);
        else
            memcpy(first, dx, sizeof dx);
        arena_free(&arena);
    }
    graph_free(g);
    weight_free(&w);
}

/* In a graph without a leaf, the output of a node is the first tensor. It must be bound, released and counted
   like any other tensor. */
static void test_first(void) {
    Weight table = weight_new("table", shape2(V, D));
    int32_t ids[R] = { 3, 1, 4, 1 };
    Graph *g = graph_new();
    Tensor *rows = embedding(g, &table, NULL, ids, 1, R);
    Tensor *y = silu(g, rows);
    graph_keep(g, rows);
    Plan plan = graph_plan(g, y, (PlanOptions) { .poison = true });
    equal("a table's bytes", (double)plan.weights, V * D * 4);
    equal("bytes of two tensors", (double)plan.unshared, 2 * R * D * 4);
    Arena arena = bind(g, &plan);
    graph_forward(g);
    float first[R * D];
    memcpy(first, y->data, sizeof first);
    test_same("the first tensor", rows->data, (const float *)table.data + 3 * D, D * sizeof(float));
    arena_free(&arena);
    plan = graph_plan(g, y, (PlanOptions) { .separate = true });
    arena = bind(g, &plan);
    graph_forward(g);
    test_same("bound separately", first, y->data, sizeof first);
    const float *end = arena.memory + arena.bytes / (int64_t)sizeof(float);
    test_true("no tensor lies in the arena",
              (rows->data < arena.memory || rows->data >= end) && (y->data < arena.memory || y->data >= end),
              "two allocations of their own");
    arena_free(&arena);
    graph_free(g);
    weight_free(&table);
    bool ok = arena_allocate(&arena, 0);
    test_true("an arena for 0 bytes", ok && arena.bytes > 0, "%lld bytes", (long long)arena.bytes);
    arena_free(&arena);
}

/* The graph of docs/autograd.md. */
typedef struct {
    Weight w;
    float x[4 * 16], dx[4 * 16], target[4 * 16];
    Graph *g;
    Tensor *loss;
} FourNodes;

static void four_nodes_new(FourNodes *f) {
    memset(f, 0, sizeof *f);
    f->w = weight_new("w", shape2(16, 16));
    Layer layer = { &f->w, NULL };
    Graph *g = f->g = graph_new();
    Tensor *x = graph_leaf(g, "x", shape2(4, 16), f->x, f->dx);
    Tensor *target = graph_leaf(g, "target", shape2(4, 16), f->target, NULL);
    graph_block(g, "first");
    Tensor *a = linear(g, x, &layer);
    Tensor *h = silu(g, a);
    graph_block(g, "second");
    Tensor *y = silu(g, h);
    Tensor *loss = mse_loss(g, y, target);
    f->loss = loss;
}

static void four_nodes_free(FourNodes *f) {
    graph_free(f->g);
    weight_free(&f->w);
}

static void map_buffer(Text *map, const Graph *g, const char *name, const char *what, const Buffer *b) {
    if (b->first_write == NEVER) return;
    text_format(map, "%-4s %-10s %6lld %5lld  ", name, what, (long long)b->offset * 4,
                (long long)b->floats * 4);
    for (int i = 0; i <= b->last_read && i < graph_plan_steps(g); i++) {
        bool written = i == b->first_write, read = i == b->last_read;
        text_format(map, "%6s",
                    written && read      ? "both"
                    : written            ? "write"
                    : read               ? "read"
                    : i > b->first_write ? "|"
                                         : "");
    }
    text_add(map, "\n");
}

/* Returns the plan as a table, with the plan steps from left to right and a row for the offset, size and
   lifetime of each buffer. */
static char *plan_map(const Graph *g, const Plan *plan) {
    static const char *const names[] = { "x", "target", "a", "h", "y", "loss" };
    Text map = { 0 };
    text_add(&map, "step           offset bytes  ");
    for (int i = 0; i < graph_plan_steps(g); i++) text_format(&map, "%6d", i);
    text_add(&map, "\npass                         ");
    for (int i = 0; i < graph_plan_steps(g); i++) text_format(&map, "%6c", "FRB"[graph_plan_step(g, i).pass]);
    text_add(&map, "\nnode                         ");
    for (int i = 0; i < graph_plan_steps(g); i++)
        text_format(&map, "%6s", names[graph_plan_step(g, i).node->out->id]);
    text_add(&map, "\n");
    for (int i = 0; i < g->tensors; i++) {
        map_buffer(&map, g, names[i], "data", &g->slots[i].data);
        map_buffer(&map, g, names[i], "recomputed", &g->slots[i].recomputed);
        map_buffer(&map, g, names[i], "gradient", &g->slots[i].grad);
    }
    text_add(&map, "bytes alive                  ");
    for (int i = 0; i < graph_plan_steps(g); i++)
        text_format(&map, "%6lld", (long long)graph_plan_step(g, i).alive);
    text_format(&map, "\narena               %8lld\n", (long long)plan->buffers);
    return map.at;
}

static char *four_nodes_map(int recompute) {
    FourNodes f;
    four_nodes_new(&f);
    Plan plan = graph_plan(f.g, f.loss, (PlanOptions) { .train = true, .recompute = recompute });
    char *map = plan_map(f.g, &plan);
    four_nodes_free(&f);
    return map;
}

/* Checks that docs/autograd.md shows what the code does: the lines that record the graph, its plans, the
   names of the four rules, and the numbers for silu. */
static void test_page(void) {
    char *page = read_text("docs/autograd.md", NULL), *source = read_text("tests/ops/test_graph.c", NULL);
    char *planner = read_text("autograd/plan.c", NULL), *prose = mem_string(page);
    for (char *c = prose; *c; c++)
        if (*c == '\n') *c = ' ';
    static const char *const rules[] = { "find_forward_lifetimes", "find_recomputed_lifetimes",
                                         "find_saved_lifetimes", "find_gradient_lifetimes" };
    for (int i = 0; i < 4; i++) {
        char *function = mem_format("static void %s(", rules[i]), *cell = mem_format("| `%s` |", rules[i]);
        test_true("a rule in docs/autograd.md", strstr(planner, function) && strstr(page, cell), "%s",
                  rules[i]);
        free(function);
        free(cell);
    }
    for (int recompute = 0; recompute < 2; recompute++) {
        char *map = four_nodes_map(recompute);
        test_true("a plan in docs/autograd.md", strstr(page, map), "%d blocks recomputed", recompute);
        free(map);
    }
    FourNodes f;
    four_nodes_new(&f);
    Plan plan = graph_plan(f.g, f.loss, (PlanOptions) { .train = true });
    char *unshared = mem_format("the buffers would take %lld bytes", (long long)plan.unshared);
    test_true("memory without sharing in docs/autograd.md", strstr(prose, unshared), "%s", unshared);
    free(unshared);
    four_nodes_free(&f);
    char *slope = mem_format("s = %.4f and y' = %.4f", 1 / (1 + exp(-1)), swish_slope(1, 1));
    test_true("silu in docs/autograd.md", strstr(prose, slope), "%s", slope);
    free(slope);
    char *code = strstr(page, "```c\n");
    CHECK(code && strstr(code + 5, "```"));
    *strstr(code + 5, "```") = 0;
    int lines;
    const char *missing = missing_line(code + 5, 0, source, &lines);
    test_true("the graph in docs/autograd.md", !missing && lines == 6, "%d lines%s%s", lines,
              missing ? ", but this file lacks " : "", missing ? missing : "");
    free(page);
    free(source);
    free(planner);
    free(prose);
}

static int print_maps(void) {
    for (int recompute = 0; recompute < 2; recompute++) {
        char *map = four_nodes_map(recompute);
        printf("%s%s", recompute ? "\n" : "", map);
        free(map);
    }
    return 0;
}

int main(int argc, char *argv[]) {
    omp_set_num_threads(1); /* bind() allocates memory for one thread */
    if (argc == 2 && strcmp(argv[1], "--map") == 0) return print_maps();
    test_numbers();
    test_keep();
    test_trace();
    test_zeros();
    test_example();
    test_two_uses();
    test_header();
    test_operations();
    test_recomputed();
    test_buffers();
    test_first();
    test_page();
    return test_finish();
}
