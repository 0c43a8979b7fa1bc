/* SPDX-License-Identifier: MIT */
/* Checks a copy of Stable Diffusion's own weights against what diffusers publishes about them (`make
   check-real`):

       check_real MODEL           Stable Diffusion 1.4; diffusers' tests have nine pixels of two pictures
       check_real MODEL NAME      another model of golden/real.safetensors; tests do this with a small one

   It draws each picture from given noise (golden/real.py says with which settings), prints every pixel's
   value beside the published one, and ends with a verdict. The exit status is 1 when a value differs by
   more than the tolerance. The values are those before rounding to 8 bits. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/latents.h"
#include "diffusion/model.h"
#include "diffusion/sampling.h"
#include "exchange/single.h"
#include "tensor/gemm.h"
#include "tensor/threads.h"
#include "tests/golden.h"

/* diffusers' tests allow 1e-4 to 3e-3, depending on the version, since they run on different processors. */
static const double TOLERANCE = 3e-3;
enum { STEPS = 3, SIDE = 3, PIXELS = SIDE * SIDE };

typedef struct {
    int64_t height, width;
    float pixels[PIXELS]; /* the last 3 x 3 pixels' blue, from 0 to 1 */
} Corner;

static void keep_corner(void *user, int64_t i, const float *picture) {
    Corner *c = user;
    (void)i;
    const float *blue = picture + 2 * c->height * c->width;
    for (int64_t y = 0; y < SIDE; y++)
        for (int64_t x = 0; x < SIDE; x++) {
            float value = blue[(c->height - SIDE + y) * c->width + c->width - SIDE + x];
            c->pixels[y * SIDE + x] = fminf(fmaxf(value / 2 + 0.5f, 0), 1);
        }
}

static bool show_step(void *user, int64_t done, int64_t steps) {
    (void)user;
    fprintf(stderr, "step %lld of %lld\n", (long long)done, (long long)steps);
    return true;
}

static const Sampler *find_sampler(const char *name) {
    for (const Sampler *const *s = SAMPLERS; *s; s++)
        if (strcmp((*s)->name, name) == 0) return *s;
    return NULL;
}

static bool draw(const Model *m, const Sampler *sampler, const Latents *noise, Corner *corner,
                 Messages *errors) {
    int64_t factor = vae_factor(&m->vae.config), tokens = tokenizer_max_length(m->tokenizer);
    SamplingOptions options = {
        .count = 1,
        .sampler = { .sampler = sampler, .steps = STEPS, .converted = true },
        .height = noise->shape.dim[2] * factor,
        .width = noise->shape.dim[3] * factor,
        .guidance = 7.5,
        .latents = noise->data,
    };
    *corner = (Corner) { .height = options.height, .width = options.width };
    char *fault = sampler_fault(&m->noise_schedule.config, options.sampler);
    if (fault) {
        messages_add(errors, "%s: %s", sampler->name, fault);
        free(fault);
        return false;
    }
    int32_t *ids = mem_alloc((size_t)tokens * sizeof *ids);
    tokenizer_encode(m->tokenizer, "a photograph of an astronaut riding a horse", ids);
    Prompt prompt = { .chunks = 1, .ids = ids }, negative = prompt_empty(m->tokenizer);
    options.prompt = &prompt;
    options.negative = &negative;
    Sampling *s = sampling_new(&m->clip, &m->unet, &m->vae, &m->noise_schedule, NULL, 0, tokens, options,
                               (PlanOptions) { 0 });
    Arena arena = { 0 };
    int threads = omp_get_max_threads();
    bool ok = arena_allocate(&arena, sampling_bytes(s, threads)) || messages_add(errors, "out of memory");
    if (ok) {
        sampling_bind(s, &arena, threads);
        ok = sampling_run(s, &(SamplingEvents) { .step = show_step, .picture = keep_corner, .user = corner },
                          errors);
    }
    sampling_free(s);
    arena_free(&arena);
    prompt_free(&negative);
    free(ids);
    return ok;
}

/* Prints the values and returns whether all are close enough. */
static bool compare(const char *sampler, const float *got, const float *want) {
    double largest = 0;
    printf("%-8s published  computed  difference\n", sampler);
    for (int i = 0; i < PIXELS; i++) {
        double difference = (double)got[i] - (double)want[i];
        printf("  %d, %d      %.5f   %.5f    %+.5f\n", i / SIDE, i % SIDE, (double)want[i], (double)got[i],
               difference);
        largest = fmax(largest, fabs(difference));
    }
    bool same = largest <= TOLERANCE;
    printf("%s: %s, the largest difference is %.5f (at most %g is allowed)\n\n", sampler,
           same ? "the same picture" : "ANOTHER picture", largest, TOLERANCE);
    return same;
}

static bool check(const Model *m, const char *name, const Latents *noise, Messages *errors) {
    static const char *const samplers[] = { "ddim", "pndm" };
    Golden *golden = golden_open("golden/real.safetensors");
    bool same = true;
    for (size_t i = 0; i < sizeof samplers / sizeof *samplers && errors->count == 0; i++) {
        const Sampler *sampler = find_sampler(samplers[i]);
        if (!sampler) {
            printf("%s: NOT COMPARED, since there is no such sampler\n\n", samplers[i]);
            same = false;
            continue;
        }
        Corner corner;
        if (!draw(m, sampler, noise, &corner, errors)) continue;
        float *want = golden_floats(golden, "%s/%s", name, samplers[i]);
        same = compare(samplers[i], corner.pixels, want) && same;
        free(want);
    }
    golden_free(golden);
    return same && errors->count == 0;
}

int main(int argc, char *argv[]) {
    if (argc < 2 || !*argv[1]) {
        fprintf(stderr, "check_real: give a model: make check-real MODEL=PATH\n");
        return 2;
    }
    threads_start(0);
    blas_start();
    Messages errors = { 0 }, warnings = { 0 };
    ModelFolder folder;
    Model m = { 0 };
    Latents noise = { 0 };
    bool open = latents_read("golden/real_noise.safetensors", &noise, &errors) &&
                exchange_open_model(argv[1], NULL, &folder, &errors, &warnings) &&
                model_open(folder, &m, &errors, &warnings);
    if (open && m.unet.config.in_channels != noise.shape.dim[1])
        messages_add(&errors, "%s: its latents do not have %lld channels", argv[1],
                     (long long)noise.shape.dim[1]);
    const char *name = argc > 2 ? argv[2] : "sd14";
    bool same = errors.count == 0 && check(&m, name, &noise, &errors);
    if (errors.text) fputs(errors.text, stderr);
    if (errors.count == 0)
        printf("verdict: %s %s what diffusers computes with the weights of %s\n", argv[1],
               same ? "gives" : "DOES NOT give", argc > 2 ? name : "Stable Diffusion 1.4");
    if (open) model_close(&m);
    latents_free(&noise);
    messages_free(&warnings);
    messages_free(&errors);
    return !same;
}
