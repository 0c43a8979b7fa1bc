/* SPDX-License-Identifier: MIT */
/* Running a planned graph: one loop over the steps of the plan gives every op its memory and runs it.
   A run allocates no memory. */
#define _GNU_SOURCE /* madvise */
#include "autograd/internal.h"

#include "tensor/share.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

float *node_workspace(const Node *n) { return thread_workspace(n->workspaces, n->workspace_floats); }

void write_gradient(const Node *n, int i, int64_t at, const float *restrict part, int64_t count) {
    float *restrict to = n->in[i]->grad + at;
    if (overwrites_gradient(n, i)) {
        memcpy(to, part, (size_t)count * sizeof(float));
        return;
    }
#pragma omp simd
    for (int64_t k = 0; k < count; k++) to[k] += part[k];
}

int64_t plan_bytes(const Plan *plan, int threads) { return plan->buffers + plan->workspace * threads; }

/* Huge pages, where the system offers them, make a training step 1 to 2 % faster. */
enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20 };

bool arena_allocate(Arena *arena, int64_t bytes) {
    int64_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : CACHE_LINE;
    arena->bytes = ceil_div(bytes > 0 ? bytes : 1, alignment) * alignment;
    arena->memory = aligned_alloc((size_t)alignment, (size_t)arena->bytes);
    if (!arena->memory) return false;
#ifdef MADV_HUGEPAGE
    if (alignment == HUGE_PAGE) madvise(arena->memory, (size_t)arena->bytes, MADV_HUGEPAGE);
#endif
    return true;
}

void arena_free(Arena *arena) {
    free(arena->memory);
    *arena = (Arena) { 0 };
}

void graph_bind(Graph *g, Arena *arena, int threads) {
    CHECK(g->steps && arena->memory);
    CHECK((g->floats + g->workspace_floats * threads) * 4 <= arena->bytes);
    g->memory = arena->memory;
    g->threads = threads;
    for (int i = 0; g->options.separate && i < buffer_count(g); i++) {
        Buffer *b = buffer_at(g, i);
        if (b->first_write == NEVER) continue;
        b->separate = malloc((size_t)b->floats * sizeof(float));
        CHECK(b->separate);
    }
}

static float *address(const Graph *g, const Buffer *b) {
    if (b->first_write == NEVER) return NULL;
    return b->separate ? b->separate : g->memory + b->offset;
}

/* One thread sets fewer floats than this to zero at least as fast as several threads. */
enum { ZEROED_ALONE = 65536 };

static void set_to_zero(float *x, int64_t count) {
#pragma omp parallel for simd schedule(static) if (count >= ZEROED_ALONE)
    for (int64_t i = 0; i < count; i++) x[i] = 0;
}

static int times_used(const Node *n, const Tensor *t) {
    int count = 0;
    for (int k = 0; k < NODE_INPUTS; k++) count += n->in[k] == t;
    return count;
}

/* Prepares the gradients that this step is the first to write. The op overwrites such a gradient if it can
   and if only one of its inputs is this tensor; otherwise the gradient is filled with zeros. */
static void prepare_gradients(Graph *g, Node *n, int step) {
    n->overwrites = 0;
    for (int k = 0; k < NODE_INPUTS; k++) {
        Tensor *t = n->in[k];
        if (!t || !t->needs_grad) continue;
        const Slot *s = &g->slots[t->id];
        if (s->leaf || s->grad.first_write != step) continue;
        t->grad = address(g, &s->grad);
        if ((n->op->can_overwrite & (1u << k)) && times_used(n, t) == 1)
            n->overwrites |= 1u << k;
        else
            set_to_zero(t->grad, shape_count(t->shape));
    }
}

static void poison_released(Graph *g, int step) {
    for (int k = 0; k < buffer_count(g); k++) {
        const Buffer *b = buffer_at(g, k);
        if (b->first_write == NEVER || b->last_read != step) continue;
        float *data = address(g, b);
        for (int64_t i = 0; i < b->floats; i++) data[i] = NAN;
    }
}

static void run_step(Graph *g, int step) {
    PlanStep now = g->steps[step];
    Node *n = g->nodes[now.index];
    Slot *out = &g->slots[n->out->id];
    n->scratch = address(g, &g->scratch[step]);
    n->workspaces = g->memory + g->floats;
    n->workspace_floats = (size_t)g->workspace_floats;
    if (g->trace && g->trace->before) g->trace->before(g->trace->user, n, now.pass == BACKWARD);
    if (now.pass == BACKWARD) {
        prepare_gradients(g, n, step);
        n->op->backward(n);
    } else {
        n->out->data = address(g, now.pass == FORWARD ? &out->data : &out->recomputed);
        n->op->forward(n);
    }
    if (g->trace && g->trace->after) g->trace->after(g->trace->user, n, now.pass == BACKWARD);
    if (g->options.poison) poison_released(g, step);
}

/* Checks that the graph is bound, with a workspace for each thread that may run. */
static void check_bound(const Graph *g) {
    CHECK(g->memory);
    CHECK(omp_get_max_threads() <= g->threads);
}

static void run_steps(Graph *g, int first, int end) {
    for (int i = first; i < end && watch_go_on(g->watch, i, g->step_count); i++) run_step(g, i);
}

void graph_forward(Graph *g) {
    check_bound(g);
    run_steps(g, 0, g->forward_steps);
}

void graph_backward(Graph *g, const float *seed) {
    check_bound(g);
    CHECK(g->options.train);
    for (int i = 0; i < g->tensors; i++) {
        const Slot *s = &g->slots[i];
        if (s->leaf && s->tensor->grad)
            memset(s->tensor->grad, 0, (size_t)shape_count(s->tensor->shape) * sizeof(float));
    }
    Slot *result = &g->slots[g->result->id];
    if (result->grad.first_write == NEVER) return; /* the result depends on no learned leaf */
    g->result->grad = address(g, &result->grad);
    int64_t count = shape_count(g->result->shape);
    for (int64_t i = 0; i < count; i++) g->result->grad[i] = seed ? seed[i] : 1.0f;
    run_steps(g, g->forward_steps, g->step_count);
}

/* Sets a tensor's addresses to those that it has in this step. */
static void set_addresses(const Graph *g, Tensor *t, int step) {
    const Slot *s = &g->slots[t->id];
    if (s->leaf) return;
    bool recomputed = s->recomputed.first_write != NEVER && step >= g->forward_steps;
    t->data = address(g, recomputed ? &s->recomputed : &s->data);
    t->grad = address(g, &s->grad);
}

void graph_run_plan_step(Graph *g, int step) {
    CHECK(g->memory && step >= 0 && step < g->step_count);
    const Node *n = g->steps[step].node;
    for (int k = 0; k < NODE_INPUTS; k++)
        if (n->in[k]) set_addresses(g, n->in[k], step);
    set_addresses(g, n->out, step);
    run_step(g, step);
}
