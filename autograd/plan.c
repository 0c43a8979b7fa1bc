/* SPDX-License-Identifier: MIT */
/* Planning: the steps of a run, the lifetime of each buffer, and the memory that it gets.

   In a plan, every needed node first runs forward. In training, every node whose output has a gradient then
   runs backward, in reverse order; before the backward passes of a recomputed block, a part of its forward
   passes runs once more. A buffer's lifetime extends from the step of its first write to the step of its last
   read, both included. Two buffers may share memory if their lifetimes do not overlap.

   A tensor is interior if only one block uses it, the one that computes it, and that block is recomputed. The
   data of an interior tensor lives until its last use in the forward pass; backward reads a second buffer,
   which the recomputation fills. The data of all other tensors lives until its last use in either pass.

   docs/autograd.md shows all of this for a graph of four nodes. */
#include "autograd/internal.h"

#include <stdlib.h>
#include <string.h>

/* What the planner knows during planning, besides the graph. */
typedef struct {
    Graph *g;
    bool *has_grad; /* [tensors]: whether a gradient reaches the tensor */
    bool *interior; /* [tensors] */
    /* [nodes]: the plan step in which the node runs in each pass, or NEVER */
    int *forward_step, *recompute_step, *backward_step;
} Planner;

static bool runs_backward(const Planner *p, int node) {
    const Graph *g = p->g;
    return g->options.train && g->needed[node] && p->has_grad[g->nodes[node]->out->id] &&
           g->nodes[node]->op->backward;
}

/* Whether the node's backward pass reads the data of its input i. */
static bool backward_reads_input(const Planner *p, int node, int i) {
    return runs_backward(p, node) && (p->g->nodes[node]->op->reads & (1u << i));
}
/* Whether the node's backward pass reads the data of its output. */
static bool backward_reads_output(const Planner *p, int node) {
    return runs_backward(p, node) && (p->g->nodes[node]->op->reads & OUT);
}

static void find_needed(Graph *g) {
    bool *wanted = mem_alloc((size_t)g->tensors);
    for (int i = 0; i < g->tensors; i++) wanted[i] = g->slots[i].keep;
    wanted[g->result->id] = true;
    for (int i = g->count - 1; i >= 0; i--) {
        const Node *n = g->nodes[i];
        g->needed[i] = wanted[n->out->id];
        for (int k = 0; k < NODE_INPUTS && g->needed[i]; k++)
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
        p->interior[i] = s->producer >= 0 && g->needed[s->producer] &&
                         g->recomputed[g->nodes[s->producer]->block] && !s->keep && s->tensor != g->result;
    }
    for (int i = 0; i < g->count; i++)
        for (int k = 0; k < NODE_INPUTS && g->needed[i]; k++) {
            const Tensor *t = g->nodes[i]->in[k];
            if (!t || g->slots[t->id].producer < 0) continue;
            if (g->nodes[g->slots[t->id].producer]->block != g->nodes[i]->block) p->interior[t->id] = false;
        }
}

/* ---- the steps ---- */

static void add_step(Planner *p, int node, Pass pass) {
    Graph *g = p->g;
    int *step_of = pass == FORWARD     ? p->forward_step
                   : pass == RECOMPUTE ? p->recompute_step
                                       : p->backward_step;
    step_of[node] = g->step_count;
    g->steps[g->step_count++] = (PlanStep) { g->nodes[node], node, pass, 0 };
}

/* Adds the recompute steps of a block, nodes [first, last]. A node is recomputed if its output is interior
   and wanted, that is, if the backward pass or another recomputed node of the block reads it. */
static void add_recomputation(Planner *p, int first, int last) {
    const Graph *g = p->g;
    bool *wanted = mem_alloc((size_t)g->tensors);
    for (int i = last; i >= first; i--) {
        const Node *n = g->nodes[i];
        if (!g->needed[i]) continue;
        if (backward_reads_output(p, i)) wanted[n->out->id] = true;
        bool recomputed = wanted[n->out->id] && p->interior[n->out->id];
        for (int k = 0; k < NODE_INPUTS; k++)
            if (n->in[k] && (recomputed || backward_reads_input(p, i, k))) wanted[n->in[k]->id] = true;
    }
    for (int i = first; i <= last; i++)
        if (g->needed[i] && wanted[g->nodes[i]->out->id] && p->interior[g->nodes[i]->out->id])
            add_step(p, i, RECOMPUTE);
    free(wanted);
}

static void find_steps(Planner *p) {
    Graph *g = p->g;
    g->step_count = 0;
    for (int i = 0; i < g->count; i++) {
        p->forward_step[i] = p->recompute_step[i] = p->backward_step[i] = NEVER;
        if (g->needed[i]) add_step(p, i, FORWARD);
    }
    g->forward_steps = g->step_count;
    int entered = NEVER; /* the block that backward has reached */
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

/* ---- the lifetimes: four rules for the buffers of tensors, and one for scratch ---- */

static void read_at(Buffer *b, int step) {
    if (step > b->last_read) b->last_read = step;
}

/* A buffer that nothing reads still needs its memory in the step that writes it. */
static void write_at(Buffer *b, int step) {
    if (b->first_write == NEVER || step < b->first_write) b->first_write = step;
    read_at(b, step);
}

/* Returns the buffer with the data of t that recomputation and backward read. */
static Buffer *data_in_backward(const Planner *p, const Tensor *t) {
    Slot *s = &p->g->slots[t->id];
    return p->interior[t->id] ? &s->recomputed : &s->data;
}

/* Rule 1: a node's forward step writes its output, which lives until the last forward step that reads it. The
   result and kept tensors live beyond the last step. */
static void find_forward_lifetimes(Planner *p) {
    Graph *g = p->g;
    for (int i = 0; i < g->count; i++) {
        const Node *n = g->nodes[i];
        if (!g->needed[i]) continue;
        Slot *out = &g->slots[n->out->id];
        write_at(&out->data, p->forward_step[i]);
        if (out->keep || n->out == g->result) read_at(&out->data, g->step_count);
        for (int k = 0; k < NODE_INPUTS; k++)
            if (n->in[k]) read_at(&g->slots[n->in[k]->id].data, p->forward_step[i]);
    }
}

/* Rule 2: a node's recompute step writes a second copy of its output. The buffers that the step reads live
   until then: the copies of interior tensors, and the data of all others. */
static void find_recomputed_lifetimes(Planner *p) {
    Graph *g = p->g;
    for (int i = 0; i < g->count; i++) {
        const Node *n = g->nodes[i];
        if (p->recompute_step[i] == NEVER) continue;
        write_at(&g->slots[n->out->id].recomputed, p->recompute_step[i]);
        for (int k = 0; k < NODE_INPUTS; k++)
            if (n->in[k]) read_at(data_in_backward(p, n->in[k]), p->recompute_step[i]);
    }
}

/* Rule 3: data that a node's backward pass reads (Op.reads) is saved until the node's backward step. */
static void find_saved_lifetimes(Planner *p) {
    const Graph *g = p->g;
    for (int i = 0; i < g->count; i++) {
        const Node *n = g->nodes[i];
        if (backward_reads_output(p, i)) read_at(data_in_backward(p, n->out), p->backward_step[i]);
        for (int k = 0; k < NODE_INPUTS; k++)
            if (n->in[k] && backward_reads_input(p, i, k))
                read_at(data_in_backward(p, n->in[k]), p->backward_step[i]);
    }
}

/* Rule 4: the backward steps of the nodes that use a tensor write its gradient, and the backward
   step of the node that computes it reads the gradient. The result's gradient is written before
   the first backward step. */
static void find_gradient_lifetimes(Planner *p) {
    Graph *g = p->g;
    Slot *result = &g->slots[g->result->id];
    if (g->options.train && p->has_grad[g->result->id] && !result->leaf)
        write_at(&result->grad, g->forward_steps);
    for (int i = 0; i < g->count; i++) {
        const Node *n = g->nodes[i];
        if (!runs_backward(p, i)) continue;
        for (int k = 0; k < NODE_INPUTS; k++)
            if (n->in[k] && n->in[k]->needs_grad && !g->slots[n->in[k]->id].leaf)
                write_at(&g->slots[n->in[k]->id].grad, p->backward_step[i]);
        read_at(&g->slots[n->out->id].grad, p->backward_step[i]);
    }
}

/* Buffers begin at multiples of 16 floats, the size of a cache line. */
static int64_t round_to_cache_lines(int64_t floats) { return (floats + 15) / 16 * 16; }

/* Scratch lives in the one step that uses it. */
static void find_scratch(Graph *g) {
    g->scratch = mem_grow(g->scratch, (size_t)(g->step_count + 1) * sizeof *g->scratch);
    g->workspace_floats = 0;
    for (int i = 0; i < g->step_count; i++) {
        const Node *n = g->steps[i].node;
        int64_t floats = n->op->scratch ? (int64_t)n->op->scratch(n) : 0;
        g->scratch[i] = (Buffer) { .first_write = floats ? i : NEVER,
                                   .last_read = i,
                                   .floats = round_to_cache_lines(floats) };
        if (n->op->workspace)
            g->workspace_floats =
                max_i64(g->workspace_floats, round_to_cache_lines((int64_t)n->op->workspace(n)));
    }
}

static void find_lifetimes(Planner *p) {
    Graph *g = p->g;
    for (int i = 0; i < g->tensors; i++) {
        Slot *s = &g->slots[i];
        Buffer unused = { .first_write = NEVER,
                          .last_read = NEVER,
                          .floats = round_to_cache_lines(shape_count(s->tensor->shape)) };
        s->data = s->recomputed = s->grad = unused;
    }
    find_forward_lifetimes(p);
    find_recomputed_lifetimes(p);
    find_saved_lifetimes(p);
    find_gradient_lifetimes(p);
    find_scratch(g);
}

/* ---- the offsets ---- */

static int by_size(const void *a, const void *b) {
    const Buffer *x = *(Buffer *const *)a, *y = *(Buffer *const *)b;
    if (x->floats != y->floats) return x->floats < y->floats ? 1 : -1;
    if (x->first_write != y->first_write) return x->first_write < y->first_write ? -1 : 1;
    return (x->last_read > y->last_read) - (x->last_read < y->last_read);
}

/* Puts b at the lowest offset where it overlaps no placed buffer whose lifetime has a plan step in common
   with b's. `placed` is sorted by offset before and after. */
static void place(Buffer *b, Buffer **placed, int *count, bool reuse) {
    int64_t offset = 0;
    int position = *count;
    for (int i = 0; i < *count; i++) {
        const Buffer *other = placed[i];
        if (reuse && (other->last_read < b->first_write || b->last_read < other->first_write)) continue;
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

/* Gives every buffer its offset, the largest buffer first, and returns the number of floats that all
   of them take together. */
static int64_t place_all(Graph *g, bool reuse) {
    int n = 0, count = 0;
    Buffer **order = mem_alloc((size_t)buffer_count(g) * sizeof *order);
    Buffer **placed = mem_alloc((size_t)buffer_count(g) * sizeof *placed);
    for (int i = 0; i < buffer_count(g); i++)
        if (buffer_at(g, i)->first_write != NEVER) order[n++] = buffer_at(g, i);
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
    find_steps(p);
    find_lifetimes(p);
    p->g->floats = place_all(p->g, !p->g->options.keep_all);
}

/* ---- the choice of blocks to recompute, and the report ---- */

/* Lists the blocks whose recomputation can save memory, the block with the greatest gain first. The gain of a
   block is the number of floats of its data that are saved for backward in the plan without recomputation. */
static int *blocks_by_gain(const Planner *p, int *count) {
    const Graph *g = p->g;
    int64_t *gain = mem_alloc((size_t)g->block_count * sizeof *gain);
    for (int i = 0; i < g->tensors; i++) {
        const Slot *s = &g->slots[i];
        if (s->data.first_write != NEVER && s->data.last_read >= g->forward_steps)
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

/* The bytes of the weights that needed nodes read. A weight that several nodes read counts once. */
static int64_t bytes_of_weights(const Graph *g) {
    const Weight **all = mem_alloc((size_t)(3 * g->count + 1) * sizeof *all);
    size_t n = 0;
    for (int i = 0; i < g->count; i++) {
        const Node *node = g->nodes[i];
        const Weight *used[3] = { node->layer.weight, node->layer.bias, node->table };
        for (int k = 0; k < 3 && g->needed[i]; k++)
            if (used[k]) all[n++] = used[k];
    }
    qsort(all, n, sizeof *all, by_address);
    int64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || all[i] != all[i - 1]) bytes += weight_bytes(all[i]);
    free(all);
    return bytes;
}

/* Counts the bytes that are alive in each step. */
static void count_alive(Graph *g) {
    for (int k = 0; k < buffer_count(g); k++) {
        const Buffer *b = buffer_at(g, k);
        if (b->first_write == NEVER) continue;
        for (int i = b->first_write; i <= b->last_read && i < g->step_count; i++)
            g->steps[i].alive += b->floats * 4;
    }
}

static Plan describe(const Graph *g) {
    Plan plan = { .buffers = g->floats * 4,
                  .workspace = g->workspace_floats * 4,
                  .weights = bytes_of_weights(g) };
    for (int i = 0; i < g->step_count; i++) {
        const Node *n = g->steps[i].node;
        double flops = n->op->flops ? n->op->flops(n) : 0;
        if (g->steps[i].pass == BACKWARD)
            plan.backward_flops += flops * n->op->backward_flops;
        else
            plan.forward_flops += flops;
        plan.unshared += g->scratch[i].first_write != NEVER ? g->scratch[i].floats * 4 : 0;
    }
    for (int i = 0; i < g->tensors; i++) {
        const Slot *s = &g->slots[i];
        if (s->data.first_write != NEVER) plan.unshared += s->data.floats * 4;
        if (s->grad.first_write != NEVER) plan.unshared += s->grad.floats * 4;
    }
    plan.blocks = g->block_count;
    for (int b = 0; b < g->block_count; b++) plan.recomputed += g->recomputed[b];
    return plan;
}

Plan graph_plan(Graph *g, Tensor *result, PlanOptions options) {
    graph_release_plan(g);
    g->options = options;
    g->result = result;
    for (int i = 0; i < g->count; i++) g->nodes[i]->precision = options.precision;
    size_t nodes = (size_t)g->count, tensors = (size_t)g->tensors;
    g->needed = mem_alloc(nodes);
    g->recomputed = mem_alloc((size_t)g->block_count);
    g->steps = mem_alloc(3 * nodes * sizeof *g->steps);
    Planner p = { .g = g,
                  .has_grad = mem_alloc(tensors),
                  .interior = mem_alloc(tensors),
                  .forward_step = mem_alloc(nodes * sizeof(int)),
                  .recompute_step = mem_alloc(nodes * sizeof(int)),
                  .backward_step = mem_alloc(nodes * sizeof(int)) };
    find_needed(g);
    find_gradients(&p);
    plan_once(&p);
    int candidates = 0, recomputed = 0;
    int *order = blocks_by_gain(&p, &candidates);
    while (recomputed < candidates &&
           (recomputed < options.recompute || (options.budget && g->floats * 4 > options.budget))) {
        g->recomputed[order[recomputed++]] = true;
        plan_once(&p);
    }
    count_alive(g);
    Plan plan = describe(g);
    plan.fits = !options.budget || plan.buffers <= options.budget;
    free(order);
    free(p.has_grad);
    free(p.interior);
    free(p.forward_step);
    free(p.recompute_step);
    free(p.backward_step);
    return plan;
}
