/* Running a planned graph: one loop over the schedule that hands every op its memory. Nothing is allocated
   here. */
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
    if (gradient_overwrites(n, i)) {
        memcpy(to, part, (size_t)count * sizeof(float));
        return;
    }
#pragma omp simd
    for (int64_t k = 0; k < count; k++) to[k] += part[k];
}

int64_t plan_bytes(const Plan *plan, int threads) { return plan->buffers + plan->workspace * threads; }

/* Where the system has huge pages on request, they make a step 1 to 2 % faster. */
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

static void bind_separately(Buffer *b) {
    if (b->first == NEVER) return;
    b->separate = malloc((size_t)b->floats * sizeof(float));
    CHECK(b->separate);
}

void graph_bind(Graph *g, Arena *arena, int threads) {
    CHECK(g->schedule && arena->memory);
    CHECK((g->floats + g->workspace_floats * threads) * 4 <= arena->bytes);
    g->memory = arena->memory;
    g->threads = threads;
    if (!g->options.separate) return;
    for (int i = 0; i < g->tensors; i++) {
        bind_separately(&g->slots[i].data);
        bind_separately(&g->slots[i].recomputed);
        bind_separately(&g->slots[i].grad);
    }
    for (int m = 0; m < g->moments; m++) bind_separately(&g->scratch[m]);
}

static float *address(const Graph *g, const Buffer *b) {
    if (b->first == NEVER) return NULL;
    return b->separate ? b->separate : g->memory + b->offset;
}

/* Floats that one thread sets to zero as fast as several. */
enum { ZEROED_ALONE = 65536 };

static void set_to_zero(float *x, int64_t count) {
#pragma omp parallel for simd schedule(static) if (count >= ZEROED_ALONE)
    for (int64_t i = 0; i < count; i++) x[i] = 0;
}

static int occurrences(const Node *n, const Tensor *t) {
    int count = 0;
    for (int k = 0; k < NODE_INPUTS; k++) count += n->in[k] == t;
    return count;
}

/* The first moment that adds to a gradient sets it instead, if the op can and no other input is the same
   tensor. */
static void open_gradients(Graph *g, Node *n, int moment) {
    n->overwrites = 0;
    for (int k = 0; k < NODE_INPUTS; k++) {
        Tensor *t = n->in[k];
        if (!t || !t->needs_grad) continue;
        const Slot *s = &g->slots[t->id];
        if (s->leaf || s->grad.first != moment) continue;
        t->grad = address(g, &s->grad);
        if ((n->op->overwrites & (1u << k)) && occurrences(n, t) == 1)
            n->overwrites |= 1u << k;
        else
            set_to_zero(t->grad, shape_count(t->shape));
    }
}

static void poison(const Graph *g, const Buffer *b, int moment) {
    if (b->first == NEVER || b->last != moment) return;
    float *data = address(g, b);
    for (int64_t i = 0; i < b->floats; i++) data[i] = NAN;
}

static void poison_released(const Graph *g, int moment) {
    for (int i = 0; i < g->tensors; i++) {
        poison(g, &g->slots[i].data, moment);
        poison(g, &g->slots[i].recomputed, moment);
        poison(g, &g->slots[i].grad, moment);
    }
    poison(g, &g->scratch[moment], moment);
}

static void run(Graph *g, int moment) {
    Moment now = g->schedule[moment];
    Node *n = g->nodes[now.node];
    Slot *out = &g->slots[n->out->id];
    n->scratch = address(g, &g->scratch[moment]);
    n->workspaces = g->memory + g->floats;
    n->workspace_floats = (size_t)g->workspace_floats;
    if (g->trace && g->trace->before) g->trace->before(g->trace->user, n, now.pass == BACKWARD);
    if (now.pass == BACKWARD) {
        open_gradients(g, n, moment);
        n->op->backward(n);
    } else {
        n->out->data = address(g, now.pass == FORWARD ? &out->data : &out->recomputed);
        n->op->forward(n);
    }
    if (g->trace && g->trace->after) g->trace->after(g->trace->user, n, now.pass == BACKWARD);
    if (g->options.poison) poison_released(g, moment);
}

/* Each thread that may work has its workspace. */
static void check_bound(const Graph *g) {
    CHECK(g->memory);
    CHECK(omp_get_max_threads() <= g->threads);
}

void graph_forward(Graph *g) {
    check_bound(g);
    for (int m = 0; m < g->forward_moments; m++) run(g, m);
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
    if (result->grad.first == NEVER) return; /* nothing learned leads to the result */
    g->result->grad = address(g, &result->grad);
    int64_t count = shape_count(g->result->shape);
    for (int64_t i = 0; i < count; i++) g->result->grad[i] = seed ? seed[i] : 1.0f;
    for (int m = g->forward_moments; m < g->moments; m++) run(g, m);
}

/* Where a tensor lies when this moment reads it. */
static void set_addresses(const Graph *g, Tensor *t, int moment) {
    const Slot *s = &g->slots[t->id];
    if (s->leaf) return;
    bool recomputed = s->recomputed.first != NEVER && moment >= g->forward_moments;
    t->data = address(g, recomputed ? &s->recomputed : &s->data);
    t->grad = address(g, &s->grad);
}

void graph_run_plan_step(Graph *g, int moment) {
    CHECK(g->memory && moment >= 0 && moment < g->moments);
    const Node *n = g->nodes[g->schedule[moment].node];
    for (int k = 0; k < NODE_INPUTS; k++)
        if (n->in[k]) set_addresses(g, n->in[k], moment);
    set_addresses(g, n->out, moment);
    run(g, moment);
}
