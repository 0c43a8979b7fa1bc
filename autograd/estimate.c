/* SPDX-License-Identifier: MIT */
/* A large network has many nodes but few kinds of nodes: nodes with the same op and the same shapes do the
   same work. One node of each kind runs alone, with its real weights, and its time counts for all nodes of
   the kind. If there is not enough time to run every kind, the remaining kinds are assumed to be as fast, per
   operation, as the kinds of the same op that did run. */
#include "autograd/estimate.h"

#include "io/system.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The plan steps of one kind, which do the same work. */
typedef struct {
    const Node *node;
    bool backward;
    int step;       /* the one that is run */
    int64_t count;  /* how many they are */
    double work;    /* of all of them: operations, or elements of the output if the op has no `flops` */
    double seconds; /* of the fastest run of one step; INFINITY when there was no run */
} Kind;

static bool same_weight(const Weight *a, const Weight *b) {
    return a == b || (a && b && a->dtype == b->dtype && shape_equal(a->shape, b->shape));
}

static bool same_work(const Node *a, const Node *b) {
    if (a->op != b->op || a->stride != b->stride || a->heads != b->heads || a->groups != b->groups)
        return false;
    if (!shape_equal(a->out->shape, b->out->shape) || !same_weight(a->layer.weight, b->layer.weight))
        return false;
    for (int k = 0; k < NODE_INPUTS; k++) {
        const Tensor *x = a->in[k], *y = b->in[k];
        if (!x != !y || (x && (!shape_equal(x->shape, y->shape) || x->needs_grad != y->needs_grad)))
            return false;
    }
    return true;
}

static double work_of(const Node *n) {
    return n->op->flops ? n->op->flops(n) : (double)shape_count(n->out->shape);
}

static int by_work(const void *a, const void *b) {
    const Kind *x = a, *y = b;
    if (x->work != y->work) return x->work < y->work ? 1 : -1;
    return (x->step > y->step) - (x->step < y->step);
}

/* Lists the kinds, the one with the most work first. */
static Kind *find_kinds(const Graph *g, int *count) {
    Kind *kinds = mem_alloc((size_t)graph_plan_steps(g) * sizeof *kinds);
    *count = 0;
    for (int i = 0; i < graph_plan_steps(g); i++) {
        PlanStep step = graph_plan_step(g, i);
        bool backward = step.pass == BACKWARD;
        int k = 0;
        while (k < *count && (kinds[k].backward != backward || !same_work(kinds[k].node, step.node))) k++;
        if (k == *count) kinds[(*count)++] = (Kind) { step.node, backward, i, 0, 0, INFINITY };
        kinds[k].count++;
        kinds[k].work += work_of(step.node);
    }
    qsort(kinds, (size_t)*count, sizeof *kinds, by_work);
    return kinds;
}

typedef struct {
    double started, seconds;
} Clock;

static void fill(float *data, const Tensor *t) {
    int64_t count = shape_count(t->shape);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; i++) data[i] = 0.1f * (float)((int)(i & 15) - 8);
}

/* Reads one byte of each page of a weight. */
static void touch(const Weight *w) {
    enum { PAGE = 4096 };
    int64_t bytes = weight_bytes(w);
    for (int64_t i = 0; i < bytes; i += PAGE) (void)((const volatile unsigned char *)w->data)[i];
}

/* Prepares a step and then starts the clock. The inputs are filled with ordinary numbers, since operations on
   denormal numbers, which memory may contain, take longer. This also brings the inputs into the cache, where
   they are in a real run, because the previous node has just written them. The weights are read and the
   output is filled so that the time includes neither reading from the disk nor the first access to a page. */
static void before(void *user, const Node *n, bool backward) {
    for (int k = 0; k < NODE_INPUTS; k++) {
        if (!n->in[k]) continue;
        if (!backward || (n->op->reads & (1u << k))) fill(n->in[k]->data, n->in[k]);
        if (backward && n->in[k]->needs_grad) fill(n->in[k]->grad, n->in[k]);
    }
    if (backward) fill(n->out->grad, n->out);
    if (!backward || (n->op->reads & OUT)) fill(n->out->data, n->out);
    touch(n->layer.weight);
    touch(n->layer.bias);
    ((Clock *)user)->started = system_seconds();
}

static void after(void *user, const Node *n, bool backward) {
    (void)n;
    (void)backward;
    Clock *clock = user;
    clock->seconds = system_seconds() - clock->started;
}

static bool same_op(const Kind *a, const Kind *b) {
    return a->node->op == b->node->op && a->backward == b->backward;
}

static bool first_of_its_op(const Kind *kinds, int k) {
    for (int i = 0; i < k; i++)
        if (same_op(&kinds[i], &kinds[k])) return false;
    return true;
}

/* Runs the kinds one after the other, so that the caches contain the weights of other nodes, as in a real
   run. Several rounds make sense for small networks, whose times are short and vary. The first kind of
   each op always runs. */
static void time_kinds(Graph *g, Kind *kinds, int count, double seconds, int rounds) {
    Clock clock;
    Trace trace = { before, after, &clock };
    graph_trace(g, &trace);
    double end = system_seconds() + seconds;
    for (int round = 0; round < rounds; round++)
        for (int k = 0; k < count; k++) {
            if (system_seconds() > end && (round > 0 || !first_of_its_op(kinds, k))) continue;
            graph_run_plan_step(g, kinds[k].step);
            kinds[k].seconds = fmin(kinds[k].seconds, clock.seconds);
        }
    graph_trace(g, NULL);
}

/* Estimates the seconds of a kind that did not run, from the kinds of its op and pass that did. */
static double seconds_from_same_op(const Kind *kinds, int count, const Kind *one) {
    double seconds = 0, work = 0;
    for (int k = 0; k < count; k++) {
        if (!same_op(&kinds[k], one) || isinf(kinds[k].seconds)) continue;
        seconds += (double)kinds[k].count * kinds[k].seconds;
        work += kinds[k].work;
    }
    return one->work * seconds / work;
}

GraphTime graph_time(Graph *g, double seconds, int rounds) {
    GraphTime time = { .all = graph_plan_steps(g) };
    int count;
    Kind *kinds = find_kinds(g, &count);
    time_kinds(g, kinds, count, seconds, rounds);
    for (int k = 0; k < count; k++) {
        bool timed = !isinf(kinds[k].seconds);
        time.timed += timed;
        *(kinds[k].backward ? &time.backward : &time.forward) +=
            timed ? (double)kinds[k].count * kinds[k].seconds : seconds_from_same_op(kinds, count, &kinds[k]);
    }
    free(kinds);
    return time;
}
