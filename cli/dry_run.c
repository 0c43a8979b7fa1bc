/* The time of a run from a few timed nodes. Nodes of one op with the same shapes do the same work, so one of them is run, by
   itself and with its real weights, and stands for all: a large network has many nodes of few kinds. */
#include "cli/dry_run.h"

#include "cli/console.h"
#include "cli/machine.h"
#include "cli/plan_command.h"

#include <math.h>
#include <stdlib.h>

/* The moments of a plan that do the same. */
typedef struct {
    const Node *node;
    bool backward;
    int moment; /* the one that is run */
    int64_t count;
    double seconds; /* the least of all runs */
} Group;

typedef struct {
    double forward, backward; /* seconds of a run of the graph */
    int timed, all;           /* moments */
} Timing;

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

static Group *find_groups(const Graph *g, int *count) {
    Group *groups = mem_alloc((size_t)graph_moments(g) * sizeof *groups);
    *count = 0;
    for (int i = 0; i < graph_moments(g); i++) {
        PlanMoment m = graph_moment(g, i);
        bool backward = m.pass == BACKWARD;
        int k = 0;
        while (k < *count && (groups[k].backward != backward || !same_work(groups[k].node, m.node))) k++;
        if (k == *count) groups[(*count)++] = (Group) { m.node, backward, i, 0, INFINITY };
        groups[k].count++;
    }
    return groups;
}

/* Running one moment. Its inputs are filled with ordinary numbers, since denormal ones, which memory may happen to hold,
   take longer; and a node finds its inputs in the cache where the one before has just written them. */
typedef struct {
    double started, seconds;
} Clock;

static void fill(float *data, const Tensor *t) {
    int64_t count = shape_count(t->shape);
    for (int64_t i = 0; i < count; i++) data[i] = 0.1f * (float)(i % 17 - 8);
}

static void before(void *user, const Node *n, bool backward) {
    for (int k = 0; k < NODE_INPUTS; k++) {
        if (!n->in[k]) continue;
        if (!backward || (n->op->reads & (1u << k))) fill(n->in[k]->data, n->in[k]);
        if (backward && n->in[k]->needs_grad) fill(n->in[k]->grad, n->in[k]);
    }
    if (backward) fill(n->out->grad, n->out);
    if (backward && (n->op->reads & OUT)) fill(n->out->data, n->out);
    ((Clock *)user)->started = machine_seconds();
}

static void after(void *user, const Node *n, bool backward) {
    (void)n;
    (void)backward;
    Clock *clock = user;
    clock->seconds = machine_seconds() - clock->started;
}

/* The kinds are run one after the other, so that each finds the caches as full of others' weights as in a real run. The
   first round reads the weights from the disk and is not counted; small networks, whose times are short and
   scatter, get more rounds. */
static Timing time_graph(Graph *g) {
    enum { ROUNDS_MIN = 1, ROUNDS_MAX = 20 };
    int count;
    Group *groups = find_groups(g, &count);
    Clock clock;
    Trace trace = { before, after, &clock };
    graph_trace(g, &trace);
    double started = machine_seconds();
    for (int round = 0; round <= ROUNDS_MAX; round++) {
        if (round > ROUNDS_MIN && machine_seconds() - started > 1) break;
        for (int k = 0; k < count; k++) {
            graph_run_moment(g, groups[k].moment);
            if (round > 0) groups[k].seconds = fmin(groups[k].seconds, clock.seconds);
        }
    }
    graph_trace(g, NULL);
    Timing t = { .timed = count, .all = graph_moments(g) };
    for (int k = 0; k < count; k++)
        *(groups[k].backward ? &t.backward : &t.forward) += (double)groups[k].count * groups[k].seconds;
    free(groups);
    return t;
}

/* The run's parts, in seconds */
typedef struct {
    Timing step; /* one batch */
    double encoding, steps, grid, pictures;
    int64_t encoded, grids, drawn; /* how many */
} Estimate;

static double drawing_flops(const Drawing *d, int64_t steps) {
    Plan text, denoise, decode;
    drawing_stage(d, DRAWING_TEXT, &text);
    drawing_stage(d, DRAWING_DENOISE, &denoise);
    drawing_stage(d, DRAWING_DECODE, &decode);
    return text.forward_flops + (double)steps * denoise.forward_flops + decode.forward_flops;
}

static Estimate estimate(const TrainOptions *o, Loop *l, Encoder *e, const Drawing *d, int64_t grids) {
    Estimate s = { .grids = grids };
    s.step = time_graph(l->full.graph);
    s.steps = (double)loop_micro_batches(l) * (s.step.forward + s.step.backward);
    s.encoded = l->data.posteriors->pictures * (o->no_flip ? 1 : 2);
    s.encoding = (double)s.encoded * time_graph(e->graph).forward;
    int64_t points = l->data.posteriors->pictures * LOOP_GRID_TIMESTEPS;
    s.grid = (double)(grids * ceil_div(points, o->batch)) * s.step.forward;
    if (!d) return s;
    /* A drawing's operations are those of the step's forward pass, and so is their speed. */
    s.drawn = 1 + (o->validation_every > 0 ? (o->steps - 1) / o->validation_every : 0);
    double rate = l->full.plan.forward_flops / s.step.forward;
    s.pictures = (double)s.drawn * drawing_flops(d, o->sampling_steps) / rate;
    return s;
}

static double total(const Estimate *s) { return s->encoding + s->steps + s->grid + s->pictures; }

static void print_estimate(const Estimate *s, const TrainOptions *o, const Plan *plan) {
    double step = s->step.forward + s->step.backward, flops = plan->forward_flops + plan->backward_flops;
    char text[DURATION_TEXT];
    printf("\ntime, from %d of a batch's %d operations, each for all of its kind\n", s->step.timed,
           s->step.all);
    printf("%10.3f s  a batch of %lld: forward %.3f, backward %.3f; %.1f GFLOP/s\n", step,
           (long long)o->batch, s->step.forward, s->step.backward, flops / step * 1e-9);
    printf("%12s  %lld steps of %lld pictures\n", duration_text(s->steps, text), (long long)o->steps,
           (long long)(o->batch * o->accumulate));
    printf("%12s  encoding %lld pictures\n", duration_text(s->encoding, text), (long long)s->encoded);
    if (s->grids)
        printf("%12s  the fixed-grid loss, %lld times\n", duration_text(s->grid, text), (long long)s->grids);
    if (s->drawn)
        printf("%12s  drawing %lld pictures\n", duration_text(s->pictures, text), (long long)s->drawn);
    printf("%12s  in all\n", duration_text(total(s), text));
}

static cJSON *estimate_json(const Estimate *s) {
    cJSON *time = cJSON_CreateObject();
    cJSON_AddNumberToObject(time, "timed", s->step.timed);
    cJSON_AddNumberToObject(time, "operations", s->step.all);
    cJSON_AddNumberToObject(time, "batch_forward", s->step.forward);
    cJSON_AddNumberToObject(time, "batch_backward", s->step.backward);
    cJSON_AddNumberToObject(time, "steps", s->steps);
    cJSON_AddNumberToObject(time, "encoding", s->encoding);
    cJSON_AddNumberToObject(time, "grid_loss", s->grid);
    cJSON_AddNumberToObject(time, "pictures", s->pictures);
    cJSON_AddNumberToObject(time, "all", total(s));
    return time;
}

bool dry_run(const Model *m, const TrainOptions *o, Loop *loop, Encoder *encoder, const Drawing *drawing,
             int64_t grids, int threads, Messages *errors) {
    PlanCommandOptions plan = { .resolution = o->resolution,
                                .batch = o->batch,
                                .vectors = o->vectors,
                                .summary = true,
                                .json = o->json };
    Estimate s = estimate(o, loop, encoder, drawing, grids);
    cJSON *time = o->json ? estimate_json(&s) : NULL;
    if (!plan_report(m, &plan, threads, time, errors)) {
        cJSON_Delete(time);
        return false;
    }
    if (!o->json) print_estimate(&s, o, &loop->full.plan);
    return console_finish(errors);
}
