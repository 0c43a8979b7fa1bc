/* SPDX-License-Identifier: MIT */
/* Tests the embedded model against PyTorch: token ids, the text encoder's states, the VAE's encoder and
   decoder, noise predictions, and a training step from the learned vectors to the loss and back. Each graph
   runs with every kind of memory plan, and with matrix products in fp32 and in bfloat16. */
#include "inversion/training.h"
#include "tests/network.h"
#include "tests/run_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = 2e-5;

static void test_text(const Model *m, const Golden *golden, Precision precision) {
    network_tokens(m, golden, "text/prompts", "text/ids");
    Graph *g = graph_new();
    int32_t *ids = golden_ints(golden, NULL, "text/ids");
    Shape shape = golden_shape(golden, "text/ids");
    Tensor *learned = golden_constant(g, golden, "text/rows");
    Tensor *states = clip_text(g, &m->clip, ids, shape.dim[0], shape.dim[1], learned);
    float *result = run_graph(g, states, NULL, NULL, 0, precision, "text");
    golden_close_at(golden, precision, "text/states", result, states->shape, TOLERANCE);
    free(result);
    golden_leaf_free(learned);
    graph_free(g);
    free(ids);
}

static void test_encoder(const Model *m, const Golden *golden, Precision precision) {
    Graph *g = graph_new();
    Tensor *picture = golden_constant(g, golden, "vae/picture");
    Tensor *parameters = vae_encode(g, &m->vae, picture);
    float *result = run_graph(g, parameters, NULL, NULL, 0, precision, "vae encoder");
    Shape shape = golden_shape(golden, "vae/mean");
    int64_t count = shape_count(shape) / shape.dim[0];
    float *mean = mem_alloc((size_t)shape_count(shape) * sizeof *mean);
    float *logvar = mem_alloc((size_t)shape_count(shape) * sizeof *logvar);
    for (int64_t b = 0; b < shape.dim[0]; b++) {
        memcpy(mean + b * count, result + 2 * b * count, (size_t)count * sizeof *mean);
        for (int64_t i = 0; i < count; i++)
            logvar[b * count + i] = fminf(fmaxf(result[(2 * b + 1) * count + i], -30), 20);
    }
    golden_close_at(golden, precision, "vae/mean", mean, shape, TOLERANCE);
    golden_close_at(golden, precision, "vae/logvar", logvar, shape, TOLERANCE);
    free(mean);
    free(logvar);
    free(result);
    golden_leaf_free(picture);
    graph_free(g);
}

static void test_decoder(const Model *m, const Golden *golden, Precision precision) {
    Graph *g = graph_new();
    Tensor *latents = golden_constant(g, golden, "vae/mean");
    Tensor *picture = vae_decode(g, &m->vae, latents);
    float *result = run_graph(g, picture, NULL, NULL, 0, precision, "vae decoder");
    golden_close_at(golden, precision, "vae/decoded", result, picture->shape, TOLERANCE);
    free(result);
    golden_leaf_free(latents);
    graph_free(g);
}

static void test_unet(const Model *m, const Golden *golden, Precision precision, int timestep) {
    Graph *g = graph_new();
    char *latents_name = mem_format("unet/t%d/latents", timestep),
         *name = mem_format("unet/t%d/noise_pred", timestep);
    Tensor *latents = golden_constant(g, golden, latents_name),
           *context = golden_constant(g, golden, "unet/context");
    float t[2] = { (float)timestep, (float)timestep };
    Tensor *pred = unet(g, &m->unet, latents, graph_leaf(g, "timesteps", shape1(2), t, NULL), context);
    float *result = run_graph(g, pred, NULL, NULL, 0, precision, latents_name);
    golden_close_at(golden, precision, name, result, pred->shape, TOLERANCE);
    free(result);
    golden_leaf_free(latents);
    golden_leaf_free(context);
    graph_free(g);
    free(latents_name);
    free(name);
}

/* Tests a training step that inversion/training.c records, as `ti train` runs it. */
static void test_step(const Model *m, const Golden *golden, Precision precision, const char *prefix) {
    Shape learned_shape = golden_shape(golden, "%s/rows", prefix),
          ids_shape = golden_shape(golden, "%s/ids", prefix);
    float *learned = golden_floats(golden, "%s/rows", prefix);
    float *grad = mem_alloc((size_t)shape_count(learned_shape) * sizeof *grad);
    TrainingStepShape shape = { ids_shape.dim[0], ids_shape.dim[1], 16, 16, learned_shape.dim[0], false };
    TrainingStep s =
        training_step_new(&m->clip, &m->unet, shape, learned, grad, (PlanOptions) { .train = true });
    int32_t *ids = golden_ints(golden, NULL, "%s/ids", prefix),
            *t = golden_ints(golden, NULL, "%s/timesteps", prefix);
    float *noisy = golden_floats(golden, "%s/noisy", prefix),
          *target = golden_floats(golden, "%s/target", prefix);
    memcpy(s.ids, ids, (size_t)shape_count(ids_shape) * sizeof *ids);
    memcpy(s.noisy, noisy, (size_t)(s.batch * s.latent_count) * sizeof *noisy);
    memcpy(s.target, target, (size_t)(s.batch * s.latent_count) * sizeof *target);
    for (int64_t i = 0; i < s.batch; i++) s.timesteps[i] = (float)t[i];
    Tensor leaf = { .shape = learned_shape, .data = learned, .grad = grad }, *leaves[] = { &leaf };
    float one = 1;
    float *loss = run_graph(s.graph, s.loss, &one, leaves, 1, precision, prefix);
    char *name = mem_format("%s/loss", prefix);
    golden_close_at(golden, precision, name, loss, shape1(1), TOLERANCE);
    free(name);
    name = mem_format("%s/drows", prefix);
    golden_close_at(golden, precision, name, grad, learned_shape, TOLERANCE);
    free(name);
    free(loss);
    free(ids);
    free(t);
    free(noisy);
    free(target);
    free(learned);
    free(grad);
    training_step_free(&s);
}

int main(void) {
    Golden *golden = golden_open("golden/critters.safetensors");
    Messages errors = { 0 };
    Model m = network_open("weights/critters", &errors);
    CHECK(tokenizer_add(m.tokenizer, "<grum>", 3, &errors) >= 0);
    for (int p = 0; p < 2; p++) {
        Precision precision = p ? PRECISION_BF16 : PRECISION_F32;
        test_text(&m, golden, precision);
        test_encoder(&m, golden, precision);
        test_decoder(&m, golden, precision);
        test_unet(&m, golden, precision, 1);
        test_unet(&m, golden, precision, 250);
        test_unet(&m, golden, precision, 999);
        test_step(&m, golden, precision, "step/one");
        test_step(&m, golden, precision, "step/three");
    }
    model_close(&m);
    messages_free(&errors);
    golden_free(golden);
    return test_finish();
}
