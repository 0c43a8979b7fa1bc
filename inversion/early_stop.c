/* SPDX-License-Identifier: MIT */
#include "inversion/early_stop.h"

#include "inversion/grid_loss.h"

#include <stdlib.h>
#include <string.h>

/* An evaluation takes E forward passes of a micro-batch, and n evaluations take n E of them. A step takes as
   long as 2 forward passes for each of its A micro-batches, since the backward pass computes no gradients of
   weights and takes as long as the forward pass. So n evaluations take at most a tenth of the whole when

       n E <= (2 A steps + n E) / 10    or    n <= 2 A steps / (9 E)

   At least the evaluations at 0, 1/3 and 2/3 of the run and at its end are made. The window is 2 then, so
   that the run can stop after 2/3. A window of a tenth of the evaluations is about 300 steps in a run of
   3000, and the paper has 310. */
EarlyStop early_stop_new(int64_t steps, int64_t batch, int64_t accumulate, double threshold) {
    enum { LEAST_INTERVALS = 3, LEAST_WINDOW = 2, WINDOWS = 10 };
    int64_t passes = ceil_div(DETERMINISTIC_POINTS, batch);
    int64_t intervals = max_i64(2 * accumulate * steps / (9 * passes) - 1, LEAST_INTERVALS);
    int64_t every = min_i64(ceil_div(steps, intervals), (steps - 1) / 2); /* two before the last step */
    EarlyStop s = { .every = max_i64(every, 1), .threshold = threshold };
    s.window = max_i64(early_stop_evaluations(&s, steps) / WINDOWS, LEAST_WINDOW);
    return s;
}

void early_stop_free(EarlyStop *s) {
    free(s->losses);
    free(s->best);
    *s = (EarlyStop) { 0 };
}

int64_t early_stop_evaluations(const EarlyStop *s, int64_t steps) { return ceil_div(steps, s->every); }

void early_stop_add(EarlyStop *s, double loss, const float *learned, int64_t elements) {
    CHECK(s->every > 0);
    bool best = s->count == 0 || loss < s->losses[early_stop_best(s)];
    s->losses = mem_grow(s->losses, (size_t)(s->count + 1) * sizeof *s->losses);
    s->losses[s->count++] = loss;
    if (!best) return;
    s->best = mem_grow(s->best, (size_t)elements * sizeof *s->best);
    s->elements = elements;
    memcpy(s->best, learned, (size_t)elements * sizeof *s->best);
}

static double variance(const double *x, int64_t count) {
    double mean = 0, sum = 0;
    for (int64_t i = 0; i < count; i++) mean += x[i] / (double)count;
    for (int64_t i = 0; i < count; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sum / (double)count;
}

double early_stop_ratio(const double *losses, int64_t count, int64_t window) {
    if (count < window) return 1;
    return variance(losses + count - window, window) / variance(losses, count);
}

bool early_stop_reached(const EarlyStop *s) {
    return s->every > 0 && early_stop_ratio(s->losses, s->count, s->window) < s->threshold;
}

const float *early_stop_kept(const EarlyStop *s, const float *last) {
    return s->best && !s->last_best ? s->best : last;
}

int64_t early_stop_best(const EarlyStop *s) {
    CHECK(s->count > 0);
    int64_t best = 0;
    for (int64_t i = 1; i < s->count; i++)
        if (s->losses[i] < s->losses[best]) best = i;
    return best;
}
