/* Nodes of one op with the same shapes do the same work, so one of them is run, by itself and with its real
   weights, and stands for all: a large network has many nodes of few kinds. Where there is no time to run
   each kind, those that are left are taken to be as fast as the others of their op. */
#include "autograd/estimate.h"

#include "io/system.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The moments of a plan that do the same. */
typedef struct {
    const Node *node;
    bool backward;
    int moment; /* the one that is run */
    int64_t count;
    double work;    /* of all of them: operations, or values where the op counts none */
    double seconds; /* of one, the least of all runs; INFINITY: not run */
} Group;

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
    const Group *x = a, *y = b;
    if (x->work != y->work) return x->work < y->work ? 1 : -1;
    return (x->moment > y->moment) - (x->moment < y->moment);
}

/* Those with the most work first. */
static Group *find_groups(const Graph *g, int *count) {
    Group *groups = mem_alloc((size_t)graph_plan_steps(g) * sizeof *groups);
    *count = 0;
    for (int i = 0; i < graph_plan_steps(g); i++) {
        PlanStep m = graph_plan_step(g, i);
        bool backward = m.pass == BACKWARD;
        int k = 0;
        while (k < *count && (groups[k].backward != backward || !same_work(groups[k].node, m.node))) k++;
        if (k == *count) groups[(*count)++] = (Group) { m.node, backward, i, 0, 0, INFINITY };
        groups[k].count++;
        groups[k].work += work_of(m.node);
    }
    qsort(groups, (size_t)*count, sizeof *groups, by_work);
    return groups;
}

/* Running one moment. Its inputs are filled with ordinary numbers, since denormal ones, which memory may
   happen to hold, take longer. The weights and the memory of the output are touched, since the disk and the
   system's first pages would be timed too. And a node finds its inputs in the cache where the one before has
   just written them. */
typedef struct {
    double started, seconds;
} Clock;

static void fill(float *data, const Tensor *t) {
    int64_t count = shape_count(t->shape);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; i++) data[i] = 0.1f * (float)((int)(i & 15) - 8);
}

static void touch(const Weight *w) {
    enum { PAGE = 4096 };
    size_t bytes = w ? (size_t)shape_count(w->shape) * dtype_size(w->dtype) : 0;
    for (size_t i = 0; i < bytes; i += PAGE) (void)((const volatile unsigned char *)w->data)[i];
}

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

static bool same_op(const Group *a, const Group *b) {
    return a->node->op == b->node->op && a->backward == b->backward;
}

static bool first_of_its_op(const Group *groups, int k) {
    for (int i = 0; i < k; i++)
        if (same_op(&groups[i], &groups[k])) return false;
    return true;
}

/* The kinds are run one after the other, so that each finds the caches as full of others' weights as in a
   real run; small networks, whose times are short and scatter, get several rounds. The first kind of each op
   is run in any case. */
static void time_groups(Graph *g, Group *groups, int count, double seconds, int rounds) {
    Clock clock;
    Trace trace = { before, after, &clock };
    graph_trace(g, &trace);
    double end = system_seconds() + seconds;
    for (int round = 0; round < rounds; round++)
        for (int k = 0; k < count; k++) {
            if (system_seconds() > end && (round > 0 || !first_of_its_op(groups, k))) continue;
            graph_run_plan_step(g, groups[k].moment);
            groups[k].seconds = fmin(groups[k].seconds, clock.seconds);
        }
    graph_trace(g, NULL);
}

/* Seconds for the work of a kind that was not run, from those of its op and pass that were. */
static double at_the_rate_of_its_op(const Group *groups, int count, const Group *one) {
    double seconds = 0, work = 0;
    for (int k = 0; k < count; k++) {
        if (!same_op(&groups[k], one) || isinf(groups[k].seconds)) continue;
        seconds += (double)groups[k].count * groups[k].seconds;
        work += groups[k].work;
    }
    return one->work * seconds / work;
}

GraphTime graph_time(Graph *g, double seconds, int rounds) {
    GraphTime time = { .all = graph_plan_steps(g) };
    int count;
    Group *groups = find_groups(g, &count);
    time_groups(g, groups, count, seconds, rounds);
    for (int k = 0; k < count; k++) {
        bool timed = !isinf(groups[k].seconds);
        time.timed += timed;
        *(groups[k].backward ? &time.backward : &time.forward) +=
            timed ? (double)groups[k].count * groups[k].seconds
                  : at_the_rate_of_its_op(groups, count, &groups[k]);
    }
    free(groups);
    return time;
}
