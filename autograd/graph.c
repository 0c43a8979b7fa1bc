/* SPDX-License-Identifier: MIT */
/* Recording a graph: nodes and tensors without data. */
#include "autograd/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Graph *graph_new(void) {
    Graph *g = mem_alloc(sizeof *g);
    graph_block(g, "%s", "");
    return g;
}

void graph_release_plan(Graph *g) {
    for (int i = 0; i < buffer_count(g); i++) {
        free(buffer_at(g, i)->separate);
        buffer_at(g, i)->separate = NULL;
    }
    free(g->needed);
    free(g->recomputed);
    free(g->steps);
    free(g->scratch);
    g->needed = g->recomputed = NULL;
    g->steps = NULL;
    g->scratch = NULL;
    g->step_count = 0;
    g->memory = NULL;
}

void graph_free(Graph *g) {
    if (!g) return;
    graph_release_plan(g);
    for (int i = 0; i < g->count; i++) {
        free((void *)(uintptr_t)g->nodes[i]->name);
        free(g->nodes[i]);
    }
    for (int i = 0; i < g->tensors; i++) {
        free(g->slots[i].tensor);
        free((void *)(uintptr_t)g->slots[i].name);
    }
    for (int i = 0; i < g->block_count; i++) free(g->blocks[i]);
    free(g->nodes);
    free(g->slots);
    free(g->blocks);
    free(g);
}

void graph_block(Graph *g, const char *format, ...) {
    char name[200];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    g->blocks = mem_grow(g->blocks, (size_t)(g->block_count + 1) * sizeof *g->blocks);
    g->blocks[g->block_count++] = mem_string(name);
}

static Tensor *new_tensor(Graph *g, Shape shape, int producer) {
    for (int i = 0; i < shape.rank; i++) CHECK(shape.dim[i] > 0);
    if (g->tensors == g->slot_capacity) {
        g->slot_capacity = g->slot_capacity ? 2 * g->slot_capacity : 64;
        g->slots = mem_grow(g->slots, (size_t)g->slot_capacity * sizeof *g->slots);
    }
    Tensor *t = mem_alloc(sizeof *t);
    t->shape = shape;
    t->id = g->tensors;
    g->slots[g->tensors++] = (Slot) { .tensor = t, .producer = producer };
    return t;
}

Tensor *graph_leaf(Graph *g, const char *name, Shape shape, float *data, float *grad) {
    Tensor *t = new_tensor(g, shape, -1);
    t->data = data;
    t->grad = grad;
    t->needs_grad = grad != NULL;
    g->slots[t->id].leaf = true;
    g->slots[t->id].name = mem_string(name);
    return t;
}

Tensor *graph_node(Graph *g, const Op *op, Node node, Shape out) {
    CHECK(!g->steps); /* the graph must not have a plan yet */
    if (g->count == g->capacity) {
        g->capacity = g->capacity ? 2 * g->capacity : 64;
        g->nodes = mem_grow(g->nodes, (size_t)g->capacity * sizeof *g->nodes);
    }
    Node *n = mem_alloc(sizeof *n);
    *n = node;
    n->op = op;
    n->block = g->block_count - 1;
    const char *block = g->blocks[n->block];
    n->name = mem_format("%s%s%s", block, *block ? "/" : "", op->name);
    n->out = new_tensor(g, out, g->count);
    for (int i = 0; i < NODE_INPUTS; i++)
        if (n->in[i] && n->in[i]->needs_grad && op->backward) n->out->needs_grad = true;
    g->nodes[g->count++] = n;
    return n->out;
}

void graph_keep(Graph *g, Tensor *t) { g->slots[t->id].keep = true; }

int graph_nodes(const Graph *g) { return g->count; }
const Node *graph_get(const Graph *g, int i) {
    CHECK(i >= 0 && i < g->count);
    return g->nodes[i];
}

int graph_plan_steps(const Graph *g) { return g->step_count; }
PlanStep graph_plan_step(const Graph *g, int i) {
    CHECK(i >= 0 && i < g->step_count);
    return g->steps[i];
}

void graph_trace(Graph *g, const Trace *trace) { g->trace = trace; }
void graph_watch(Graph *g, const Watch *watch) { g->watch = watch; }
