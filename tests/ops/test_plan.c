/* SPDX-License-Identifier: MIT */
/* Tests the planner and the executor on random graphs of small ops. Every kind of plan (without reuse of
   memory, with it, with recomputed blocks, with a budget, with separate allocations) must give the same bits,
   and the gradient must agree with finite differences. Buffers are filled with NaN after their last read, so
   that an op with a wrong `reads` flag gives NaN in the gradient. */
#include "autograd/graph.h"
#include "tensor/rng.h"
#include "tests/test.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* y = a b        da += dy b, db += dy a */
static void mul_forward(const Node *n) {
    for (int64_t i = 0; i < shape_count(n->out->shape); i++)
        n->out->data[i] = n->in[0]->data[i] * n->in[1]->data[i];
}
static void mul_backward(const Node *n) {
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < shape_count(n->out->shape) && n->in[k]->needs_grad; i++)
            n->in[k]->grad[i] += n->out->grad[i] * n->in[1 - k]->data[i];
}
static const Op MUL = { "mul", mul_forward, mul_backward, .reads = IN0 | IN1 };

/* y = tanh(x)    dx += dy (1 - y^2). Backward reads the output. Forward passes its numbers through scratch
   and workspace, so that the test covers these too. */
static size_t ten_floats(const Node *n) {
    (void)n;
    return 10;
}
static void tanh_forward(const Node *n) {
    for (int64_t i = 0; i < shape_count(n->out->shape); i++) {
        n->scratch[i % 10] = n->in[0]->data[i];
        float *workspace = node_workspace(n);
        workspace[i % 10] = tanhf(n->scratch[i % 10]);
        n->out->data[i] = workspace[i % 10];
    }
}
static void tanh_backward(const Node *n) {
    for (int64_t i = 0; i < shape_count(n->out->shape); i++)
        n->in[0]->grad[i] += n->out->grad[i] * (1 - n->out->data[i] * n->out->data[i]);
}
static const Op TANH = {
    "tanh", tanh_forward, tanh_backward, .reads = OUT, .workspace = ten_floats, .scratch = ten_floats
};
/* MUL with a wrong flag, since backward reads input 1 as well. */
static const Op WRONG = { "wrong", mul_forward, mul_backward, .reads = IN0 };

/* y = a + b    da += dy, db += dy, which reads no data */
static void sum_forward(const Node *n) {
    for (int64_t i = 0; i < shape_count(n->out->shape); i++)
        n->out->data[i] = n->in[0]->data[i] + n->in[1]->data[i];
}
static void sum_backward(const Node *n) {
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < shape_count(n->out->shape) && n->in[k]->needs_grad; i++)
            n->in[k]->grad[i] += n->out->grad[i];
}
static const Op SUM = { "sum", sum_forward, sum_backward, .reads = 0 };

/* y = mean(x), [n] -> [1]    dx += dy / n */
static void mean_forward(const Node *n) {
    int64_t count = shape_count(n->in[0]->shape);
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)n->in[0]->data[i];
    n->out->data[0] = (float)(sum / (double)count);
}
static void mean_backward(const Node *n) {
    int64_t count = shape_count(n->in[0]->shape);
    for (int64_t i = 0; i < count; i++) n->in[0]->grad[i] += n->out->grad[0] / (float)count;
}
static const Op MEAN = { "mean", mean_forward, mean_backward, .reads = 0 };

/* y = (x, x), [n] -> [2n], and y = x0 - x1 with the halves of x, [2n] -> [n]. They make buffers of different
   sizes. */
static void twice_forward(const Node *n) {
    int64_t count = shape_count(n->in[0]->shape);
    for (int64_t i = 0; i < 2 * count; i++) n->out->data[i] = n->in[0]->data[i % count];
}
static void twice_backward(const Node *n) {
    int64_t count = shape_count(n->in[0]->shape);
    for (int64_t i = 0; i < 2 * count; i++) n->in[0]->grad[i % count] += n->out->grad[i];
}
static const Op TWICE = { "twice", twice_forward, twice_backward, .reads = 0 };
static void fold_forward(const Node *n) {
    int64_t count = shape_count(n->out->shape);
    for (int64_t i = 0; i < count; i++) n->out->data[i] = n->in[0]->data[i] - n->in[0]->data[i + count];
}
static void fold_backward(const Node *n) {
    int64_t count = shape_count(n->out->shape);
    for (int64_t i = 0; i < count; i++) {
        n->in[0]->grad[i] += n->out->grad[i];
        n->in[0]->grad[i + count] -= n->out->grad[i];
    }
}
static const Op FOLD = { "fold", fold_forward, fold_backward, .reads = 0 };

enum { WIDTH = 37, NODES = 60 };
typedef struct {
    float x[WIDTH], frozen[WIDTH], grad[WIDTH], loss;
    Plan plan;
} Run;

static Tensor *pick(Generator *random, Tensor **all, int count) {
    return all[generator_randint(random, count > 12 ? count - 12 : 0, count)];
}

/* Records the random graph of a seed: two leaves, about NODES nodes in random blocks, and a mean as its
   result. */
static Tensor *build(Graph *g, uint64_t seed, Run *run, bool wrong) {
    Generator random;
    generator_seed(&random, seed);
    Tensor *all[2 + NODES];
    int count = 0;
    all[count++] = graph_leaf(g, "x", shape1(WIDTH), run->x, run->grad);
    all[count++] = graph_leaf(g, "frozen", shape1(WIDTH), run->frozen, NULL);
    while (count < 2 + NODES) {
        if (generator_randint(&random, 0, 6) == 0) graph_block(g, "block %d", count);
        Tensor *a = pick(&random, all, count), *b = pick(&random, all, count);
        switch (generator_randint(&random, 0, 5)) {
        case 0:
            all[count++] = graph_node(g, &TANH, (Node) { .in = { a } }, shape1(WIDTH));
            break;
        case 1:
            all[count++] = graph_node(g, &SUM, (Node) { .in = { a, b } }, shape1(WIDTH));
            break;
        case 2: {
            Tensor *wide = graph_node(g, &TWICE, (Node) { .in = { a } }, shape1(2 * WIDTH));
            wide = graph_node(g, &TANH, (Node) { .in = { wide } }, shape1(2 * WIDTH));
            all[count++] = graph_node(g, &FOLD, (Node) { .in = { wide } }, shape1(WIDTH));
            break;
        }
        default:
            all[count++] = graph_node(g, wrong ? &WRONG : &MUL, (Node) { .in = { a, b } }, shape1(WIDTH));
        }
    }
    graph_block(g, "loss");
    Tensor *sum = all[0];
    for (int i = count - 6; i < count; i++)
        sum = graph_node(g, &SUM, (Node) { .in = { sum, all[i] } }, shape1(WIDTH));
    return graph_node(g, &MEAN, (Node) { .in = { sum } }, shape1(1));
}

/* Runs the graph of a seed twice and returns the results of the second run. When moved is not negative, the
   element x[moved] is increased by `by`. */
static Run run_seed(uint64_t seed, PlanOptions options, bool wrong, int moved, float by) {
    Run run = { 0 };
    Generator random;
    generator_seed(&random, 1000 + seed);
    generator_randn(&random, run.x, WIDTH);
    generator_randn(&random, run.frozen, WIDTH);
    if (moved >= 0) run.x[moved] += by;
    Graph *g = graph_new();
    Tensor *loss = build(g, seed, &run, wrong);
    options.train = true;
    run.plan = graph_plan(g, loss, options);
    Arena arena;
    CHECK(arena_allocate(&arena, plan_bytes(&run.plan, 1)));
    graph_bind(g, &arena, 1);
    for (int i = 0; i < 2; i++) { /* the second run finds the numbers that the first left in memory */
        memset(run.grad, 0x55, sizeof run.grad);
        graph_forward(g);
        run.loss = loss->data[0];
        graph_backward(g, NULL);
    }
    graph_free(g);
    arena_free(&arena);
    return run;
}

static bool same(const Run *a, const Run *b) {
    return memcmp(a->grad, b->grad, sizeof a->grad) == 0 && a->loss == b->loss;
}

static void test_seed(uint64_t seed) {
    char name[64];
    Run kept = run_seed(seed, (PlanOptions) { .keep_all = true, .poison = true }, false, -1, 0);
    Run planned = run_seed(seed, (PlanOptions) { .poison = true }, false, -1, 0);
    Run recomputed = run_seed(seed, (PlanOptions) { .poison = true, .recompute = 100 }, false, -1, 0);
    Run budgeted = run_seed(seed, (PlanOptions) { .budget = planned.plan.buffers - 1 }, false, -1, 0);
    Run separate = run_seed(seed, (PlanOptions) { .separate = true, .recompute = 3 }, false, -1, 0);
    snprintf(name, sizeof name, "plans agree, seed %d", (int)seed);
    test_true(
        name,
        same(&kept, &planned) && same(&kept, &recomputed) && same(&kept, &budgeted) && same(&kept, &separate),
        "%lld bytes kept, %lld planned, %lld with %d blocks recomputed", (long long)kept.plan.buffers,
        (long long)planned.plan.buffers, (long long)recomputed.plan.buffers, recomputed.plan.recomputed);

    double difference = 0, size = 0;
    for (int i = 0; i < WIDTH; i += 9) {
        Run up = run_seed(seed, (PlanOptions) { 0 }, false, i, 1e-2f);
        Run down = run_seed(seed, (PlanOptions) { 0 }, false, i, -1e-2f);
        difference += fabs(((double)up.loss - (double)down.loss) / (double)(up.x[i] - down.x[i]) -
                           (double)kept.grad[i]);
        size += fabs((double)kept.grad[i]);
    }
    snprintf(name, sizeof name, "finite differences, seed %d", (int)seed);
    test_below(name, difference / (size + 1e-3), 1e-4);
}

/* Plans a chain in one recomputed block. Every tensor has data, a recomputed copy and a gradient, and every
   plan step has scratch memory. */
static void test_chain(void) {
    float x[WIDTH] = { 0 }, grad[WIDTH];
    Graph *g = graph_new();
    Tensor *t = graph_leaf(g, "x", shape1(WIDTH), x, grad);
    graph_block(g, "chain");
    for (int i = 0; i < 100; i++) t = graph_node(g, &TANH, (Node) { .in = { t } }, shape1(WIDTH));
    graph_block(g, "loss");
    t = graph_node(g, &MEAN, (Node) { .in = { t } }, shape1(1));
    Plan plan = graph_plan(g, t, (PlanOptions) { .train = true, .recompute = 100, .keep_all = true });
    test_true("a chain of 100", plan.recomputed > 0, "%lld bytes, %d blocks recomputed",
              (long long)plan.buffers, plan.recomputed);
    graph_free(g);
}

int main(void) {
    omp_set_num_threads(1); /* run_seed binds memory for one thread */
    int64_t kept = 0, planned = 0, recomputed = 0, caught = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        test_seed(seed);
        kept += run_seed(seed, (PlanOptions) { .keep_all = true }, false, -1, 0).plan.buffers;
        planned += run_seed(seed, (PlanOptions) { 0 }, false, -1, 0).plan.buffers;
        recomputed += run_seed(seed, (PlanOptions) { .recompute = 100 }, false, -1, 0).plan.buffers;
        Run wrong = run_seed(seed, (PlanOptions) { .poison = true }, true, -1, 0);
        for (int i = 0; i < WIDTH; i++)
            if (isnan(wrong.grad[i])) {
                caught++;
                break;
            }
    }
    test_chain();
    test_true("plans save memory", planned < kept && recomputed < planned,
              "%lld bytes kept, %lld planned, %lld recomputed", (long long)kept, (long long)planned,
              (long long)recomputed);
    test_true("wrong reads flags are noticed", caught >= 15, "%d of 20", (int)caught);
    return test_finish();
}
