/* SPDX-License-Identifier: MIT */
#include "cli/estimate.h"

#include "inversion/grid_loss.h"
#include "inversion/ranks.h"
#include "tensor/gemm_bf16.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Timing overwrites the graph's inputs. A training step fills in all of them except the learned vectors,
   so these are saved here. */
static GraphTime time_step(const Loop *l, const TrainingStep *step, double seconds, int rounds) {
    size_t bytes = (size_t)l->adamw.count * sizeof(float);
    float *learned = mem_alloc(bytes);
    memcpy(learned, l->data.learned, bytes);
    GraphTime time = graph_time(step->graph, seconds, rounds);
    memcpy(l->data.learned, learned, bytes);
    free(learned);
    return time;
}

double estimate_bf16(const Loop *l, Arena *arena, int threads, double seconds) {
    if (bf16_kernel() == BF16_PORTABLE) return 0;
    PlanOptions plan = { .train = true, .precision = PRECISION_BF16 };
    TrainingStep step = loop_new_step(l, l->full.batch, plan);
    GraphTime time = { 0 };
    plan.budget = arena->bytes - step.plan.workspace * threads;
    if (plan.budget > 0 && plan.budget < step.plan.buffers) training_step_plan(&step, plan);
    if (plan_bytes(&step.plan, threads) <= arena->bytes) {
        graph_bind(step.graph, arena, threads);
        time = time_step(l, &step, seconds, 1);
    }
    training_step_free(&step);
    return (time.forward + time.backward) * (double)loop_passes(l);
}

Estimate estimate_new(const Loop *l, const Encoder *encoder, const Sampling *sampling, Work work,
                      double seconds, int rounds) {
    Estimate e = { .work = work, .passes = loop_passes(l) };
    GraphTime encoding = { 0 };
    e.batch = time_step(l, &l->full, seconds, rounds);
    double forward = e.batch.forward;
    e.batch.forward *= (double)e.passes;
    e.batch.backward *= (double)e.passes;
    if (work.encoded) encoding = graph_time(encoder->graph, seconds, rounds);
    int64_t points = l->data.posteriors->pictures * GRID_TIMESTEPS;
    e.steps = (double)work.batches * (e.batch.forward + e.batch.backward);
    e.encoding = (double)work.encoded * encoding.forward;
    int64_t together = l->options.one_by_one ? ranks_count() : l->options.batch;
    e.grids = (double)(work.grids * ceil_div(points, together)) * forward;
    e.stops = (double)(work.stops * ceil_div(DETERMINISTIC_POINTS, together)) * forward;
    /* Sampling consists of the same operations as the step's forward pass, and runs at the same speed. */
    if (sampling)
        e.pictures = (double)work.sampled * sampling_flops(sampling) * forward / l->full.plan.forward_flops;
    return e;
}

double estimate_all(const Estimate *e) { return e->steps + e->encoding + e->grids + e->stops + e->pictures; }

/* All work is spread evenly over the steps, except what comes before the first. */
int64_t estimate_steps(const Estimate *e, double seconds) {
    double before = e->encoding + (e->work.grids ? e->grids / (double)e->work.grids : 0);
    double share = (seconds - before) / (estimate_all(e) - before);
    return (int64_t)((double)e->work.steps * fmin(fmax(share, 0), 1));
}
