/* SPDX-License-Identifier: MIT */
#include "cli/plan_report.h"

#include "autograd/summary.h"
#include "cli/console.h"
#include "cli/memory.h"
#include "inversion/posterior.h"
#include "diffusion/sampling.h"
#include "inversion/training.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A graph, its plan and its peak of memory. */
typedef struct {
    const char *name;
    const Graph *graph;
    Plan plan;
    PlanStep peak; /* the step at which the buffers that are alive take the most memory */
} Planned;

enum { GRAPHS = 5, TRADES = 4 };
typedef struct {
    Planned graphs[GRAPHS];
    /* The plans of the training step with more and more blocks recomputed, which trade time for memory. */
    Plan trades[TRADES];
    /* Buffers, workspaces and weights of the most expensive part of ti train and of ti generate. */
    int64_t train_bytes, generate_bytes;
} Report;

static Planned planned(const char *name, const Graph *graph, Plan plan) {
    return (Planned) { .name = name, .graph = graph, .plan = plan, .peak = graph_peak(graph) };
}

static const char *pass_name(Pass pass) {
    static const char *const names[] = {
        [FORWARD] = "forward", [RECOMPUTE] = "recomputed", [BACKWARD] = "backward"
    };
    return names[pass];
}

/* Text */

static void print_nodes(const Planned *p) {
    NodeSummary *lines = graph_summary(p->graph);
    char shape[SHAPE_TEXT], size[4][SIZE_TEXT];
    bool train = p->plan.backward_flops > 0;
    printf("\n%s\n%5s  %-20s %9s %9s %9s %9s", p->name, "node", "output", "size", "weights", "GFLOP",
           "alive");
    if (train) printf(" %9s %9s", "GFLOP", "alive");
    printf("  name%s\n", train ? "   (the second GFLOP and alive are those of the backward pass)" : "");
    for (int i = 0; i < graph_nodes(p->graph); i++) {
        const NodeSummary *l = &lines[i];
        if (!l->node) continue;
        int64_t weights = l->weights;
        printf("%5d  %-20s %9s %9s %9.4f %9s", i, shape_text(l->node->out->shape, shape),
               size_text(shape_count(l->node->out->shape) * 4, size[0]),
               weights ? size_text(weights, size[1]) : "", l->gflop[0], size_text(l->alive[0], size[2]));
        if (train && l->backward) printf(" %9.4f %9s", l->gflop[1], size_text(l->alive[1], size[3]));
        if (train && !l->backward) printf(" %9s %9s", "", "");
        printf("  %s\n", l->node->name);
    }
    free(lines);
}

static void print_graph(const Planned *p) {
    char size[4][SIZE_TEXT];
    printf("%-16s %6d %10s %10s %10s %10s %10.3f ", p->name, graph_nodes(p->graph),
           size_text(p->plan.buffers, size[0]), size_text(p->plan.unshared, size[1]),
           size_text(p->plan.workspace, size[2]), size_text(p->plan.weights, size[3]),
           p->plan.forward_flops * 1e-9);
    if (p->plan.backward_flops > 0)
        printf("%10.3f\n", p->plan.backward_flops * 1e-9);
    else
        printf("%10s\n", "");
}

static void print_trades(const Report *r) {
    char size[SIZE_TEXT];
    const Plan *none = &r->trades[0];
    printf("\nrecomputing blocks of the training step in the backward pass\n%10s %10s %10s %10s\n", "blocks",
           "buffers", "GFLOP", "more work");
    for (int i = 0; i < TRADES; i++) {
        const Plan *t = &r->trades[i];
        double all = t->forward_flops + t->backward_flops,
               before = none->forward_flops + none->backward_flops;
        printf("%10d %10s %10.3f %9.1f%%\n", t->recomputed, size_text(t->buffers, size), all * 1e-9,
               100 * (all / before - 1));
    }
}

static void print_report(const Report *r, const PlanRequest *o, int threads) {
    char size[2][SIZE_TEXT];
    printf("pictures of %lld x %lld, batches of %lld, %lld vector%s, %d threads\n\n", (long long)o->width,
           (long long)o->height, (long long)o->batch, (long long)o->vectors, o->vectors == 1 ? "" : "s",
           threads);
    printf("%-16s %6s %10s %10s %10s %10s %10s %10s\n", "graph", "nodes", "buffers", "unshared", "workspace",
           "weights", "GFLOP", "backward");
    for (int i = 0; i < GRAPHS; i++) print_graph(&r->graphs[i]);
    printf("\nbuffers: as planned, where buffers with disjoint lifetimes share memory; unshared: the sum "
           "without "
           "sharing;\n"
           "workspace: of one thread; weights: mapped from their files\n\n");
    for (int i = 0; i < GRAPHS; i++) {
        const Planned *p = &r->graphs[i];
        printf("peak of %-15s %10s alive at %s (%s)\n", p->name, size_text(p->peak.alive, size[0]),
               p->peak.node->name, pass_name(p->peak.pass));
    }
    printf("\nti train takes %s in all, ti generate %s\n", size_text(r->train_bytes, size[0]),
           size_text(r->generate_bytes, size[1]));
    print_trades(r);
    for (int i = 0; i < GRAPHS && o->nodes; i++) print_nodes(&r->graphs[i]);
}

/* JSON */

static json_t *nodes_json(const Planned *p) {
    json_t *list = json_array();
    NodeSummary *lines = graph_summary(p->graph);
    for (int i = 0; i < graph_nodes(p->graph); i++) {
        const NodeSummary *l = &lines[i];
        if (!l->node) continue;
        json_array_append_new(list, json_pack("{s:i, s:s, s:s, s:o, s:I, s:I, s:f, s:I, s:o*, s:o*}", "node",
                                              i, "name", l->node->name, "op", l->node->op->name, "shape",
                                              json_shape(l->node->out->shape), "bytes",
                                              shape_count(l->node->out->shape) * 4, "weights", l->weights,
                                              "gflop", l->gflop[0], "alive", l->alive[0], "backward_gflop",
                                              l->backward ? json_real(l->gflop[1]) : NULL, "backward_alive",
                                              l->backward ? json_integer(l->alive[1]) : NULL));
    }
    free(lines);
    return list;
}

static json_t *graph_json(const Planned *p, bool nodes) {
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:{s:I, s:s, s:i, s:s}, s:o*}", "graph", p->name,
                     "buffers", p->plan.buffers, "unshared", p->plan.unshared, "workspace", p->plan.workspace,
                     "weights", p->plan.weights, "gflop", p->plan.forward_flops * 1e-9, "backward_gflop",
                     p->plan.backward_flops * 1e-9, "peak", "alive", p->peak.alive, "name",
                     p->peak.node->name, "node", p->peak.index, "pass", pass_name(p->peak.pass), "nodes",
                     nodes ? nodes_json(p) : NULL);
}

/* Returns the report as a JSON document, which owns `time` from then on. `time` may be NULL. */
static json_t *report_json(const Report *r, const PlanRequest *o, int threads, json_t *time) {
    json_t *graphs = json_array(), *trades = json_array();
    for (int i = 0; i < GRAPHS; i++) json_array_append_new(graphs, graph_json(&r->graphs[i], o->nodes));
    for (int i = 0; i < TRADES; i++) {
        const Plan *t = &r->trades[i];
        json_array_append_new(trades, json_pack("{s:i, s:I, s:f, s:f}", "blocks", t->recomputed, "buffers",
                                                t->buffers, "gflop", t->forward_flops * 1e-9,
                                                "backward_gflop", t->backward_flops * 1e-9));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:i, s:I, s:I, s:o*, s:o, s:o, s:o*}", "width", o->width, "height",
                     o->height, "batch", o->batch, "vectors", o->vectors, "threads", threads, "train_bytes",
                     r->train_bytes, "generate_bytes", r->generate_bytes, "reading_bytes",
                     o->reading ? json_integer(o->reading) : NULL, "graphs", graphs, "recomputation", trades,
                     "time", time);
}

/* Planning */

static TrainingStep new_step(const Model *m, const PlanRequest *o, float *learned, float *grad,
                             int recompute) {
    int64_t factor = vae_factor(&m->vae.config);
    TrainingStepShape shape = { .batch = o->batch,
                                .tokens = tokenizer_max_length(m->tokenizer),
                                .height = o->height / factor,
                                .width = o->width / factor,
                                .vectors = o->vectors };
    return training_step_new(
        &m->clip, &m->unet, shape, learned, grad,
        (PlanOptions) { .train = true, .precision = o->precision, .recompute = recompute });
}

/* Plans the training step without recomputation, and with the recomputation of a third, two thirds and all of
   the blocks that keep something for the backward pass. Their number is known only from the plan that
   recomputes all of them, so that plan is made first. */
static void plan_trades(Report *r, const Model *m, const PlanRequest *o, float *learned, float *grad) {
    int blocks = 0;
    for (int i = TRADES - 1; i >= 0; i--) {
        int recompute = i == TRADES - 1 ? 1 << 20 : blocks * i / (TRADES - 1);
        TrainingStep s = new_step(m, o, learned, grad, recompute);
        r->trades[i] = s.plan;
        if (i == TRADES - 1) blocks = s.plan.recomputed;
        training_step_free(&s);
    }
}

void plan_report(const Model *m, const PlanRequest *o, int threads, json_t *time) {
    size_t floats = (size_t)(o->vectors * m->clip.config.hidden_size) * sizeof(float);
    float *learned = mem_alloc(floats), *grad = mem_alloc(floats);
    SamplingOptions options = { .count = 1,
                                .sampler = { .sampler = SAMPLERS[0], .steps = 1 },
                                .height = o->height,
                                .width = o->width,
                                .guidance = 7.5f };
    PlanOptions plan_options = { .precision = o->precision };
    Sampling *sampling = sampling_new(&m->clip, &m->unet, &m->vae, &m->noise_schedule, learned, o->vectors,
                                      tokenizer_max_length(m->tokenizer), options, plan_options);
    TrainingStep step = new_step(m, o, learned, grad, 0);
    Encoder encoder = encoder_new(&m->vae, o->height, o->width, plan_options);
    Report r = { .graphs = { planned("training step", step.graph, step.plan),
                             planned("picture encoder", encoder.graph, encoder.plan) } };
    static const char *const names[] = { "prompt encoder", "denoising step", "picture decoder" };
    for (int i = 0; i < 3; i++) {
        Plan plan;
        const Graph *graph = sampling_stage(sampling, (SamplingStage)i, &plan);
        r.graphs[2 + i] = planned(names[i], graph, plan);
    }
    r.train_bytes = max_i64(plan_bytes(&step.plan, threads), plan_bytes(&encoder.plan, threads)) +
                    max_i64(step.plan.weights, encoder.plan.weights);
    r.train_bytes = max_i64(r.train_bytes, o->reading);
    MemoryNeed generating = memory_of_sampling(sampling, threads);
    r.generate_bytes = memory_total(&generating);
    plan_trades(&r, m, o, learned, grad);
    if (o->json)
        console_json(report_json(&r, o, threads, time));
    else
        print_report(&r, o, threads);
    encoder_free(&encoder);
    training_step_free(&step);
    sampling_free(sampling);
    free(learned);
    free(grad);
}
