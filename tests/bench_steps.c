/* Times what golden/bench.py times in PyTorch: bench_steps THREADS RUNS. A line a measure: name, median seconds, seconds
   of each run. And what the plans said of memory beside the peak of this process. */
#include "cli/loop.h"
#include "cli/machine.h"
#include "nn/drawing.h"
#include "nn/model.h"
#include "tensor/gemm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 4, RUNS_MAX = 100 };

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *name, void (*run)(void *), void *user, int runs, int repeats) {
    double seconds[RUNS_MAX] = { 0 }, sorted[RUNS_MAX] = { 0 };
    run(user);
    for (int i = 0; i < runs; i++) {
        double start = machine_seconds();
        for (int k = 0; k < repeats; k++) run(user);
        sorted[i] = seconds[i] = (machine_seconds() - start) / repeats;
    }
    qsort(sorted, (size_t)runs, sizeof sorted[0], by_value);
    printf("%s %.4f", name, sorted[runs / 2]);
    for (int i = 0; i < runs; i++) printf(" %.4f", seconds[i]);
    printf("\n");
    fflush(stdout);
}

static void train_once(void *loop) { loop_next(loop); }

typedef struct {
    Drawing *drawing;
    const int32_t *ids, *negative;
} Draw;

static void ignore_picture(void *user, int64_t i, const float *picture) {
    (void)user;
    (void)i;
    (void)picture;
}

static void draw_once(void *user) {
    const Draw *d = user;
    drawing_run(d->drawing, d->ids, d->negative, &(DrawingEvents) { .picture = ignore_picture });
}

static int32_t *prompt(const Model *m, const char *text, int64_t copies) {
    int64_t length = tokenizer_max_length(m->tokenizer);
    int32_t *ids = mem_alloc((size_t)(copies * length) * sizeof *ids);
    for (int64_t i = 0; i < copies; i++) tokenizer_encode(m->tokenizer, text, ids + i * length);
    return ids;
}

int main(int argc, char *argv[]) {
    int threads = machine_start(argc > 1 ? atoi(argv[1]) : 0), runs = argc > 2 ? atoi(argv[2]) : 5;
    CHECK(runs >= 1 && runs <= RUNS_MAX);
    Messages errors = { 0 }, warnings = { 0 };
    Model m;
    if (!model_open("weights/critters", &m, &errors, &warnings)) {
        fprintf(stderr, "%s", errors.text);
        return 1;
    }
    float rows[192] = { 0 };
    int64_t latent = 4 * 16 * 16;
    Posteriors posteriors = { 5, latent, mem_alloc((size_t)(5 * 4 * latent) * sizeof(float)) };
    int32_t *ids = prompt(&m, "a photo of a critter", 27);
    ids[4] = 2176; /* one placeholder, as a template has: else no gradient would be wanted */
    LoopData data = { &m.clip,
                      &m.unet,
                      &m.diffusion,
                      &m.vae.config,
                      &posteriors,
                      ids,
                      27,
                      tokenizer_max_length(m.tokenizer),
                      16,
                      16,
                      1,
                      rows };
    LoopOptions options = { .steps = 1000000,
                            .batch = BATCH,
                            .accumulate = 1,
                            .repeats = 4,
                            .flip = true,
                            .schedule = { CONSTANT, 5e-3, 0, 1000000, 1 },
                            .adamw = ADAMW_DEFAULTS };
    Loop loop = loop_new(options, data, (PlanOptions) { 0 });
    DrawingOptions draw = { .count = 4, .steps = 30, .height = 64, .width = 64, .guidance = 4, .seed = 1 };
    Draw d = { drawing_new(&m.clip, &m.unet, &m.vae, &m.diffusion, NULL, 0, data.tokens, draw,
                           (PlanOptions) { 0 }, &errors),
               prompt(&m, "a photo of a critter", 1), prompt(&m, "", 1) };
    int64_t bytes = max_i64(loop_bytes(&loop, threads), drawing_bytes(d.drawing, threads));
    int64_t weights = loop.full.plan.weights + drawing_weights(d.drawing);
    Arena arena;
    CHECK(arena_allocate(&arena, bytes, &errors));
    loop_bind(&loop, &arena, threads);
    drawing_bind(d.drawing, &arena, threads);
    printf("# %d threads, OpenBLAS %s kernels\n", threads, blas_kernel());
    measure("train", train_once, &loop, runs, 10);
    measure("draw", draw_once, &d, runs, 1);
    printf("# memory: plan %.0f MB with mapped weights, peak of the process %.0f MB\n",
           (double)(bytes + weights) / 1e6, (double)machine_peak_memory() / 1e6);
    return 0;
}
