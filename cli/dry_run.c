/* SPDX-License-Identifier: MIT */
#include "cli/dry_run.h"

#include "cli/console.h"
#include "cli/plan_report.h"

#include <stdio.h>
#include <stdlib.h>

static void print_estimate(const Estimate *e, const TrainOptions *o, const Plan *plan) {
    double batch = e->batch.forward + e->batch.backward;
    double flops = (double)e->passes * (plan->forward_flops + plan->backward_flops);
    char text[DURATION_TEXT];
    printf("\ntime, estimated by timing %d of a batch's %d operations, each for all of its kind\n",
           e->batch.timed, e->batch.all);
    printf("%10.3f s  a batch of %lld: forward %.3f, backward %.3f; %.1f GFLOP/s\n", batch,
           (long long)o->batch, e->batch.forward, e->batch.backward, flops / batch * 1e-9);
    printf("%12s  %lld steps of %lld pictures\n", duration_text(e->steps, text), (long long)e->work.steps,
           (long long)(o->batch * o->accumulate));
    printf("%12s  encoding %lld pictures\n", duration_text(e->encoding, text), (long long)e->work.encoded);
    if (e->work.grids)
        printf("%12s  the fixed-grid loss, %lld times\n", duration_text(e->grids, text),
               (long long)e->work.grids);
    if (e->work.stops)
        printf("%12s  the loss of --stop auto, %lld times, if it does not end the run before\n",
               duration_text(e->stops, text), (long long)e->work.stops);
    if (e->work.sampled)
        printf("%12s  generating %lld validation pictures\n", duration_text(e->pictures, text),
               (long long)e->work.sampled);
    printf("%12s  in all\n", duration_text(estimate_all(e), text));
    if (o->duration)
        printf("%12lld  of the %lld steps are done after %s (--for)\n",
               (long long)estimate_steps(e, o->seconds), (long long)e->work.steps, o->duration);
}

static json_t *estimate_json(const Estimate *e, const TrainOptions *o) {
    json_t *json = json_pack("{s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "timed", e->batch.timed,
                             "operations", e->batch.all, "batch_forward", e->batch.forward, "batch_backward",
                             e->batch.backward, "steps", e->steps, "encoding", e->encoding, "grid_loss",
                             e->grids, "pictures", e->pictures, "all", estimate_all(e));
    if (e->work.stops) json_object_set_new(json, "stop_loss", json_real(e->stops));
    if (o->duration) {
        json_t *steps = json_integer(estimate_steps(e, o->seconds));
        json_object_set_new(json, "steps_within_for", steps);
    }
    return json;
}

static void print_reading(const MemoryNeed *reading) {
    char text[BYTES_TEXT];
    printf("\n");
    console_line(stdout, "reading the pictures, one at a time, takes %s at most: %s (%d x %d)",
                 bytes_text(memory_total(reading), text), reading->picture, reading->width, reading->height);
}

void dry_run(const Model *m, const TrainOptions *o, const Estimate *e, const Plan *step,
             const MemoryNeed *reading, int threads) {
    PlanRequest plan = { .width = o->sides.width,
                         .height = o->sides.height,
                         .batch = o->one_by_one ? 1 : o->batch,
                         .vectors = o->vectors,
                         .precision = (Precision)o->precision,
                         .reading = memory_total(reading),
                         .json = o->json };
    plan_report(m, &plan, threads, o->json ? estimate_json(e, o) : NULL);
    if (!o->json) print_reading(reading);
    if (!o->json) print_estimate(e, o, step);
}
