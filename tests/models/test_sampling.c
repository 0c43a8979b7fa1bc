/* SPDX-License-Identifier: MIT */
/* Tests sampling with several pictures: how many of them run through the UNet together, that the pictures do
   not depend on this, that the events come in order, and which numbers of steps are refused. test_picture
   compares the pictures themselves with the reference. */
#include <stdlib.h>
#include <string.h>

#include "diffusion/mask.h"
#include "diffusion/sampling.h"
#include "tensor/gemm.h"
#include "tests/network.h"

#include <omp.h>

enum { PICTURES_MAX = 4, THREADS = 2 };

typedef struct {
    int64_t pictures, steps; /* the events so far */
    int64_t stop_at;         /* the step after which on_step stops the run, or 0 */
    int64_t wrong;           /* events out of order */
    int64_t floats;          /* numbers in a picture */
    float *data[PICTURES_MAX];
} Events;

static bool on_step(void *user, int64_t done, int64_t steps) {
    Events *e = user;
    e->wrong += done != ++e->steps || done > steps;
    return done != e->stop_at;
}

static void on_picture(void *user, int64_t i, const float *picture) {
    Events *e = user;
    e->wrong += i != e->pictures++ || i >= PICTURES_MAX;
    if (i >= PICTURES_MAX) return;
    e->data[i] = mem_alloc((size_t)e->floats * sizeof(float));
    memcpy(e->data[i], picture, (size_t)e->floats * sizeof(float));
}

static void events_free(Events *e) {
    for (int i = 0; i < PICTURES_MAX; i++) free(e->data[i]);
}

static SamplerOptions ddim(int64_t steps) {
    return (SamplerOptions) { .sampler = &DDIM, .steps = steps, .converted = true };
}

static Sampling *new_sampling(const Model *m, SamplingOptions o) {
    return sampling_new(&m->clip, &m->unet, &m->vae, &m->noise_schedule, NULL, 0,
                        tokenizer_max_length(m->tokenizer), o, (PlanOptions) { 0 });
}

static Events generate(const Model *m, SamplingOptions o, int64_t stop_at) {
    Events e = { .stop_at = stop_at, .floats = 3 * o.height * o.width };
    Arena arena = { 0 };
    int64_t tokens = tokenizer_max_length(m->tokenizer);
    int32_t *ids = mem_alloc((size_t)(2 * tokens) * sizeof *ids);
    for (int64_t i = 0; i < 2 * tokens; i++) ids[i] = (int32_t)(7 * i % tokenizer_vocab_size(m->tokenizer));
    Prompt prompt = { .chunks = 1, .ids = ids }, negative = { .chunks = 1, .ids = ids + tokens };
    o.prompt = &prompt;
    o.negative = &negative;
    Sampling *s = new_sampling(m, o);
    CHECK(arena_allocate(&arena, sampling_bytes(s, THREADS)));
    sampling_bind(s, &arena, THREADS);
    SamplingEvents events = { .step = on_step, .picture = on_picture, .user = &e };
    Messages errors = { 0 };
    bool whole = sampling_run(s, &events, &errors);
    CHECK(errors.count == 0);
    bool right = stop_at ? !whole && e.steps == stop_at && e.pictures == 0
                         : whole && e.steps == sampling_steps(s) && e.pictures == o.count;
    test_true("steps and pictures", right && e.wrong == 0,
              "%lld of %lld steps, %lld of %lld pictures, %lld wrong", (long long)e.steps,
              (long long)sampling_steps(s), (long long)e.pictures, (long long)o.count, (long long)e.wrong);
    free(ids);
    sampling_free(s);
    arena_free(&arena);
    return e;
}

/* Checks that as many pictures run through the UNet together as have 2048 latent pixels in all. `batch` is
   the batch size of the UNet's result, which guidance doubles. */
static void test_passes(const Model *m) {
    static const struct {
        int64_t count, height, width; /* of the latents */
        float guidance;
        int64_t batch;
    } cases[] = {
        { 1, 16, 16, 3, 2 }, { 1, 16, 16, 1, 1 }, { 9, 16, 16, 1, 8 }, { 7, 16, 16, 3, 14 },
        { 9, 16, 32, 1, 4 }, { 9, 32, 16, 1, 4 }, { 9, 32, 64, 3, 2 }, { 3, 64, 64, 1, 1 },
    };
    int64_t factor = vae_factor(&m->vae.config);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SamplingOptions o = { .count = cases[i].count, .sampler = ddim(1), .guidance = cases[i].guidance };
        o.height = cases[i].height * factor;
        o.width = cases[i].width * factor;
        Sampling *s = new_sampling(m, o);
        const Graph *g = sampling_graph(s);
        Shape out = graph_get(g, graph_nodes(g) - 1)->out->shape;
        test_true("a pass",
                  out.dim[0] == cases[i].batch && out.dim[2] == cases[i].height &&
                      out.dim[3] == cases[i].width,
                  "%lld x %lld latents, %lld pictures: %lld in a pass", (long long)out.dim[2],
                  (long long)out.dim[3], (long long)o.count, (long long)out.dim[0]);
        sampling_free(s);
    }
}

/* 32 x 32 latents run through the UNet in batches of two, so that the third of three pictures shares its
   batch with the second, which has had the step already. The initial noise of a picture does not depend on
   how many others follow. */
static void test_together(const Model *m) {
    int64_t side = 32 * vae_factor(&m->vae.config);
    SamplingOptions o = { .sampler = ddim(2), .height = side, .width = side, .guidance = 3, .seed = 4 };
    Events runs[5] = { { 0 } };
    for (int count = 1; count <= 4; count++) {
        o.count = count;
        runs[count] = generate(m, o, 0);
    }
    size_t bytes = (size_t)runs[1].floats * sizeof(float);
    Shape shape = shape3(3, side, side);
    test_same("the first of three", runs[3].data[0], runs[2].data[0], bytes);
    test_same("the second of three", runs[3].data[1], runs[2].data[1], bytes);
    test_close("the first by itself", runs[1].data[0], runs[4].data[0], shape, 1e-4, -1);
    test_close("the third of three", runs[3].data[2], runs[4].data[2], shape, 1e-4, -1);
    test_true("different pictures",
              memcmp(runs[4].data[0], runs[4].data[1], bytes) != 0 &&
                  memcmp(runs[4].data[2], runs[4].data[3], bytes) != 0,
              "of the same prompt");
    for (int count = 1; count <= 4; count++) events_free(&runs[count]);
}

/* With a GPU's generator each picture has a seed of its own, also for the noise of the steps, and where it
   begins from a picture (which may be NULL) for the sample of its posterior. */
static void test_gpu_noise(const Model *m, const float *picture) {
    int64_t side = 16 * vae_factor(&m->vae.config);
    SamplingOptions o = { .height = side, .width = side, .guidance = 1, .gpu_noise = true, .count = 2 };
    o.sampler = (SamplerOptions) { .sampler = &DDIM, .steps = 3, .eta = 0.5f, .converted = true };
    o.picture = picture;
    if (picture) o.sampler.strength = 0.7;
    o.seed = 8;
    Events two = generate(m, o, 0);
    o.count = 1;
    o.seed = 9;
    Events one = generate(m, o, 0);
    Shape shape = shape3(3, side, side);
    test_close("the second of two has the next seed", one.data[0], two.data[1], shape, 1e-4, -1);
    o.gpu_noise = false;
    Events other = generate(m, o, 0);
    size_t bytes = (size_t)shape_count(shape) * sizeof(float);
    test_true("a CPU draws other noise", memcmp(one.data[0], other.data[0], bytes) != 0, "of the same seed");
    events_free(&two);
    events_free(&one);
    events_free(&other);
}

static void test_refused(const Model *m) {
    static const int64_t steps[] = { -2, 0, 1001 };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        char *fault = sampler_fault(&m->noise_schedule.config, ddim(steps[i]));
        test_true("steps", fault && strstr(fault, "must be 1 to 1000"), "%s", fault ? fault : "accepted");
        free(fault);
    }
}

/* Grey is rounded, and 128 is the first that counts as white; the latents have every second pixel. */
static void test_mask(void) {
    enum { WIDTH = 6, HEIGHT = 2 };
    unsigned char rgb[HEIGHT * WIDTH][3] = { { 127, 127, 127 }, { 255, 0, 0 },   { 128, 128, 128 },
                                             { 0, 217, 0 },     { 0, 218, 0 },   { 0, 0, 255 },
                                             { 255, 255, 255 }, { 0, 0, 0 },     { 255, 255, 255 },
                                             { 0, 0, 0 },       { 190, 0, 255 }, { 255, 100, 0 } };
    static const unsigned char want[HEIGHT * WIDTH] = { 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 1 };
    unsigned char mask[HEIGHT * WIDTH];
    float latents[3];
    mask_from_image(&(Image) { .width = WIDTH, .height = HEIGHT, .rgb = rgb[0] }, mask);
    test_same("mask", mask, want, sizeof want);
    mask_to_latents(mask, HEIGHT, WIDTH, 2, latents);
    test_same("mask of the latents", latents, ((const float[]) { 0, 1, 1 }), sizeof latents);
    test_true("ones of a mask", mask_ones(mask, HEIGHT * WIDTH) == 5, "%lld",
              (long long)mask_ones(mask, HEIGHT * WIDTH));
    float x[4] = { 1, 2, 3, 4 };
    mask_blend((const float[]) { 1, 0 }, (const float[]) { 5, 6, 7, 8 }, 2, 2, x);
    test_same("blended", x, ((const float[]) { 1, 6, 3, 8 }), sizeof x);
}

typedef struct {
    int64_t previews, stop_at, height, width;
} Previews;

static bool on_preview(void *user, const float *picture, int64_t height, int64_t width) {
    Previews *p = user;
    (void)picture;
    p->height = height;
    p->width = width;
    return ++p->previews != p->stop_at;
}

static void ignore_picture(void *user, int64_t i, const float *picture) {
    (void)user, (void)i, (void)picture;
}

/* Counts the previews of a run of 7 steps, and stops at the second. */
static void test_previews(const Model *m) {
    int64_t f = vae_factor(&m->vae.config);
    for (int64_t stop_at = 0; stop_at < 3; stop_at += 2) {
        Previews p = { .stop_at = stop_at };
        SamplingOptions o = {
            .count = 2, .sampler = ddim(7), .height = 8 * f, .width = 12 * f, .guidance = 1, .preview = 2
        };
        Prompt prompt;
        Messages errors = { 0 };
        CHECK(prompt_read(m->tokenizer, "toy", (PromptOptions) { 0 }, &prompt, &errors, &errors));
        o.prompt = &prompt;
        Sampling *s = new_sampling(m, o);
        Arena arena = { 0 };
        CHECK(arena_allocate(&arena, sampling_bytes(s, THREADS)));
        sampling_bind(s, &arena, THREADS);
        bool whole = sampling_run(
            s, &(SamplingEvents) { .picture = ignore_picture, .preview = on_preview, .user = &p }, &errors);
        test_true(stop_at ? "a preview stops a run" : "previews",
                  whole == !stop_at && p.previews == (stop_at ? 2 : 3) && p.height == 2 * f &&
                      p.width == 3 * f,
                  "%lld of %lld x %lld", (long long)p.previews, (long long)p.width, (long long)p.height);
        sampling_free(s);
        arena_free(&arena);
        prompt_free(&prompt);
        messages_free(&errors);
    }
}

int main(void) {
    Messages errors = { 0 };
    blas_start();
    omp_set_num_threads(THREADS);
    Model m = network_open("golden/models/narrow", &errors);
    test_passes(&m);
    test_mask();
    test_previews(&m);
    test_together(&m);
    int64_t side = 16 * vae_factor(&m.vae.config);
    float *picture = mem_alloc((size_t)(3 * side * side) * sizeof *picture);
    for (int64_t i = 0; i < 3 * side * side; i++) picture[i] = (float)(i % 17) / 8 - 1;
    test_gpu_noise(&m, NULL);
    test_gpu_noise(&m, picture);
    free(picture);
    SamplingOptions o = { .count = 2, .sampler = ddim(3), .height = side, .width = side, .guidance = 1 };
    o.sampler.eta = 0.5f;
    Events e = generate(&m, o, 0);
    events_free(&e);
    for (int64_t stop = 1; stop <= 3; stop += 2) {
        e = generate(&m, o, stop);
        events_free(&e);
    }
    test_refused(&m);
    model_close(&m);
    messages_free(&errors);
    return test_finish();
}
