/* SPDX-License-Identifier: MIT */
/* Tests what enters the denoiser besides the prompt's plain context and the plain guidance, against the
   reference: the text encoder without its last layers, rescaled guidance, and the guidance scale as an
   embedding. test_picture compares whole pictures. */
#define _XOPEN_SOURCE 700
#include "diffusion/guidance.h"
#include "tests/network.h"
#include "tests/run_graph.h"

#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const double TOLERANCE = 2e-5;

static void close_result(const Golden *golden, const float *got, Shape shape, const char *format, ...)
    PRINTF_LIKE(4, 5);
static void close_result(const Golden *golden, const float *got, Shape shape, const char *format, ...) {
    char name[80];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    golden_close(golden, name, got, shape, TOLERANCE);
}

/* The layers that are skipped are not part of the graph, so that they take no time. */
static void test_skip(Model *m, const Golden *golden) {
    static const int counts[] = { 1, 2, 4 };
    network_tokens(m, golden, "skip/prompts", "skip/ids");
    int32_t *ids = golden_ints(golden, NULL, "skip/ids");
    Shape shape = golden_shape(golden, "skip/ids");
    float *dy = golden_floats(golden, "skip/dy");
    int nodes = 0; /* of the graph before */
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        clip_skip(&m->clip, counts[i]);
        Graph *g = graph_new();
        Tensor *learned = golden_leaf(g, golden, "skip/rows");
        Tensor *states = clip_text(g, &m->clip, ids, shape.dim[0], shape.dim[1], learned);
        int fewer = nodes - graph_nodes(g);
        nodes = graph_nodes(g);
        float *result = run_graph(g, states, dy, &learned, 1, PRECISION_F32, "clip skip");
        close_result(golden, result, states->shape, "skip/%d/states", counts[i]);
        close_result(golden, learned->grad, learned->shape, "skip/%d/drows", counts[i]);
        test_true("skipped layers are not computed", i == 0 || fewer > 0, "clip skip %d: %d nodes", counts[i],
                  nodes);
        free(result);
        golden_leaf_free(learned);
        graph_free(g);
    }
    clip_skip(&m->clip, 1);
    free(ids);
    free(dy);
}

static void test_rescale(const Golden *golden) {
    static const float phis[] = { 0.3f, 0.7f, 1.0f };
    float *cond = golden_floats(golden, "rescale/cond"), *uncond = golden_floats(golden, "rescale/uncond");
    Shape shape = golden_shape(golden, "rescale/cond");
    int64_t all = shape_count(shape), each = all / shape.dim[0];
    float *eps = mem_alloc((size_t)all * sizeof *eps), *before = mem_alloc((size_t)all * sizeof *before);
    guide(uncond, cond, 7.5f, all, before);
    for (size_t i = 0; i < sizeof phis / sizeof *phis; i++) {
        memcpy(eps, before, (size_t)all * sizeof *eps);
        for (int64_t k = 0; k < shape.dim[0]; k++)
            guidance_rescale(cond + k * each, phis[i], each, eps + k * each);
        close_result(golden, eps, shape, "rescale/%.1f", (double)phis[i]);
    }
    for (int64_t i = 0; i < each; i++) eps[i] = before[i] = 0.25f;
    guidance_rescale(cond, 0.7f, each, eps);
    test_same("a constant prediction stays", eps, before, (size_t)each * sizeof *eps);
    free(before);
    free(eps);
    free(cond);
    free(uncond);
}

/* The angles are up to 19000, where neighbouring floats differ by 0.002. The reference rounds as C's math
   library does, up to an ulp in exp, sin and cos. */
static void test_embedding(const Golden *golden) {
    static const double scales[] = { 1, 1.5, 7.3, 7.5, 20 };
    static const int64_t dims[] = { 4, 5, 11, 256 };
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        for (size_t k = 0; k < sizeof dims / sizeof *dims; k++) {
            float out[256];
            for (int j = 0; j < 256; j++) out[j] = NAN;
            guidance_embedding(scales[i], dims[k], out);
            char *name = mem_format("embedding/%.1f/%lld", scales[i], (long long)dims[k]);
            golden_close(golden, name, out, shape1(dims[k]), 2.1e-3);
            free(name);
        }
}

static void test_guided(const Model *m, const Golden *golden) {
    static const double scales[] = { 1, 1.5, 7.3, 7.5, 20 };
    int64_t dim = m->unet.config.time_cond_proj_dim;
    int32_t *timesteps = golden_ints(golden, NULL, "guided/timesteps");
    float t[2] = { (float)timesteps[0], (float)timesteps[1] };
    float *w = mem_alloc((size_t)(2 * dim) * sizeof *w), *plain = NULL;
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        for (int k = 0; k < 2; k++) guidance_embedding(scales[i], dim, w + k * dim);
        Graph *g = graph_new();
        Tensor *latents = golden_constant(g, golden, "guided/latents"),
               *context = golden_constant(g, golden, "guided/context");
        Tensor *pred = unet_guided(g, &m->unet, latents, graph_leaf(g, "timesteps", shape1(2), t, NULL),
                                   graph_leaf(g, "guidance", shape2(2, dim), w, NULL), context);
        float *result = run_graph(g, pred, NULL, NULL, 0, PRECISION_F32, "guided");
        close_result(golden, result, pred->shape, "guided/%.1f/noise_pred", scales[i]);
        bool differs = !plain || memcmp(plain, result, sizeof(float) * (size_t)shape_count(pred->shape)) != 0;
        test_true("the scale changes the prediction", differs, "%g", scales[i]);
        free(plain);
        plain = result;
        golden_leaf_free(latents);
        golden_leaf_free(context);
        graph_free(g);
    }
    free(plain);
    free(w);
    free(timesteps);
}

/* Runs build/check_real, which lies beside this program, and checks its exit status and that it prints a
   text. */
static void test_real(const char *program, const char *arguments, int status, const char *text) {
    char *copy = mem_string(program), out[4000];
    char *command = mem_format("'%s/check_real' %s 2>&1", dirname(copy), arguments);
    FILE *f = popen(command, "r");
    CHECK(f);
    out[fread(out, 1, sizeof out - 1, f)] = 0;
    int ended = pclose(f);
    bool ok = WIFEXITED(ended) && WEXITSTATUS(ended) == status && strstr(out, text);
    test_true("check_real", ok, "%s: status %d, %s", arguments, WEXITSTATUS(ended), ok ? text : out);
    free(command);
    free(copy);
}

int main(int argc, char *argv[]) {
    CHECK(argc > 0);
    test_real(argv[0], "golden/models/narrow narrow", 0,
              "gives what diffusers computes with the weights of narrow");
    test_real(argv[0], "golden/models/narrow", 1, "DOES NOT give what diffusers computes with");
    test_real(argv[0], "nowhere", 1, "nowhere: there is no such folder or file");
    test_real(argv[0], "''", 2, "give a model");
    Golden *golden = golden_open("golden/conditions.safetensors");
    Messages errors = { 0 };
    Model m = network_open("golden/models/lcm", &errors);
    CHECK(tokenizer_add(m.tokenizer, "<thing>", 2, &errors) >= 0);
    test_skip(&m, golden);
    test_rescale(golden);
    test_embedding(golden);
    test_guided(&m, golden);
    model_close(&m);
    messages_free(&errors);
    golden_free(golden);
    return test_finish();
}
