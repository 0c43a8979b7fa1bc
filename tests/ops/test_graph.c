/* What a graph says about itself, against numbers counted by hand: bytes, operations, when which buffer is
   alive, which blocks are recomputed; and what is kept, traced and bound separately. */
#include "autograd/ops.h"
#include "tests/test.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { R = 4, D = 32, V = 10 };

/* A weight with numbers between -1/2 and 1/2 that differ. */
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

/* loss = mse(linear(linear(x)), target), the same layer twice */
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

/* Six moments. A tensor [R, D] is n floats; the loss and its gradient take 16 each, as buffers are rounded.
   Backward of a linear layer reads no data, that of the loss reads its input. */
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
    equal("moments", graph_plan_steps(t.g), 6);
    for (int i = 0; i < 6; i++) {
        PlanStep m = graph_plan_step(t.g, i);
        test_true("a moment",
                  (double)m.alive == alive[i] && m.index == nodes[i] && m.node == graph_get(t.g, nodes[i]) &&
                      m.pass == (i < 3 ? FORWARD : BACKWARD),
                  "%d: node %d, %lld bytes, counted %.0f", i, m.index, (long long)m.alive, alive[i]);
    }
    twice_free(&t);
}

static int64_t count_nan(const Tensor *t) {
    int64_t count = 0;
    for (int64_t i = 0; i < shape_count(t->shape); i++) count += isnan(t->data[i]);
    return count;
}

/* A tensor that nothing reads any more is there after the run if it was to be kept, and only then. */
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

/* y = a - b. Backward adds to a's gradient in any case, and sets b's where it is fresh. */
static void minus_forward(const Node *n) {
    for (int i = 0; i < 4; i++) n->out->data[i] = n->in[0]->data[i] - n->in[1]->data[i];
}
static int times_fresh;
static void minus_backward(const Node *n) {
    float part[4];
    times_fresh += overwrites_gradient(n, 1);
    for (int i = 0; i < 4; i++) {
        n->in[0]->grad[i] += n->out->grad[i];
        part[i] = -n->out->grad[i];
    }
    write_gradient(n, 1, 0, part, 4);
}
static const Op MINUS = {
    .name = "minus", .forward = minus_forward, .backward = minus_backward, .can_overwrite = IN1
};

/* d (2 x - silu(x)) / dx, and d (2 x - 2 x) / dx with both inputs the same tensor, from memory full of NaN: a
   gradient that the op does not set, or that two inputs share, begins with zeros. */
static void test_fresh(void) {
    for (int same = 0; same < 2; same++) {
        float x[4] = { -1, 0, 0.5f, 2 }, dx[4];
        Graph *g = graph_new();
        Tensor *leaf = graph_leaf(g, "x", shape1(4), x, dx), *a = add(g, leaf, leaf);
        Tensor *b = same ? a : silu(g, leaf);
        Tensor *y = graph_node(g, &MINUS, (Node) { .in = { a, b } }, shape1(4));
        Plan plan = graph_plan(g, y, (PlanOptions) { .train = true });
        Arena arena = bind(g, &plan);
        for (int64_t i = 0; i < arena.bytes / 4; i++) arena.memory[i] = NAN;
        graph_forward(g);
        graph_backward(g, NULL);
        double worst = 0;
        for (int i = 0; i < 4; i++) {
            double s = 1 / (1 + exp(-(double)x[i])), slope = s * (1 + (double)x[i] * (1 - s));
            double error = fabs((double)dx[i] - (same ? 0 : 2 - slope));
            worst = error <= worst ? worst : error; /* NaN is the largest */
        }
        equal("fresh gradients", times_fresh, 1); /* of the first run */
        test_below(same ? "both inputs the same" : "one gradient added to, one set", worst, 1e-6);
        arena_free(&arena);
        graph_free(g);
    }
}

/* Operations of a convolution, of attention and of a norm: a multiply-add is two. */
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

/* Blocks whose data take 1, 4, 2 and 3 parts: recomputation begins with the largest. */
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
        for (int m = 0; m < graph_plan_steps(g); m++) {
            PlanStep moment = graph_plan_step(g, m);
            if (moment.pass != RECOMPUTE) continue;
            int rank = 0;
            while (rank < 4 && strncmp(moment.node->name, largest_first[rank], 2) != 0) rank++;
            wrong += rank >= blocks;
            recomputed++;
        }
        test_true("blocks are recomputed by their size",
                  plan.recomputed == blocks && wrong == 0 && (recomputed > 0) == (blocks > 0),
                  "%d of 4: %d nodes run again, %d of other blocks", blocks, recomputed, wrong);
    }
    graph_free(g);
    for (int i = 0; i < 4; i++) weight_free(&w[i]);
}

/* As many buffers as there can be: a chain in which each moment has scratch memory, and each tensor is made
   again. */
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
        equal("blocks run again", plan.recomputed, recomputed);
        if (recomputed)
            test_same("a long chain", dx, first, sizeof dx);
        else
            memcpy(first, dx, sizeof dx);
        arena_free(&arena);
    }
    graph_free(g);
    weight_free(&w);
}

/* The first tensor of a graph is a node's own where there is no leaf: it is bound, released and counted as
   any other. */
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
    test_true("nothing of it in the arena",
              (rows->data < arena.memory || rows->data >= end) && (y->data < arena.memory || y->data >= end),
              "two allocations of their own");
    arena_free(&arena);
    graph_free(g);
    weight_free(&table);
    bool ok = arena_allocate(&arena, 0);
    test_true("an arena for nothing", ok && arena.bytes > 0, "%lld bytes", (long long)arena.bytes);
    arena_free(&arena);
}

int main(void) {
    omp_set_num_threads(1); /* as bind() says */
    test_numbers();
    test_keep();
    test_trace();
    test_fresh();
    test_operations();
    test_recomputed();
    test_buffers();
    test_first();
    return test_finish();
}
