/* SPDX-License-Identifier: MIT */
/* Tests whole models at full size against the reference with the same weights, which are generated from the
   tensors' names (tests/made_model.h):

       test_full              the tiny family, in make test
       test_full sd15         Stable Diffusion 1.5 in all types and layouts, in make test-full
       test_full sd15 quick   one type and layout, nothing larger than 256 px, in .ci/run

   The first model is compared with the goldens and all others with the first, since the same values must give
   the same bits in every type and layout. All plans and all numbers of threads must give the same bits
   too. */
#define _POSIX_C_SOURCE 200809L
#include <libgen.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inversion/adamw.h"
#include "diffusion/sampling.h"
#include "inversion/training.h"
#include "tensor/gemm.h"
#include "tensor/gemm_bf16.h"
#include "io/hash.h"
#include "tests/command.h"
#include "tests/made_model.h"
#include "tests/network.h"

/* A bound of the rounding errors of fp32 through a network of this depth. Most of them come from the Winograd
   convolutions. */
static const double TOLERANCE = 2e-5;

/* A result of the first model, with which those of the other models are compared. */
typedef struct {
    char *name;
    Precision precision;
    float *data;
    size_t bytes;
} Kept;

typedef struct {
    const Family *family;
    const Golden *golden;
    bool quick;
    char *label;         /* names the model that is being tested, such as "folder, f16" */
    Precision precision; /* of matrix products */
    Kept *kept;
    int count;
} Run;

/* The tolerance when only the order of sums differs. */
static const double BATCH_TOLERANCE = 1e-5;

enum { PICTURE_HEIGHT = 72, PICTURE_WIDTH = 96 };

static const char *const SIZES[] = { "512x512", "256x256", "72x96", "72x72" };
enum { SIZE_COUNT = sizeof SIZES / sizeof *SIZES };

static bool wanted(const Run *r, int size) {
    return golden_has(r->golden, "unet/%s/noise_pred", SIZES[size]) && !(r->quick && size == 0);
}

/* Compares the first model's result with the golden of that name, if there is one, and keeps it. Compares the
   other models' results at the same precision with the kept one. */
static void compare(Run *r, const char *name, const float *got, Shape shape) {
    size_t bytes = (size_t)shape_count(shape) * sizeof *got;
    for (int i = 0; i < r->count; i++) {
        if (r->kept[i].precision != r->precision || strcmp(r->kept[i].name, name) != 0) continue;
        char *label = mem_format("%s (%s)", name, r->label);
        CHECK(r->kept[i].bytes == bytes);
        test_same(label, got, r->kept[i].data, bytes);
        free(label);
        return;
    }
    if (golden_has(r->golden, "%s", name))
        golden_close_at(r->golden, r->precision, name, got, shape, TOLERANCE);
    r->kept = mem_grow(r->kept, (size_t)(r->count + 1) * sizeof *r->kept);
    r->kept[r->count] = (Kept) { mem_string(name), r->precision, mem_alloc(bytes), bytes };
    memcpy(r->kept[r->count++].data, got, bytes);
}

static void compare_part(Run *r, const char *prefix, const char *name, const float *got, Shape shape) {
    char *full = mem_format("%s/%s", prefix, name);
    compare(r, full, got, shape);
    free(full);
}

/* Plans the graph, runs it forward (and backward with options.train), and returns a copy of out, to be
   freed. */
static float *run_once(Graph *g, Tensor *out, PlanOptions options, int threads) {
    Arena arena;
    omp_set_num_threads(threads);
    Plan plan = graph_plan(g, out, options);
    CHECK(arena_allocate(&arena, plan_bytes(&plan, threads)));
    graph_bind(g, &arena, threads);
    graph_forward(g);
    size_t bytes = (size_t)shape_count(out->shape) * sizeof(float);
    float *result = mem_alloc(bytes);
    memcpy(result, out->data, bytes);
    if (options.train) graph_backward(g, NULL);
    arena_free(&arena);
    return result;
}

enum { THREADS = 2 };

/* Compares a checksum of each part's weights with golden/full.py's. The checksum adds up, over all elements
   of all tensors, the element's bits times (2 index + 1) times the hash of the tensor's name. */
static void test_weights(const Run *r, const Model *m) {
    static const char *const names[PARTS] = { "text_encoder", "unet", "vae" };
    Store *stores[PARTS] = { m->folder.text_encoder, m->folder.unet, m->folder.vae };
    uint64_t sums[PARTS] = { 0 };
    MadeTensors tensors = made_tensors(r->family);
    for (int64_t k = 0; k < tensors.count; k++) {
        const MadeTensor *t = &tensors.at[k];
        const Weight *w =
            store_get(stores[t->part], store_shape(stores[t->part], "%s", t->name.text), "%s", t->name.text);
        CHECK(w && shape_count(w->shape) == shape_count(t->shape));
        uint64_t sum = 0, first = 0;
        int64_t width = shape_count(w->shape) / w->shape.dim[0];
        float *row = mem_alloc((size_t)width * sizeof *row);
        for (int64_t i = 0; i < w->shape.dim[0]; i++, first += (uint64_t)width) {
            const uint32_t *bits = (const uint32_t *)(const void *)weight_panel(w, i, 1, 0, width, row).data;
            for (int64_t j = 0; j < width; j++) sum += bits[j] * (2 * (first + (uint64_t)j) + 1);
        }
        free(row);
        sums[t->part] += sum * hash_bytes(HASH_START, t->name.text, strlen(t->name.text));
    }
    free(tensors.at);
    for (int part = 0; part < PARTS; part++) {
        char *label = mem_format("weights/%s (%s)", names[part], r->label);
        uint64_t want = strtoull(golden_meta(r->golden, "weights:%s", names[part]), NULL, 10);
        test_same(label, &sums[part], &want, sizeof want);
        free(label);
    }
}

static void test_text(Run *r, const Model *m) {
    network_tokens(m, r->golden, "text/prompts", "text/ids");
    Graph *g = graph_new();
    int32_t *ids = golden_ints(r->golden, NULL, "text/ids");
    Shape shape = golden_shape(r->golden, "text/ids");
    Tensor *learned = golden_constant(g, r->golden, "text/rows");
    Tensor *states = clip_text(g, &m->clip, ids, shape.dim[0], shape.dim[1], learned);
    float *result = run_once(g, states, (PlanOptions) { 0 }, THREADS);
    compare(r, "text/states", result, states->shape);
    free(result);
    golden_leaf_free(learned);
    graph_free(g);
    free(ids);
}

/* A training step for the first prompt. set_example fills it with latents, noise and a timestep from the
   golden file. */
typedef struct {
    TrainingStep step;
    float *learned, *grad;
    Shape learned_shape;
} Trained;

static void set_example(const Run *r, Trained *t, const Model *m, const char *prefix) {
    int32_t *timesteps = golden_ints(r->golden, NULL, "%s/timesteps", prefix);
    float *z = golden_floats(r->golden, "%s/z", prefix),
          *noise = golden_floats(r->golden, "%s/noise", prefix);
    training_step_set(&t->step, &m->noise_schedule, 0, z, noise, timesteps[0]);
    free(timesteps);
    free(z);
    free(noise);
}

static Trained trained_new(const Run *r, const Model *m, const char *prefix) {
    Trained t = { .learned = golden_floats(r->golden, "text/rows"),
                  .learned_shape = golden_shape(r->golden, "text/rows") };
    t.grad = mem_alloc((size_t)shape_count(t.learned_shape) * sizeof *t.grad);
    Shape z = golden_shape(r->golden, "%s/z", prefix), ids_shape = golden_shape(r->golden, "text/ids");
    TrainingStepShape shape = { 1, ids_shape.dim[1], z.dim[2], z.dim[3], t.learned_shape.dim[0], false };
    t.step = training_step_new(&m->clip, &m->unet, shape, t.learned, t.grad, (PlanOptions) { .train = true });
    int32_t *ids = golden_ints(r->golden, NULL, "text/ids");
    memcpy(t.step.ids, ids, (size_t)ids_shape.dim[1] * sizeof *ids);
    free(ids);
    set_example(r, &t, m, prefix);
    return t;
}

static void trained_free(Trained *t) {
    training_step_free(&t->step);
    free(t->learned);
    free(t->grad);
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Checks that the gradient is not 0, since a model whose gradient vanished would pass every other test. */
static void test_gradient(const char *prefix, const float *grad, int64_t count) {
    float *sizes = mem_alloc((size_t)count * sizeof *sizes);
    for (int64_t i = 0; i < count; i++) sizes[i] = fabsf(grad[i]);
    qsort(sizes, (size_t)count, sizeof *sizes, by_size);
    test_true(prefix, sizes[count / 2] >= 1e-6f, "the median of |d loss / d learned| is %.1e",
              (double)sizes[count / 2]);
    free(sizes);
}

/* Compares a noise prediction alone, as in sampling, and then the loss with its gradient. */
static void test_unet(Run *r, const Model *m, const char *size) {
    char *prefix = mem_format("unet/%s", size);
    Trained t = trained_new(r, m, prefix);
    Graph *g = graph_new();
    float *states = golden_floats(r->golden, "text/states"), *timestep = t.step.timesteps;
    Shape shape = golden_shape(r->golden, "%s/z", prefix);
    Tensor *context =
        graph_leaf(g, "context", shape3(1, t.step.tokens, m->clip.config.hidden_size), states, NULL);
    Tensor *noisy = graph_leaf(g, "noisy", shape, t.step.noisy, NULL);
    Tensor *pred = unet(g, &m->unet, noisy, graph_leaf(g, "t", shape1(1), timestep, NULL), context);
    PlanOptions options = { .precision = r->precision };
    float *result = run_once(g, pred, options, THREADS);
    compare_part(r, prefix, "noise_pred", result, pred->shape);
    free(result);
    graph_free(g);
    free(states);

    options.train = true;
    result = run_once(t.step.graph, t.step.loss, options, THREADS);
    compare_part(r, prefix, "loss", result, shape1(1));
    compare_part(r, prefix, "drows", t.grad, t.learned_shape);
    test_gradient(prefix, t.grad, shape_count(t.learned_shape));
    free(result);
    trained_free(&t);
    free(prefix);
}

/* Does the same with matrix products in bfloat16. The portable kernel would take minutes at full size. */
static void test_bf16(Run *r, const Model *m) {
    bool large = golden_has(r->golden, "unet/256x256/noise_pred");
    if (large && bf16_kernel() == BF16_PORTABLE) {
        printf("bfloat16 at full size is left out: this processor has no instructions for it\n");
        return;
    }
    char *before = r->label;
    r->precision = PRECISION_BF16;
    r->label = mem_format("%s, products in bf16", before);
    for (int i = 0; i < SIZE_COUNT; i++)
        if (wanted(r, i)) test_unet(r, m, SIZES[i]);
    free(r->label);
    r->label = before;
    r->precision = PRECISION_F32;
}

/* Compares the losses of three steps of AdamW and the learned vectors after each. */
static void test_steps(Run *r, const Model *m) {
    if (!golden_has(r->golden, "steps/losses")) return;
    Trained t = trained_new(r, m, "steps/0");
    int64_t count = shape_count(t.learned_shape);
    AdamW adamw = adamw_new(count);
    AdamWOptions options = ADAMW_DEFAULTS;
    float losses[3], *learned = mem_alloc((size_t)(3 * count) * sizeof *learned);
    for (int k = 0; k < 3; k++) {
        char *prefix = mem_format("steps/%d", k);
        set_example(r, &t, m, prefix);
        free(prefix);
        float *loss = run_once(t.step.graph, t.step.loss, (PlanOptions) { .train = true }, THREADS);
        losses[k] = *loss;
        free(loss);
        adamw_step(&adamw, &options, 0.01, k + 1, 0, count, t.learned, t.grad);
        memcpy(learned + k * count, t.learned, (size_t)count * sizeof *learned);
    }
    compare(r, "steps/losses", losses, shape1(3));
    compare(r, "steps/rows", learned, shape3(3, t.learned_shape.dim[0], t.learned_shape.dim[1]));
    free(learned);
    adamw_free(&adamw);
    trained_free(&t);
}

/* Fills the picture [3, height, width] as golden/full.py does, with values k / 128. */
static void make_picture(float *picture, int64_t height, int64_t width) {
    for (int64_t c = 0; c < 3; c++)
        for (int64_t i = 0; i < height; i++)
            for (int64_t j = 0; j < width; j++)
                *picture++ = (float)((7 * i + 3 * j + i * j / 64 + 85 * c) % 255 - 127) / 128;
}

static void test_encoder(Run *r, const Model *m) {
    Shape shape = golden_shape(r->golden, "vae/mean");
    int64_t factor = vae_factor(&m->vae.config), height = shape.dim[2] * factor,
            width = shape.dim[3] * factor;
    int64_t count = shape_count(shape);
    float *picture = mem_alloc((size_t)(3 * height * width) * sizeof *picture);
    make_picture(picture, height, width);
    Graph *g = graph_new();
    Tensor *parameters =
        vae_encode(g, &m->vae, graph_leaf(g, "picture", shape4(1, 3, height, width), picture, NULL));
    float *result = run_once(g, parameters, (PlanOptions) { 0 }, THREADS);
    for (int64_t i = count; i < 2 * count; i++) result[i] = fminf(fmaxf(result[i], -30), 20);
    compare(r, "vae/mean", result, shape);
    compare(r, "vae/logvar", result + count, shape);
    free(result);
    graph_free(g);
    free(picture);
}

/* Compares a large picture with a golden that is too small to hold all of it. The picture is divided into
   blocks of step x step pixels; the golden has the middle pixel of each block or, when `means` is true, the
   mean of each block. */
static void compare_on_grid(Run *r, const char *name, const float *picture, Shape shape, bool means) {
    Shape grid = golden_shape(r->golden, "%s", name);
    int64_t step = shape.dim[3] / grid.dim[3], width = shape.dim[3];
    float *got = mem_alloc((size_t)shape_count(grid) * sizeof *got), *to = got;
    for (int64_t c = 0; c < 3; c++)
        for (int64_t i = 0; i < grid.dim[2]; i++)
            for (int64_t j = 0; j < grid.dim[3]; j++) {
                const float *block = picture + (c * shape.dim[2] + i * step) * width + j * step;
                double sum = 0;
                for (int64_t k = 0; k < step * step; k++) sum += (double)block[k / step * width + k % step];
                *to++ = means ? (float)(sum / (double)(step * step)) : block[step / 2 * width + step / 2];
            }
    compare(r, name, got, grid);
    free(got);
}

static void test_decoder(Run *r, const Model *m) {
    Graph *g = graph_new();
    Tensor *latents = golden_constant(g, r->golden, "vae/mean");
    Tensor *picture = vae_decode(g, &m->vae, latents);
    float *result = run_once(g, picture, (PlanOptions) { 0 }, THREADS);
    compare(r, "vae/decoded", result, picture->shape);
    for (int means = 0; means < 2; means++)
        if (golden_has(r->golden, "vae/decoded/means"))
            compare_on_grid(r, means ? "vae/decoded/means" : "vae/decoded/grid", result, picture->shape,
                            means);
    free(result);
    golden_leaf_free(latents);
    graph_free(g);
}

/* Compares a batch of two examples with the same examples one after the other, whose gradients are
   accumulated. Only the order of sums differs. */
static void test_batch(Run *r, const Model *m) {
    if (!golden_has(r->golden, "steps/losses")) return;
    Trained one = trained_new(r, m, "steps/0");
    int64_t count = shape_count(one.learned_shape), latents = one.step.latent_count, tokens = one.step.tokens;
    Shape z = golden_shape(r->golden, "steps/0/z");
    float *grad = mem_alloc((size_t)count * sizeof *grad),
          *accumulated = mem_alloc((size_t)count * sizeof *accumulated);
    TrainingStepShape shape = { 2, tokens, z.dim[2], z.dim[3], one.learned_shape.dim[0], false };
    TrainingStep two =
        training_step_new(&m->clip, &m->unet, shape, one.learned, grad, (PlanOptions) { .train = true });
    float losses = 0;
    for (int i = 0; i < 2; i++) {
        set_example(r, &one, m, i ? "steps/1" : "steps/0");
        memcpy(two.ids + i * tokens, one.step.ids, (size_t)tokens * sizeof *two.ids);
        memcpy(two.noisy + i * latents, one.step.noisy, (size_t)latents * sizeof *two.noisy);
        memcpy(two.target + i * latents, one.step.target, (size_t)latents * sizeof *two.target);
        two.timesteps[i] = one.step.timesteps[0];
        float *loss = run_once(one.step.graph, one.step.loss, (PlanOptions) { .train = true }, THREADS);
        losses += *loss / 2;
        for (int64_t k = 0; k < count; k++) accumulated[k] += one.grad[k] / 2;
        free(loss);
    }
    float *loss = run_once(two.graph, two.loss, (PlanOptions) { .train = true }, THREADS);
    test_close("a batch of two against two accumulated: loss", loss, &losses, shape1(1), BATCH_TOLERANCE, -1);
    test_close("a batch of two against two accumulated: drows", grad, accumulated, one.learned_shape,
               BATCH_TOLERANCE, -1);
    free(loss);
    training_step_free(&two);
    trained_free(&one);
    free(grad);
    free(accumulated);
}

typedef struct {
    float *floats;
    size_t bytes;
} Picture;

static void keep_picture(void *user, int64_t i, const float *picture) {
    (void)i;
    const Picture *kept = user;
    memcpy(kept->floats, picture, kept->bytes);
}

/* Generates a picture and returns it, in the values between 0 and 1 of diffusers' pipeline, or with
   options.invert the latents that are found; free() it. */
static float *generate(const Model *m, SamplingOptions options) {
    int64_t tokens = tokenizer_max_length(m->tokenizer);
    int32_t *ids = mem_alloc((size_t)tokens * sizeof *ids);
    tokenizer_encode(m->tokenizer, "a photo of a cat in the snow", ids);
    Prompt prompt = { .chunks = 1, .ids = ids }, negative = prompt_empty(m->tokenizer);
    options.prompt = &prompt;
    options.negative = &negative;
    Sampling *s = sampling_new(&m->clip, &m->unet, &m->vae, &m->noise_schedule, NULL, 0, tokens, options,
                               (PlanOptions) { 0 });
    Arena arena;
    CHECK(arena_allocate(&arena, sampling_bytes(s, THREADS)));
    sampling_bind(s, &arena, THREADS);
    int64_t count = 3 * options.height * options.width;
    Picture picture = { .bytes = (size_t)count * sizeof(float) };
    picture.floats = mem_alloc(picture.bytes);
    Messages errors = { 0 };
    CHECK(sampling_run(s, &(SamplingEvents) { .picture = keep_picture, .user = &picture }, &errors));
    int64_t factor = vae_factor(&m->vae.config);
    int64_t latents = count / 3 / (factor * factor) * m->vae.config.latent_channels;
    if (options.invert)
        memcpy(picture.floats, sampling_latents(s), (size_t)latents * sizeof(float));
    else
        for (int64_t i = 0; i < count; i++)
            picture.floats[i] = fminf(fmaxf(picture.floats[i] / 2 + 0.5f, 0), 1);
    sampling_free(s);
    arena_free(&arena);
    free(ids);
    prompt_free(&negative);
    return picture.floats;
}

/* Compares generated pictures with those of diffusers' pipeline, one of which is not square. */
static void test_sampling(Run *r, const Model *m) {
    bool large = golden_has(r->golden, "draw_solver/picture/grid");
    SamplingOptions options = { .count = 1, .guidance = 7.5f, .height = large ? 256 : PICTURE_HEIGHT };
    options.width = large ? 256 : PICTURE_WIDTH;
    options.seed = strtoull(golden_meta(r->golden, "seed"), NULL, 10);
    Shape shape = shape4(1, 3, options.height, options.width);
    if (golden_has(r->golden, "draw/picture")) {
        options.sampler = (SamplerOptions) { .sampler = &DDIM, .steps = 4, .converted = true };
        float *picture = generate(m, options);
        compare(r, "draw/picture", picture, shape);
        free(picture);
    }
    if (!large && !golden_has(r->golden, "draw_solver/picture")) return;
    options.sampler =
        (SamplerOptions) { .sampler = &DPM_SOLVER, .steps = 4, .karras = KARRAS_ON, .converted = true };
    float *picture = generate(m, options);
    if (!large) compare(r, "draw_solver/picture", picture, shape);
    for (int means = 0; means < 2 && large; means++)
        compare_on_grid(r, means ? "draw_solver/picture/means" : "draw_solver/picture/grid", picture, shape,
                        means);
    free(picture);
}

/* Compares what is made from a picture with what diffusers makes of it: pictures at a strength of one half,
   without a mask and with one that has the right half repainted, and the noise to which DDIM's inversion
   leads. */
static void test_from_picture(Run *r, const Model *m) {
    if (!golden_has(r->golden, "draw_invert/latents")) return;
    Shape latents = golden_shape(r->golden, "draw_invert/latents");
    int64_t factor = vae_factor(&m->vae.config), h = latents.dim[2], w = latents.dim[3];
    Shape shape = shape4(1, 3, h * factor, w * factor);
    float *picture = mem_alloc((size_t)shape_count(shape) * sizeof *picture),
          *mask = mem_alloc((size_t)(h * w) * sizeof *mask);
    make_picture(picture, shape.dim[2], shape.dim[3]);
    for (int64_t i = 0; i < h * w; i++) mask[i] = i % w >= w / 2 ? 1 : 0;
    SamplingOptions options = { .count = 1, .guidance = 7.5f, .picture = picture };
    options.height = shape.dim[2];
    options.width = shape.dim[3];
    options.seed = strtoull(golden_meta(r->golden, "seed"), NULL, 10);
    for (int masked = 0; masked < 2; masked++) {
        options.sampler = (SamplerOptions) {
            .sampler = masked ? &DDIM : &DPM_SOLVER, .steps = 4, .converted = true, .strength = 0.5
        };
        options.mask = masked ? mask : NULL;
        float *drawn = generate(m, options);
        for (int means = 0; means < 2; means++) {
            char *name = mem_format("draw_%s/picture/%s", masked ? "mask" : "init", means ? "means" : "grid");
            compare_on_grid(r, name, drawn, shape, means);
            free(name);
        }
        free(drawn);
    }
    options.sampler = (SamplerOptions) { .sampler = &DDIM_INVERSE, .steps = 3, .converted = true };
    options.mask = NULL;
    options.guidance = 1;
    options.invert = true;
    float *noise = generate(m, options);
    compare(r, "draw_invert/latents", noise, latents);
    free(noise);
    free(mask);
    free(picture);
}

/* Compares loss and gradient at the smallest size with those of test_unet, under other memory plans and with
   other numbers of threads. */
static void test_plans(Run *r, const Model *m) {
    static const struct {
        PlanOptions options;
        int threads;
        const char *name;
    } PLANS[] = {
        { { .train = true }, 1, "1 thread" },
        { { .train = true, .recompute = 8 }, 7, "7 threads, 8 blocks recomputed" },
        { { .train = true, .recompute = 1000 }, 2, "all blocks recomputed" },
        { { .train = true, .keep_all = true }, 2, "nothing reused" },
    };
    int size = SIZE_COUNT - 1;
    while (!wanted(r, size)) size--;
    char *prefix = mem_format("unet/%s", SIZES[size]), *before = r->label;
    for (size_t i = 0; i < sizeof PLANS / sizeof *PLANS; i++) {
        Trained t = trained_new(r, m, prefix);
        r->label = mem_format("%s", PLANS[i].name);
        float *loss = run_once(t.step.graph, t.step.loss, PLANS[i].options, PLANS[i].threads);
        compare_part(r, prefix, "loss", loss, shape1(1));
        compare_part(r, prefix, "drows", t.grad, t.learned_shape);
        free(loss);
        free(r->label);
        trained_free(&t);
    }
    r->label = before;
    free(prefix);
}

static void test_model(Run *r, const char *path, bool first) {
    Messages errors = { 0 };
    Model m = network_open(path, &errors);
    CHECK(tokenizer_add(m.tokenizer, "<thing>", 2, &errors) >= 0);
    test_weights(r, &m);
    test_text(r, &m);
    for (int i = 0; i < SIZE_COUNT; i++)
        if (wanted(r, i)) test_unet(r, &m, SIZES[i]);
    test_bf16(r, &m);
    test_steps(r, &m);
    if (!r->quick) {
        test_encoder(r, &m);
        test_decoder(r, &m);
    }
    test_sampling(r, &m);
    if (first && !r->quick) test_from_picture(r, &m);
    if (first) test_plans(r, &m);
    if (first && !r->quick) test_batch(r, &m);
    model_close(&m);
    messages_free(&errors);
}

/* Makes a model in the folder with build/make_model, which lies beside this program, and returns its path. */
static char *make_model(const char *program, const char *family, const char *dtype, const char *layout,
                        const char *folder) {
    char *copy = mem_string(program), *path = mem_format("%s/model.safetensors", folder);
    char *command = mem_format("'%s/make_model' --family %s --dtype %s --layout %s '%s'", dirname(copy),
                               family, dtype, layout, path);
    CHECK(system(command) == 0);
    free(command);
    free(copy);
    return path;
}

int main(int argc, char *argv[]) {
    blas_start();
    static const char *const layouts[] = { "folder", "single" }, *const dtypes[] = { "f16", "f32", "bf16" };
    const char *name = argc > 1 ? argv[1] : "tiny";
    Run r = { .family = family_find(name), .quick = argc > 2 && strcmp(argv[2], "quick") == 0 };
    CHECK(r.family != NULL);
    char *path = mem_format("golden/full_%s.safetensors", name);
    Golden *golden = golden_open(path);
    r.golden = golden;
    bool first = true;
    for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++)
        for (size_t d = 0; d < 3; d++) {
            if (r.quick && !first) break;
            char *folder = folder_new(), *model = make_model(argv[0], name, dtypes[d], layouts[l], folder);
            r.label = mem_format("%s, %s", layouts[l], dtypes[d]);
            test_model(&r, model, first);
            first = false;
            folder_remove(folder);
            free(r.label);
            free(model);
            free(folder);
        }
    for (int i = 0; i < r.count; i++) {
        free(r.kept[i].name);
        free(r.kept[i].data);
    }
    free(r.kept);
    free(path);
    golden_free(golden);
    return test_finish();
}
