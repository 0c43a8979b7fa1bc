/* SPDX-License-Identifier: MIT */
/* Tests five whole models against PyTorch, opened from their folders. They are tiny and random, and differ
   from the embedded one and from each other (golden/models.py says how). The tests run the text encoder,
   the UNet at odd sizes, the VAE, and the chain from the learned vectors to the loss, forward and
   backward, with matrix products in fp32 and in bfloat16. */
#include "inversion/training.h"
#include "tests/network.h"
#include "tests/run_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Whole networks are required to agree to 1e-4, but these tiny ones agree even better. */
static const double TOLERANCE = 2e-5;

static char *path_of(const char *prefix, const char *key) { return mem_format("%s/%s", prefix, key); }

static void close_result(const Golden *g, Precision precision, const char *prefix, const char *key,
                         const float *got, Shape shape) {
    char *name = path_of(prefix, key);
    golden_close_at(g, precision, name, got, shape, TOLERANCE);
    free(name);
}

static void test_clip(const Model *m, const Golden *golden, Precision precision) {
    network_tokens(m, golden, "clip/prompts", "clip/ids");
    Graph *g = graph_new();
    int32_t *ids = golden_ints(golden, NULL, "clip/ids");
    Shape shape = golden_shape(golden, "clip/ids");
    Tensor *learned = golden_leaf(g, golden, "rows");
    Tensor *states = clip_text(g, &m->clip, ids, shape.dim[0], shape.dim[1], learned);
    float *dy = golden_floats(golden, "clip/dy");
    float *result = run_graph(g, states, dy, &learned, 1, precision, "clip");
    close_result(golden, precision, "clip", "states", result, states->shape);
    close_result(golden, precision, "clip", "drows", learned->grad, learned->shape);
    free(result);
    free(dy);
    golden_leaf_free(learned);
    graph_free(g);
    free(ids);
}

/* The golden file has the timesteps as ints, and the graph needs floats. */
static Tensor *timesteps_leaf(Graph *g, const Golden *golden, const char *prefix) {
    int64_t count;
    int32_t *t = golden_ints(golden, &count, "%s/timesteps", prefix);
    float *data = mem_alloc((size_t)count * sizeof *data);
    for (int64_t i = 0; i < count; i++) data[i] = (float)t[i];
    free(t);
    return graph_leaf(g, "timesteps", shape1(count), data, NULL);
}

static void test_unet(const Model *m, const Golden *golden, Precision precision, const char *prefix) {
    char *names[] = { path_of(prefix, "latents"), path_of(prefix, "context"), path_of(prefix, "target") };
    Graph *g = graph_new();
    Tensor *leaves[2] = { golden_leaf(g, golden, names[0]), golden_leaf(g, golden, names[1]) };
    Tensor *target = golden_constant(g, golden, names[2]), *t = timesteps_leaf(g, golden, prefix);
    Tensor *pred = unet(g, &m->unet, leaves[0], t, leaves[1]);
    Tensor *loss = mse_loss(g, pred, target);
    /* This runs forward alone, as in sampling, so the loss is a node without use. */
    float *result = run_graph(g, pred, NULL, NULL, 0, precision, names[0]);
    close_result(golden, precision, prefix, "noise_pred", result, pred->shape);
    free(result);
    float one = 1;
    result = run_graph(g, loss, &one, leaves, 2, precision, prefix);
    close_result(golden, precision, prefix, "loss", result, loss->shape);
    close_result(golden, precision, prefix, "dlatents", leaves[0]->grad, leaves[0]->shape);
    close_result(golden, precision, prefix, "dcontext", leaves[1]->grad, leaves[1]->shape);
    free(result);
    for (int i = 0; i < 2; i++) golden_leaf_free(leaves[i]);
    golden_leaf_free(target);
    golden_leaf_free(t);
    graph_free(g);
    for (int i = 0; i < 3; i++) free(names[i]);
}

/* Noise predictions for one picture with several contexts, together or separately. Together, the UNet
   computes what does not depend on the context only once. Separately, the picture is repeated for each
   context. Both must give the same noise predictions and gradients. */
typedef struct {
    Tensor *latents, *context;
    Shape shape;
    float *pred;
} ContextsRun;

static ContextsRun predict(const Model *m, const Golden *golden, const char *prefix, bool separate) {
    char *latents = path_of(prefix, "latents"), *context = path_of(prefix, "context");
    float t[] = { 321, 321, 321, 321 };
    Graph *g = graph_new();
    ContextsRun k = { golden_leaf(g, golden, latents), golden_leaf(g, golden, context), .pred = NULL };
    int64_t contexts = k.context->shape.dim[0];
    CHECK(contexts > 1 && contexts <= 4);
    k.latents->shape.dim[0] = 1;
    Tensor *x = separate ? repeat(g, k.latents, contexts) : k.latents;
    Tensor *pred = unet(g, &m->unet, x, graph_leaf(g, "t", shape1(x->shape.dim[0]), t, NULL), k.context);
    k.shape = pred->shape;
    float *dy = mem_alloc((size_t)shape_count(k.shape) * sizeof *dy);
    for (int64_t i = 0; i < shape_count(k.shape); i++) dy[i] = sinf((float)i);
    k.pred = run_graph(g, pred, dy, (Tensor *[]) { k.latents, k.context }, 2, PRECISION_F32,
                       separate ? "separate" : "together");
    free(dy);
    free(latents);
    free(context);
    k.latents = memcpy(mem_alloc(sizeof(Tensor)), k.latents, sizeof(Tensor)); /* outlives the graph */
    k.context = memcpy(mem_alloc(sizeof(Tensor)), k.context, sizeof(Tensor));
    graph_free(g);
    return k;
}

static void contexts_run_free(ContextsRun *k) {
    golden_leaf_free(k->latents);
    golden_leaf_free(k->context);
    free(k->latents);
    free(k->context);
    free(k->pred);
}

static void test_contexts(const Model *m, const Golden *golden, const char *prefix) {
    ContextsRun together = predict(m, golden, prefix, false), separate = predict(m, golden, prefix, true);
    test_close("contexts: noise_pred", together.pred, separate.pred, separate.shape, TOLERANCE, -1);
    test_close("contexts: dlatents", together.latents->grad, separate.latents->grad, separate.latents->shape,
               TOLERANCE, -1);
    test_close("contexts: dcontext", together.context->grad, separate.context->grad, separate.context->shape,
               TOLERANCE, -1);
    contexts_run_free(&together);
    contexts_run_free(&separate);
}

static void test_vae(const Model *m, const Golden *golden, Precision precision) {
    for (int decode = 0; decode < 2; decode++) {
        Graph *g = graph_new();
        Tensor *x = golden_leaf(g, golden, decode ? "vae/latents" : "vae/picture");
        Tensor *y = decode ? vae_decode(g, &m->vae, x) : vae_encode(g, &m->vae, x);
        float *dy = golden_floats(golden, decode ? "vae/ddecoded" : "vae/dmoments");
        float *result = run_graph(g, y, dy, &x, 1, precision, decode ? "vae decoder" : "vae encoder");
        close_result(golden, precision, "vae", decode ? "decoded" : "moments", result, y->shape);
        close_result(golden, precision, "vae", decode ? "dlatents" : "dpicture", x->grad, x->shape);
        free(result);
        free(dy);
        golden_leaf_free(x);
        graph_free(g);
    }
}

/* Tests the loss and d loss / d learned through both networks, as in training. */
static void test_step(const Model *m, const Golden *golden, Precision precision) {
    Graph *g = graph_new();
    int32_t *ids = golden_ints(golden, NULL, "clip/ids");
    Shape shape = golden_shape(golden, "clip/ids");
    Tensor *learned = golden_leaf(g, golden, "rows"), *noisy = golden_constant(g, golden, "step/noisy");
    Tensor *target = golden_constant(g, golden, "step/target"), *t = timesteps_leaf(g, golden, "step");
    Tensor *context = clip_text(g, &m->clip, ids, shape.dim[0], shape.dim[1], learned);
    Tensor *loss = mse_loss(g, unet(g, &m->unet, noisy, t, context), target);
    float one = 1;
    float *result = run_graph(g, loss, &one, &learned, 1, precision, "step");
    close_result(golden, precision, "step", "loss", result, loss->shape);
    close_result(golden, precision, "step", "drows", learned->grad, learned->shape);
    free(result);
    golden_leaf_free(learned);
    golden_leaf_free(noisy);
    golden_leaf_free(target);
    golden_leaf_free(t);
    graph_free(g);
    free(ids);
}

int main(void) {
    static const char *const names[] = { "narrow", "linear", "wide", "second", "lcm" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *folder = mem_format("golden/models/%s", names[i]), *file = mem_format("%s.safetensors", folder);
        Golden *golden = golden_open(file);
        Messages errors = { 0 };
        Model m = network_open(folder, &errors);
        CHECK(tokenizer_add(m.tokenizer, "<thing>", 2, &errors) >= 0);
        for (int p = 0; p < 2; p++) {
            Precision precision = p ? PRECISION_BF16 : PRECISION_F32;
            test_clip(&m, golden, precision);
            test_unet(&m, golden, precision, "unet/odd");
            test_unet(&m, golden, precision, "unet/even");
            test_vae(&m, golden, precision);
            test_step(&m, golden, precision);
        }
        test_contexts(&m, golden, "unet/odd");
        model_close(&m);
        messages_free(&errors);
        golden_free(golden);
        free(folder);
        free(file);
    }
    return test_finish();
}
