/* SPDX-License-Identifier: MIT */
#include "autograd/summary.h"

NodeSummary *graph_summary(const Graph *g) {
    NodeSummary *lines = mem_alloc((size_t)graph_nodes(g) * sizeof *lines);
    for (int i = 0; i < graph_plan_steps(g); i++) {
        PlanStep step = graph_plan_step(g, i);
        if (step.pass == RECOMPUTE) continue;
        NodeSummary *line = &lines[step.index];
        const Node *n = step.node;
        double gflop = n->op->flops ? n->op->flops(n) * 1e-9 : 0;
        line->node = n;
        line->weights = weight_bytes(n->layer.weight) + weight_bytes(n->layer.bias) + weight_bytes(n->table);
        line->backward |= step.pass == BACKWARD;
        line->alive[step.pass == BACKWARD] = step.alive;
        line->gflop[step.pass == BACKWARD] = step.pass == BACKWARD ? gflop * n->op->backward_flops : gflop;
    }
    return lines;
}

PlanStep graph_peak(const Graph *g) {
    PlanStep peak = graph_plan_step(g, 0);
    for (int i = 1; i < graph_plan_steps(g); i++) {
        PlanStep step = graph_plan_step(g, i);
        if (step.alive > peak.alive) peak = step;
    }
    return peak;
}
