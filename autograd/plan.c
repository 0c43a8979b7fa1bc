/* Planning: when each buffer is first written and last read, and so where it can lie.

   A run is a schedule of moments: every live node forward, then, when training, every node with a gradient
   backward in reverse order; before the backward passes of a recomputed block come its forward passes again.
   A buffer lives from the moment that writes it to the last that reads it; two buffers may share memory if
   their lives don't overlap.

   A tensor is interior if it is made and used within one recomputed block alone: it is dropped in the forward
   pass and lives a second time, from the recomputation on. Everything else is kept until its last reader. */
#include "autograd/internal.h"

#include <stdlib.h>
#include <string.h>

static int first_of(int a, int b) { return a == NEVER || b < a ? b : a; }

/* What a plan is built from, beside the graph. */
typedef struct {
    Graph *g;
    bool *has_grad;                                /* [tensors]: a gradient reaches it */
    int *forward_at, *recomputed_at, *backward_at; /* [count]: moments, or NEVER */
    bool *interior;                                /* [tensors] */
} Planner;

static bool runs_backward(const Planner *p, int node) {
    const Graph *g = p->g;
    return g->options.train && g->live[node] && p->has_grad[g->nodes[node]->out->id] &&
           g->nodes[node]->op->backward;
}

/* Backward of node reads the data of its input i. */
static bool reads_input(const Planner *p, int node, int i) {
    return runs_backward(p, node) && (p->g->nodes[node]->op->reads & (1u << i));
}
static bool reads_output(const Planner *p, int node) {
    return runs_backward(p, node) && (p->g->nodes[node]->op->reads & OUT);
}

static void find_live(Graph *g) {
    bool *wanted = mem_alloc((size_t)g->tensors);
    for (int i = 0; i < g->tensors; i++) wanted[i] = g->slots[i].keep;
    wanted[g->result->id] = true;
    for (int i = g->count - 1; i >= 0; i--) {
        const Node *n = g->nodes[i];
        g->live[i] = wanted[n->out->id];
        for (int k = 0; k < NODE_INPUTS && g->live[i]; k++)
            if (n->in[k]) wanted[n->in[k]->id] = true;
    }
    free(wanted);
}

static void find_gradients(Planner *p) {
    const Graph *g = p->g;
    p->has_grad[g->result->id] = g->result->needs_grad;
    for (int i = g->count - 1; i >= 0; i--) {
        const Node *n = g->nodes[i];
        if (!runs_backward(p, i)) continue;
        for (int k = 0; k < NODE_INPUTS; k++)
            if (n->in[k] && n->in[k]->needs_grad) p->has_grad[n->in[k]->id] = true;
    }
}

static void find_interior(Planner *p) {
    const Graph *g = p->g;
    for (int i = 0; i < g->tensors; i++) {
        const Slot *s = &g->slots[i];
        p->interior[i] = s->producer >= 0 && g->live[s->producer] &&
                         g->recomputed[g->nodes[s->producer]->block] && !s->keep && s->tensor != g->result;
    }
    for (int i = 0; i < g->count; i++)
        for (int k = 0; k < NODE_INPUTS && g->live[i]; k++) {
            const Tensor *t = g->nodes[i]->in[k];
            if (!t || g->slots[t->id].producer < 0) continue;
            if (g->nodes[g->slots[t->id].producer]->block != g->nodes[i]->block) p->interior[t->id] = false;
        }
}

static void add_step(Planner *p, int node, Pass pass) {
    Graph *g = p->g;
    (pass == FORWARD     ? p->forward_at
     : pass == RECOMPUTE ? p->recomputed_at
                         : p->backward_at)[node] = g->moments;
    g->schedule[g->moments++] = (Moment) { node, pass };
}

/* The nodes [first, last] of a block again: those whose interior output backward reads, or that lead to
   one. */
static void add_recomputation(Planner *p, int first, int last) {
    const Graph *g = p->g;
    bool *wanted = mem_alloc((size_t)g->tensors);
    for (int i = last; i >= first; i--) {
        const Node *n = g->nodes[i];
        if (!g->live[i]) continue;
        if (reads_output(p, i)) wanted[n->out->id] = true;
        bool recomputed = wanted[n->out->id] && p->interior[n->out->id];
        for (int k = 0; k < NODE_INPUTS; k++)
            if (n->in[k] && (recomputed || reads_input(p, i, k))) wanted[n->in[k]->id] = true;
    }
    for (int i = first; i <= last; i++)
        if (g->live[i] && wanted[g->nodes[i]->out->id] && p->interior[g->nodes[i]->out->id])
            add_step(p, i, RECOMPUTE);
    free(wanted);
}

static void make_schedule(Planner *p) {
    Graph *g = p->g;
    g->moments = 0;
    for (int i = 0; i < g->count; i++) {
        p->forward_at[i] = p->recomputed_at[i] = p->backward_at[i] = NEVER;
        if (g->live[i]) add_step(p, i, FORWARD);
    }
    g->forward_moments = g->moments;
    int entered = NEVER; /* the block whose backward passes are under way */
    for (int i = g->count - 1; i >= 0; i--) {
        if (!runs_backward(p, i)) continue;
        int block = g->nodes[i]->block;
        if (g->recomputed[block] && block != entered) {
            int first = i, last = i;
            while (first > 0 && g->nodes[first - 1]->block == block) first--;
            while (last + 1 < g->count && g->nodes[last + 1]->block == block) last++;
            add_recomputation(p, first, last);
        }
        entered = block;
        add_step(p, i, BACKWARD);
    }
}

static void write_at(Buffer *b, int moment) {
    b->first = first_of(b->first, moment);
    if (moment > b->last) b->last = moment;
}
static void read_at(Buffer *b, int moment) {
    if (moment != NEVER && moment > b->last) b->last = moment;
}

/* Whoever reads t's data at these moments: the copy of the forward pass, or the one of the recomputation. */
static void read_data(Planner *p, const Tensor *t, int forward, int recomputed, int backward) {
    Slot *s = &p->g->slots[t->id];
    if (s->leaf) return;
    read_at(&s->data, forward);
    Buffer *later = p->interior[t->id] ? &s->recomputed : &s->data;
    read_at(later, recomputed);
    read_at(later, backward);
}

static void find_lives(Planner *p) {
    Graph *g = p->g;
    for (int i = 0; i < g->tensors; i++) {
        Slot *s = &g->slots[i];
        Buffer none = { .first = NEVER,
                        .last = NEVER,
                        .floats = (shape_count(s->tensor->shape) + 15) / 16 * 16 };
        s->data = s->recomputed = s->grad = none;
    }
    for (int i = 0; i < g->count; i++) {
        const Node *n = g->nodes[i];
        if (!g->live[i]) continue;
        Slot *out = &g->slots[n->out->id];
        write_at(&out->data, p->forward_at[i]);
        if (p->recomputed_at[i] != NEVER) write_at(&out->recomputed, p->recomputed_at[i]);
        if (reads_output(p, i)) read_data(p, n->out, NEVER, NEVER, p->backward_at[i]);
        for (int k = 0; k < NODE_INPUTS; k++) {
            if (!n->in[k]) continue;
            read_data(p, n->in[k], p->forward_at[i], p->recomputed_at[i],
                      reads_input(p, i, k) ? p->backward_at[i] : NEVER);
            Slot *in = &g->slots[n->in[k]->id];
            if (runs_backward(p, i) && n->in[k]->needs_grad && !in->leaf)
                write_at(&in->grad, p->backward_at[i]);
        }
        if (runs_backward(p, i)) write_at(&out->grad, p->backward_at[i]); /* its last reader */
    }
    for (int i = 0; i < g->tensors; i++) {
        Slot *s = &g->slots[i];
        if (s->data.first != NEVER && (s->keep || s->tensor == g->result)) s->data.last = g->moments;
    }
    Slot *result = &g->slots[g->result->id];
    if (g->options.train && p->has_grad[g->result->id] && !result->leaf)
        write_at(&result->grad, g->forward_moments);
    g->scratch = mem_grow(g->scratch, (size_t)(g->moments + 1) * sizeof *g->scratch);
    g->workspace_floats = 0;
    for (int m = 0; m < g->moments; m++) {
        const Node *n = g->nodes[g->schedule[m].node];
        int64_t floats = n->op->scratch ? (int64_t)n->op->scratch(n) : 0;
        g->scratch[m] = (Buffer) { floats ? m : NEVER, m, (floats + 15) / 16 * 16, 0, NULL };
        if (n->op->workspace)
            g->workspace_floats = max_i64(g->workspace_floats, ((int64_t)n->op->workspace(n) + 15) / 16 * 16);
    }
}

static int by_size(const void *a, const void *b) {
    const Buffer *x = *(Buffer *const *)a, *y = *(Buffer *const *)b;
    if (x->floats != y->floats) return x->floats < y->floats ? 1 : -1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return (x->last > y->last) - (x->last < y->last);
}

/* Puts b at the lowest offset free of the placed buffers that live at the same time; these are in order of
   offset. */
static void place(Buffer *b, Buffer **placed, int *count, bool reuse) {
    int64_t offset = 0;
    int position = *count;
    for (int i = 0; i < *count; i++) {
        const Buffer *other = placed[i];
        if (reuse && (other->last < b->first || b->last < other->first)) continue;
        if (offset + b->floats <= other->offset) break;
        offset = max_i64(offset, other->offset + other->floats);
    }
    b->offset = offset;
    while (position > 0 && placed[position - 1]->offset > offset) {
        placed[position] = placed[position - 1];
        position--;
    }
    placed[position] = b;
    ++*count;
}

/* Gives every buffer its offset, largest first; returns the floats that all take together. */
static int64_t place_all(Graph *g, bool reuse) {
    int n = 0, count = 0;
    Buffer **order = mem_alloc((size_t)(3 * g->tensors + g->moments) * sizeof *order);
    Buffer **placed = mem_alloc((size_t)(3 * g->tensors + g->moments) * sizeof *placed);
    for (int i = 0; i < g->tensors; i++) {
        Slot *s = &g->slots[i];
        Buffer *buffers[3] = { &s->data, &s->recomputed, &s->grad };
        for (int k = 0; k < 3; k++)
            if (buffers[k]->first != NEVER) order[n++] = buffers[k];
    }
    for (int m = 0; m < g->moments; m++)
        if (g->scratch[m].first != NEVER) order[n++] = &g->scratch[m];
    qsort(order, (size_t)n, sizeof *order, by_size);
    int64_t floats = 0;
    for (int i = 0; i < n; i++) {
        place(order[i], placed, &count, reuse);
        floats = max_i64(floats, order[i]->offset + order[i]->floats);
    }
    free(order);
    free(placed);
    return floats;
}

static void plan_once(Planner *p) {
    find_interior(p);
    make_schedule(p);
    find_lives(p);
    p->g->floats = place_all(p->g, !p->g->options.keep_all);
}

/* Blocks by the floats of their data that backward reads in the plan without recomputation, the largest
   first. */
static int *blocks_by_gain(const Planner *p, int *count) {
    const Graph *g = p->g;
    int64_t *gain = mem_alloc((size_t)g->block_count * sizeof *gain);
    for (int i = 0; i < g->tensors; i++) {
        const Slot *s = &g->slots[i];
        if (s->data.first != NEVER && s->data.last >= g->forward_moments)
            gain[g->nodes[s->producer]->block] += s->data.floats;
    }
    int *order = mem_alloc((size_t)g->block_count * sizeof *order);
    *count = 0;
    for (int b = 0; b < g->block_count; b++) {
        if (!gain[b]) continue;
        int i = (*count)++;
        for (; i > 0 && gain[order[i - 1]] < gain[b]; i--) order[i] = order[i - 1];
        order[i] = b;
    }
    free(gain);
    return order;
}

static int by_address(const void *a, const void *b) {
    uintptr_t x = (uintptr_t) * (const Weight *const *)a, y = (uintptr_t) * (const Weight *const *)b;
    return (x > y) - (x < y);
}

/* Bytes of the different weights that live nodes read. */
static int64_t weight_bytes(const Graph *g) {
    const Weight **all = mem_alloc((size_t)(3 * g->count + 1) * sizeof *all);
    size_t n = 0;
    for (int i = 0; i < g->count; i++) {
        const Node *node = g->nodes[i];
        const Weight *used[3] = { node->layer.weight, node->layer.bias, node->table };
        for (int k = 0; k < 3 && g->live[i]; k++)
            if (used[k]) all[n++] = used[k];
    }
    qsort(all, n, sizeof *all, by_address);
    int64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || all[i] != all[i - 1])
            bytes += shape_count(all[i]->shape) * (int64_t)dtype_size(all[i]->dtype);
    free(all);
    return bytes;
}

static Plan describe(const Graph *g) {
    Plan plan = { .buffers = g->floats * 4,
                  .workspace = g->workspace_floats * 4,
                  .weights = weight_bytes(g) };
    for (int m = 0; m < g->moments; m++) {
        const Node *n = g->nodes[g->schedule[m].node];
        double flops = n->op->flops ? n->op->flops(n) : 0;
        if (g->schedule[m].pass == BACKWARD)
            plan.backward_flops += flops * n->op->backward_flops;
        else
            plan.forward_flops += flops;
        plan.kept += g->scratch[m].first != NEVER ? g->scratch[m].floats * 4 : 0;
    }
    for (int i = 0; i < g->tensors; i++) {
        const Slot *s = &g->slots[i];
        if (s->data.first != NEVER) plan.kept += s->data.floats * 4;
        if (s->grad.first != NEVER) plan.kept += s->grad.floats * 4;
    }
    plan.blocks = g->block_count;
    for (int b = 0; b < g->block_count; b++) plan.recomputed += g->recomputed[b];
    return plan;
}

Plan graph_plan(Graph *g, Tensor *result, PlanOptions options) {
    graph_release_plan(g);
    g->options = options;
    g->result = result;
    size_t nodes = (size_t)g->count, tensors = (size_t)g->tensors;
    g->live = mem_alloc(nodes);
    g->recomputed = mem_alloc((size_t)g->block_count);
    g->schedule = mem_alloc(3 * nodes * sizeof *g->schedule);
    Planner p = { g,
                  mem_alloc(tensors),
                  mem_alloc(nodes * sizeof(int)),
                  mem_alloc(nodes * sizeof(int)),
                  mem_alloc(nodes * sizeof(int)),
                  mem_alloc(tensors) };
    find_live(g);
    find_gradients(&p);
    plan_once(&p);
    int candidates = 0, recomputed = 0;
    int *order = blocks_by_gain(&p, &candidates);
    while (recomputed < candidates &&
           (recomputed < options.recompute || (options.budget && g->floats * 4 > options.budget))) {
        g->recomputed[order[recomputed++]] = true;
        plan_once(&p);
    }
    Plan plan = describe(g);
    plan.fits = !options.budget || plan.buffers <= options.budget;
    free(order);
    free(p.has_grad);
    free(p.forward_at);
    free(p.recomputed_at);
    free(p.backward_at);
    free(p.interior);
    return plan;
}
