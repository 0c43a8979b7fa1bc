/* SPDX-License-Identifier: MIT */
/* Tests the blocks of the three networks with random weights, forward and backward, against diffusers' and
   transformers' classes, with matrix products in fp32 and in bfloat16. Sizes that do not follow from the
   goldens' shapes (heads, groups, eps) are repeated here from golden/modules.py. */
#include "nn/blocks.h"
#include "nn/clip.h"
#include "tests/golden.h"
#include "tests/run_graph.h"

#include <stdlib.h>

static const Golden *golden; /* the one golden file of this test */
static Precision precision;  /* of the matrix products */

/* A leaf whose gradient is compared. */
typedef struct {
    Tensor *leaf;
    char *gradient; /* the name of its gradient in the golden file */
} Input;

typedef struct {
    const char *name;
    Graph *graph;
    Store *store;
    Input inputs[2];
    int count;
} Case;

static Case open_case(const char *name) {
    return (Case) { .name = name, .graph = graph_new(), .store = golden_store(golden, "%s/", name) };
}

/* Adds a leaf with the data of the golden NAME/key. close_case compares its gradient with NAME/dkey. */
static Tensor *input(Case *c, const char *key) {
    Shape shape = golden_shape(golden, "%s/%s", c->name, key);
    float *data = golden_floats(golden, "%s/%s", c->name, key);
    float *grad = mem_alloc((size_t)shape_count(shape) * sizeof *grad);
    Tensor *leaf = graph_leaf(c->graph, key, shape, data, grad);
    c->inputs[c->count++] = (Input) { leaf, mem_format("%s/d%s", c->name, key) };
    return leaf;
}

/* Runs the graph with the golden's gradient of out, compares out and the inputs' gradients, and frees the
   case. */
static void close_case(Case *c, Tensor *out) {
    float *dy = golden_floats(golden, "%s/dy", c->name);
    Tensor *leaves[2];
    for (int i = 0; i < c->count; i++) leaves[i] = c->inputs[i].leaf;
    float *result = run_graph(c->graph, out, dy, leaves, c->count, precision, c->name);
    char *name = mem_format("%s/out", c->name);
    golden_close_at(golden, precision, name, result, out->shape, 1e-5);
    free(name);
    free(result);
    for (int i = 0; i < c->count; i++) {
        golden_close_at(golden, precision, c->inputs[i].gradient, leaves[i]->grad, leaves[i]->shape, 1e-5);
        free(c->inputs[i].gradient);
        free(leaves[i]->data);
        free(leaves[i]->grad);
    }
    graph_free(c->graph);
    free(dy);
}

static void test_resnet(const char *name, int64_t in, int64_t out, int64_t time, int groups, float eps) {
    Case c = open_case(name);
    Resnet r = resnet_load(c.store, "weights", in, out, time, groups, eps);
    Tensor *x = input(&c, "x"), *temb = time ? input(&c, "temb") : NULL;
    close_case(&c, resnet(c.graph, &r, x, temb));
}

static void test_transformer(const char *name, int64_t channels, int heads, int layers, int64_t context,
                             int groups) {
    Case c = open_case(name);
    Transformer t = transformer_load(c.store, "weights", channels, heads, layers, context, groups);
    Tensor *x = input(&c, "x"), *states = input(&c, "context");
    close_case(&c, transformer(c.graph, &t, x, states));
    transformer_free(&t);
}

static void test_downsample(const char *name, Padding padding) {
    Case c = open_case(name);
    Resample r = resample_load(c.store, "weights", 12);
    Tensor *x = input(&c, "x");
    close_case(&c, downsample(c.graph, &r, x, padding));
}

static void test_upsample(const char *name) {
    Case c = open_case(name);
    Resample r = resample_load(c.store, "weights", 12);
    Tensor *x = input(&c, "x");
    Shape out = golden_shape(golden, "%s/out", name);
    close_case(&c, upsample(c.graph, &r, x, out.dim[2], out.dim[3]));
}

static void test_vae_attention(void) {
    Case c = open_case("pixel_attention");
    VaeAttention a = vae_attention_load(c.store, "weights", 32, 8);
    Tensor *x = input(&c, "x");
    close_case(&c, vae_attention(c.graph, &a, x));
}

static void test_clip_layer(const char *name, int64_t width, int heads, int64_t inner,
                            Activation activation) {
    Case c = open_case(name);
    ClipConfig config = {
        .hidden_size = width, .intermediate_size = inner, .heads = heads, .layer_norm_eps = 1e-5f
    };
    config.activation = activation;
    ClipLayer l = clip_layer_load(c.store, "weights", &config);
    Tensor *x = input(&c, "x");
    close_case(&c, clip_layer(c.graph, &l, &config, true, x));
}

/* Ids 30 and 31 stand for the two learned vectors, since the table has 30 rows. */
static void test_embeddings(void) {
    Case c = open_case("clip_embeddings");
    int32_t *ids = golden_ints(golden, NULL, "clip_embeddings/ids");
    const Weight *table = store_get(c.store, shape2(30, 12), "weights.token_embedding.weight");
    const Weight *position = store_get(c.store, shape2(10, 12), "weights.position_embedding.weight");
    Tensor *learned = input(&c, "rows");
    close_case(&c, add_position(c.graph, embedding(c.graph, table, learned, ids, 2, 7), position));
    free(ids);
}

int main(void) {
    Golden *g = golden_open("golden/modules.safetensors");
    golden = g;
    for (int p = 0; p < 2; p++) {
        precision = p ? PRECISION_BF16 : PRECISION_F32;
        test_resnet("resnet.shortcut", 24, 32, 20, 8, 1e-5f);
        test_resnet("resnet.same", 32, 32, 20, 16, 1e-5f);
        test_resnet("resnet.vae_shortcut", 16, 24, 0, 4, 1e-6f);
        test_resnet("resnet.vae_same", 16, 16, 0, 1, 1e-6f);
        test_transformer("transformer.conv", 80, 2, 1, 24, 16);
        test_transformer("transformer.linear", 32, 4, 2, 20, 8);
        test_downsample("downsample.even", PAD1);
        test_downsample("downsample.odd", PAD1);
        test_downsample("downsample.vae", PAD_END);
        test_downsample("downsample.vae_odd", PAD_END);
        test_upsample("upsample.double");
        test_upsample("upsample.odd");
        test_vae_attention();
        test_clip_layer("clip_layer.quick_gelu", 80, 2, 96, ACT_QUICK_GELU);
        test_clip_layer("clip_layer.gelu", 24, 3, 40, ACT_GELU);
    }
    precision = PRECISION_F32;
    test_embeddings();
    golden_free(g);
    return test_finish();
}
