/* SPDX-License-Identifier: MIT */
/* Compares AdamW with torch.optim step by step, and the learning-rate schedules with those of diffusers. The
   goldens are from golden/optim.py. */
#include "inversion/adamw.h"
#include "inversion/lr_schedule.h"
#include "tests/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 120 };

static const char *label(const char *name, const char *what) {
    static char text[TEXT];
    snprintf(text, sizeof text, "%s.%s", name, what);
    return text;
}

static void test_adamw(const Golden *file, const char *name, AdamWOptions options) {
    Shape shape = golden_shape(file, "%s.grad", name); /* [steps, count] */
    int64_t steps = shape.dim[0], count = shape.dim[1];
    size_t bytes = (size_t)(steps * count) * sizeof(float);
    float *p = golden_floats(file, "%s.start", name), *grad = golden_floats(file, "%s.grad", name);
    float *want_m = golden_floats(file, "%s.m", name), *want_v = golden_floats(file, "%s.v", name);
    float *got_p = mem_alloc(bytes), *got_m = mem_alloc(bytes), *got_v = mem_alloc(bytes);
    const char *rates = golden_meta(file, "%s.lr", name);
    CHECK(rates != NULL);
    AdamW state = adamw_new(count);
    for (int64_t k = 0; k < steps; k++) {
        char *rest;
        double lr = strtod(rates, &rest);
        CHECK(rest != rates);
        rates = rest;
        /* in two parts, as vectors are */
        adamw_step(&state, &options, lr, k + 1, 0, count / 3, p, grad + k * count);
        adamw_step(&state, &options, lr, k + 1, count / 3, count - count / 3, p, grad + k * count);
        memcpy(got_p + k * count, p, (size_t)count * sizeof(float));
        memcpy(got_m + k * count, state.m, (size_t)count * sizeof(float));
        memcpy(got_v + k * count, state.v, (size_t)count * sizeof(float));
    }
    test_same(label(name, "m"), got_m, want_m, bytes);
    test_same(label(name, "v"), got_v, want_v, bytes);
    /* The bits may differ, since torch's square root is not always rounded correctly. */
    golden_close(file, label(name, "p"), got_p, shape, 3e-7);
    adamw_free(&state);
    float *const all[] = { p, grad, want_m, want_v, got_p, got_m, got_v };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* The golden is a text that holds lr and then the learning rates of the steps 0, 1, ... They may differ in
   the last bit, since the cosine depends on the libm. */
static void test_schedule(const Golden *file, LrScheduleKind kind, int64_t warmup, int64_t steps,
                          int cycles) {
    char key[TEXT - 10];
    snprintf(key, sizeof key, "schedule.%s.%lld.%lld.%d", LR_SCHEDULE_NAMES[kind], (long long)warmup,
             (long long)steps, cycles);
    const char *text = golden_meta(file, "%s", key);
    CHECK(text != NULL);
    char *rest;
    LrSchedule s = {
        .kind = kind, .lr = strtod(text, &rest), .warmup = warmup, .steps = steps, .cycles = cycles
    };
    double worst = 0;
    int64_t k = 0;
    for (; *rest; k++) {
        text = rest;
        double want = strtod(text, &rest);
        CHECK(rest != text);
        worst = test_worse(worst, fabs(lr_schedule_at(&s, k) - want) / s.lr);
    }
    test_true(label(key, "steps"), k == steps + 5, "%lld", (long long)k);
    test_below(key, worst, 3e-16);
}

int main(int argc, char **argv) {
    Golden *file = golden_open(argc > 1 ? argv[1] : "golden/optim.safetensors");
    AdamWOptions decay = ADAMW_DEFAULTS;
    decay.weight_decay = 0.3;
    test_adamw(file, "adamw", ADAMW_DEFAULTS);
    test_adamw(file, "adamw.decay", decay);
    test_adamw(file, "adamw.other", (AdamWOptions) { .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3 });
    for (LrScheduleKind kind = CONSTANT; kind < LR_SCHEDULE_KINDS; kind++) {
        test_schedule(file, kind, 0, 20, 1);
        test_schedule(file, kind, 7, 40, 3);
        test_schedule(file, kind, 30, 20, 2);
    }
    golden_free(file);
    return test_finish();
}
