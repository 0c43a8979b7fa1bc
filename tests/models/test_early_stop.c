/* SPDX-License-Identifier: MIT */
/* Early stopping (--stop auto): the rule on the lists of losses of golden/early_stop.py, the loss that it
   watches against PyTorch's, how often it is measured, and the deterministic loss of a run's state. TI names
   the program; run from the repository's root. */
#include "inversion/early_stop.h"
#include "inversion/grid_loss.h"
#include "inversion/state.h"
#include "tests/command.h"
#include "tests/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The quotient after each loss, and the number of losses after which the rule ends the run. */
static void test_rule(const Golden *g, const char *name) {
    double *losses = golden_doubles(g, "%s.losses", name), *want = golden_doubles(g, "%s.ratios", name);
    EarlyStop s = { .every = 1,
                    .window = atoll(golden_meta(g, "%s.window", name)),
                    .threshold = atof(golden_meta(g, "%s.threshold", name)) };
    int64_t count = shape_count(golden_shape(g, "%s.losses", name)), stop = 0;
    double worst = 0;
    float learned = 0;
    for (int64_t i = 0; i < count; i++) {
        early_stop_add(&s, losses[i], &learned, 1);
        double ratio = early_stop_ratio(s.losses, s.count, s.window);
        worst = test_worse(worst, fabs(ratio - want[i]) / want[i]);
        if (early_stop_reached(&s) && !stop) stop = i + 1;
    }
    char *label = mem_format("%s.ratios", name);
    test_below(label, worst, 1e-10);
    free(label);
    label = mem_format("%s.stops", name);
    test_true(label, stop == atoll(golden_meta(g, "%s.stop", name)), "after %lld of %lld losses",
              (long long)stop, (long long)count);
    free(label);
    early_stop_free(&s);
    free(losses);
    free(want);
}

static void test_edges(void) {
    EarlyStop none = { 0 }, same = { .every = 1, .window = 2, .threshold = 1 };
    test_true("no early stopping", !early_stop_reached(&none), "never stops");
    float learned[4][2] = { { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 } };
    for (int i = 0; i < 3; i++) early_stop_add(&same, 0.5, learned[i], 2);
    test_true("equal losses", !early_stop_reached(&same) && early_stop_best(&same) == 0 && same.best[0] == 1,
              "do not stop it, and the first vectors are the best");
    early_stop_add(&same, 0.25, learned[3], 2);
    test_true("a lower loss", early_stop_best(&same) == 3 && same.best[1] == 8, "has the best vectors");
    early_stop_add(&same, 0.375, learned[1], 2);
    test_true("a higher loss", early_stop_best(&same) == 3 && same.best[1] == 8, "changes nothing");
    early_stop_free(&same);
}

/* The evaluations take at most a tenth of the run, if they are not the four that it has at least; the window
   leaves room for a stop; and there is no better interval. */
static void test_intervals(void) {
    static const int64_t batches[] = { 1, 2, 3, 4, 8, 16 };
    int64_t wrong = 0, cases = 0;
    for (int64_t steps = 3; steps <= 5000; steps = steps * 4 / 3)
        for (int64_t accumulate = 1; accumulate <= 8; accumulate *= 2)
            for (size_t b = 0; b < sizeof batches / sizeof *batches; b++, cases++) {
                EarlyStop s = early_stop_new(steps, batches[b], accumulate, 0.15);
                int64_t before = early_stop_evaluations(&s, steps);
                double training = 2 * (double)(accumulate * steps);
                double measuring = (double)((before + 1) * ceil_div(DETERMINISTIC_POINTS, batches[b]));
                bool cheap = measuring <= 0.1 * (training + measuring);
                wrong += (!cheap && before > (steps == 4 ? 4 : 3)) || before <= s.window || s.window < 2 ||
                         s.every < 1;
            }
    test_true("intervals", wrong == 0, "%lld of %lld wrong", (long long)wrong, (long long)cases);
    EarlyStop whole = early_stop_new(3000, 1, 1, 0.15), demo = early_stop_new(600, 4, 1, 0.15),
              tiny = early_stop_new(25, 4, 1, 0.15);
    test_true("3000 steps of one", whole.every == 37 && whole.window == 8, "every %lld steps, window %lld",
              (long long)whole.every, (long long)whole.window);
    test_true("600 steps of four", demo.every == 10 && demo.window == 6, "every %lld steps, window %lld",
              (long long)demo.every, (long long)demo.window);
    test_true("25 steps of four", tiny.every == 9 && tiny.window == 2, "every %lld steps, window %lld",
              (long long)tiny.every, (long long)tiny.window);
}

/* The first loss in a run's state is that of the initial word. */
static void test_loss(const Golden *g) {
    char *folder = folder_new(),
         *more = mem_format("--token none --stop auto --steps 1 --out %s/run", folder);
    int status = run_ti("train", golden_meta(g, "critters/options"), more, folder);
    char *path = mem_format("%s/run/run.state", folder);
    Messages errors = { 0 };
    RunState state;
    bool ok = status == 0 && state_read(path, &state, &errors) && state.stop.count == 2;
    test_true("a run with --stop auto", ok, "exit status %d, %s", status,
              errors.text ? errors.text : "its state");
    if (ok) {
        float loss = (float)state.stop.losses[0];
        golden_close(g, "critters/loss", &loss, shape1(1), 1e-5);
        state_free(&state);
    }
    messages_free(&errors);
    folder_remove(folder);
    free(folder);
    free(more);
    free(path);
}

int main(void) {
    Golden *g = golden_open("golden/early_stop.safetensors");
    static const char *const lists[] = { "smooth",   "noisy", "stepwise", "no trend",
                                         "straight", "short", "too short" };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) test_rule(g, lists[i]);
    test_edges();
    test_intervals();
    test_loss(g);
    golden_free(g);
    return test_finish();
}
