/* SPDX-License-Identifier: MIT */
/* Times the same tasks as golden/bench.py does in PyTorch. Each task is measured in a process of its own, so
   that it has its own peak of memory. For example

       bench_steps --what train --model FOLDER --resolution 512 --batch 1 --threads 2

   prints a line about threads and kernels that begins with '#', and then a line with the task's name, the
   seconds of one run, the MB of memory that are planned (including the mapped weights), and the peak of the
   process in MB. */
#include "inversion/loop.h"
#include "io/system.h"
#include "tensor/threads.h"
#include "cli/common.h"
#include "exchange/single.h"
#include "diffusion/sampling.h"
#include "diffusion/model.h"
#include "tensor/gemm_bf16.h"

#include <stdio.h>
#include <stdlib.h>

/* The tasks, under the names that golden/bench.py uses as well. "draw" generates pictures. */
enum { TRAIN, GENERATE, GENERATE_QUICKLY, PREDICT, ENCODE, DECODE };
static const char *const TASKS[] = { "train", "draw", "quick", "predict", "encode", "decode", NULL };

typedef struct {
    Given given;
    int64_t threads, resolution, batch;
    char *model;
    int what, precision;
} BenchOptions;

#define AT(field) offsetof(BenchOptions, field)
static const Option OPTIONS[] = {
    { "what", OPTION_CHOICE, AT(what), "train|draw|quick|predict|encode|decode", .choices = TASKS,
      .required = true,
      .help = "a training step; pictures generated with guidance in 30 steps of DDIM, or in 10 of "
              "DPM-Solver++ 2M; a noise prediction; the VAE" },
    { "model", OPTION_STRING, AT(model), "FOLDER", .standard = "weights/critters", .help = "the model" },
    { "resolution", OPTION_INT, AT(resolution), "N", 64, 4096, .standard = "64",
      .help = "height and width in pixels" },
    { "batch", OPTION_INT, AT(batch), "N", 1, 64, .standard = "4", .help = "pictures at once" },
    { "precision", OPTION_CHOICE, AT(precision), "f32|bf16", .choices = PRECISIONS, .standard = "f32",
      .help = "the precision of matrix products" },
    { "threads", OPTION_INT, AT(threads), "N", 0, 1024, .shown = "one a core",
      .help = "threads to compute with" },
};

static const Command BENCH_STEPS = {
    .name = "bench_steps",
    .summary = "Times one use of a model.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .examples = "  bench_steps --what train\n",
};

typedef struct {
    const BenchOptions *o;
    const Model *m;
    int threads;
    int64_t side; /* height and width of the latents */
    PlanOptions plan;
} Bench;

static float *noise(int64_t count) {
    Generator generator;
    float *x = mem_alloc((size_t)count * sizeof *x);
    generator_seed(&generator, 1);
    generator_randn(&generator, x, count);
    return x;
}

/* Runs the task once without measuring it, since this reads the weights, and then repeatedly for at least a
   second. */
static void measure(const Bench *b, void (*run)(void *), void *user, int64_t bytes) {
    run(user);
    double start = system_seconds(), seconds = 0;
    int runs = 0;
    for (; seconds < 1; runs++, seconds = system_seconds() - start) run(user);
    printf("%s %.4f %.0f %.0f\n", TASKS[b->o->what], seconds / runs, (double)bytes / 1e6,
           (double)system_peak_memory() / 1e6);
}

static Arena allocate(int64_t bytes) {
    Arena arena;
    CHECK(arena_allocate(&arena, bytes));
    return arena;
}

static int32_t *prompt(const Model *m, const char *text) {
    int32_t *ids = mem_alloc((size_t)tokenizer_max_length(m->tokenizer) * sizeof *ids);
    tokenizer_encode(m->tokenizer, text, ids);
    return ids;
}

/* Training on random posteriors */

static void train_once(void *loop) { loop_next(loop); }

static void train(const Bench *b) {
    const Model *m = b->m;
    int64_t pictures = b->o->batch, latent = m->unet.config.in_channels * b->side * b->side;
    float *learned = noise(m->clip.config.hidden_size);
    Posteriors posteriors = { pictures, latent, noise(pictures * 4 * latent) };
    int32_t *ids = prompt(m, "a photo of a cat");
    ids[1] = (int32_t)m->clip.config.vocab_size; /* the placeholder token, which alone has a gradient */
    TrainingPrompts prompts = {
        .ids = ids, .rows = 1, .tokens = tokenizer_max_length(m->tokenizer), .forms = 1, .sizes = 1
    };
    LoopData data = { .clip = &m->clip,
                      .unet = &m->unet,
                      .noise_schedule = &m->noise_schedule,
                      .vae = &m->vae.config,
                      .posteriors = &posteriors,
                      .prompts = &prompts,
                      .height = b->side,
                      .width = b->side,
                      .vectors = 1,
                      .learned = learned };
    LoopOptions options = { .steps = 1000000,
                            .batch = b->o->batch,
                            .accumulate = 1,
                            .repeats = 100,
                            .flip = true,
                            .schedule = { .kind = CONSTANT, .lr = 5e-3, .steps = 1000000 },
                            .adamw = ADAMW_DEFAULTS };
    Loop loop = loop_new(options, data, b->plan);
    Arena arena = allocate(loop_bytes(&loop, b->threads));
    loop_bind(&loop, &arena, b->threads);
    measure(b, train_once, &loop, arena.bytes + loop.full.plan.weights);
    arena_free(&arena);
    loop_free(&loop);
    free(posteriors.parameters);
    free(learned);
    free(ids);
}

/* Sampling with guidance */

typedef struct {
    Sampling *sampling;
    Prompt prompt, negative;
} Generation;

static void ignore_picture(void *user, int64_t i, const float *picture) {
    (void)user;
    (void)i;
    (void)picture;
}

static void generate_once(void *user) {
    const Generation *d = user;
    Messages errors = { 0 };
    CHECK(sampling_run(d->sampling, &(SamplingEvents) { .picture = ignore_picture }, &errors));
}

static void generate(const Bench *b) {
    const Model *m = b->m;
    SamplingOptions options = { .count = b->o->batch,
                                .sampler = { .sampler = &DDIM, .steps = 30, .converted = true },
                                .height = b->o->resolution,
                                .width = b->o->resolution,
                                .guidance = 4,
                                .seed = 1 };
    if (b->o->what == GENERATE_QUICKLY) {
        options.sampler.sampler = &DPM_SOLVER;
        options.sampler.steps = 10;
    }
    Generation d = { .prompt = { .chunks = 1, .ids = prompt(m, "a photo of a cat") },
                     .negative = prompt_empty(m->tokenizer) };
    options.prompt = &d.prompt;
    options.negative = &d.negative;
    d.sampling = sampling_new(&m->clip, &m->unet, &m->vae, &m->noise_schedule, NULL, 0,
                              tokenizer_max_length(m->tokenizer), options, b->plan);
    Arena arena = allocate(sampling_bytes(d.sampling, b->threads));
    sampling_bind(d.sampling, &arena, b->threads);
    measure(b, generate_once, &d, arena.bytes + sampling_weights(d.sampling));
    arena_free(&arena);
    sampling_free(d.sampling);
    prompt_free(&d.prompt);
    prompt_free(&d.negative);
}

/* The forward pass of one network */

static void forward_once(void *graph) { graph_forward(graph); }

static void forward(const Bench *b) {
    const Model *m = b->m;
    int64_t batch = b->o->batch, length = tokenizer_max_length(m->tokenizer), pixels = b->o->resolution;
    Shape shape = b->o->what == ENCODE ? shape4(batch, m->vae.config.in_channels, pixels, pixels)
                                       : shape4(batch, m->unet.config.in_channels, b->side, b->side);
    Shape context_shape = shape3(batch, length, m->clip.config.hidden_size);
    float *x = noise(shape_count(shape)), *context = noise(shape_count(context_shape)),
          *t = mem_alloc((size_t)batch * sizeof *t);
    for (int64_t i = 0; i < batch; i++) t[i] = 500;
    Graph *g = graph_new();
    Tensor *in = graph_leaf(g, "x", shape, x, NULL);
    Tensor *out = b->o->what == ENCODE   ? vae_encode(g, &m->vae, in)
                  : b->o->what == DECODE ? vae_decode(g, &m->vae, in)
                                         : unet(g, &m->unet, in, graph_leaf(g, "t", shape1(batch), t, NULL),
                                                graph_leaf(g, "context", context_shape, context, NULL));
    Plan plan = graph_plan(g, out, b->plan);
    Arena arena = allocate(plan_bytes(&plan, b->threads));
    graph_bind(g, &arena, b->threads);
    measure(b, forward_once, g, arena.bytes + plan.weights);
    arena_free(&arena);
    graph_free(g);
    free(x);
    free(t);
    free(context);
}

static void run(const BenchOptions *o, Messages *errors) {
    Messages warnings = { 0 };
    Model m;
    Bench b = { o, &m, threads_start(o->threads), 0, { .precision = (Precision)o->precision } };
    ModelFolder folder;
    if (!exchange_open_model(o->model, NULL, &folder, errors, &warnings) ||
        !model_open(folder, &m, errors, &warnings))
        return;
    int64_t factor = vae_factor(&m.vae.config);
    b.side = o->resolution / factor;
    if (o->resolution % factor) {
        messages_add(errors, "--resolution %lld: must be a multiple of %lld", (long long)o->resolution,
                     (long long)factor);
    } else {
        printf("# %d threads, OpenBLAS %s kernels, %s kernel for bfloat16\n", b.threads, blas_kernel(),
               bf16_kernel_name(bf16_kernel()));
        if (o->what == TRAIN)
            train(&b);
        else if (o->what == GENERATE || o->what == GENERATE_QUICKLY)
            generate(&b);
        else
            forward(&b);
    }
    model_close(&m);
    messages_free(&warnings);
}

int main(int argc, char *argv[]) {
    threads_restart(argv);
    BenchOptions o;
    Messages errors = { 0 };
    OptionsResult result = options_parse(&BENCH_STEPS, argc - 1, argv + 1, &o, &errors);
    if (result == OPTIONS_HELP) options_help(&BENCH_STEPS, true, stdout);
    if (result == OPTIONS_OK) run(&o, &errors);
    if (errors.text) fputs(errors.text, stderr);
    options_free(&BENCH_STEPS, &o);
    bool failed = errors.count > 0;
    messages_free(&errors);
    return failed ? result == OPTIONS_WRONG ? 2 : 1 : 0;
}
