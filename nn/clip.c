/* SPDX-License-Identifier: MIT */
#include "nn/clip.h"

#include <stdlib.h>

ClipLayer clip_layer_load(Store *s, const char *name, const ClipConfig *config) {
    int64_t width = config->hidden_size, inner = config->intermediate_size;
    ClipLayer l = {
        .layer_norm1 = load_norm(s, name, "layer_norm1", width),
        .q_proj = load_linear(s, name, "self_attn.q_proj", width, width, true),
        .k_proj = load_linear(s, name, "self_attn.k_proj", width, width, true),
        .v_proj = load_linear(s, name, "self_attn.v_proj", width, width, true),
        .out_proj = load_linear(s, name, "self_attn.out_proj", width, width, true),
        .layer_norm2 = load_norm(s, name, "layer_norm2", width),
        .fc1 = load_linear(s, name, "mlp.fc1", inner, width, true),
        .fc2 = load_linear(s, name, "mlp.fc2", width, inner, true),
    };
    l.name = name_of("%s", name);
    return l;
}

ClipLayer *clip_layers_load(Store *s, const ClipConfig *config) {
    ClipLayer *layers = mem_alloc((size_t)config->layers * sizeof *layers);
    for (int i = 0; i < config->layers; i++)
        layers[i] = clip_layer_load(s, name_of("encoder.layers.%d", i).text, config);
    return layers;
}

Clip clip_load(const ClipConfig *config, Store *s) {
    int64_t width = config->hidden_size;
    Clip c = { .config = *config, .used = config->layers };
    c.token_embedding = store_get(s, shape2(config->vocab_size, width), "embeddings.token_embedding.weight");
    c.position_embedding =
        store_get(s, shape2(config->positions, width), "embeddings.position_embedding.weight");
    c.layers = clip_layers_load(s, config);
    c.final_layer_norm = load_norm(s, "", "final_layer_norm", width);
    return c;
}

void clip_free(Clip *c) { free(c->layers); }

void clip_skip(Clip *c, int n) {
    CHECK(n >= 1 && n <= c->config.layers);
    c->used = c->config.layers - n + 1;
}

Tensor *clip_layer(Graph *g, const ClipLayer *l, const ClipConfig *config, bool causal, Tensor *x) {
    graph_block(g, "%s", l->name.text);
    float eps = config->layer_norm_eps;
    Tensor *h = layer_norm(g, x, &l->layer_norm1, eps);
    Tensor *q = linear(g, h, &l->q_proj);
    Tensor *k = linear(g, h, &l->k_proj);
    Tensor *v = linear(g, h, &l->v_proj);
    /* In a text the causal mask is the only one. There is no padding mask, so the padding tokens after a
       placeholder attend to it too, and the UNet attends to the padding. */
    x = add(g, x, linear(g, attention(g, q, k, v, config->heads, causal), &l->out_proj));
    h = linear(g, layer_norm(g, x, &l->layer_norm2, eps), &l->fc1);
    h = config->activation == ACT_QUICK_GELU ? quick_gelu(g, h) : gelu(g, h);
    return add(g, x, linear(g, h, &l->fc2));
}

Tensor *clip_text(Graph *g, const Clip *c, const int32_t *ids, int64_t batch, int64_t tokens,
                  Tensor *learned) {
    graph_block(g, "embeddings");
    Tensor *x = embedding(g, c->token_embedding, learned, ids, batch, tokens);
    x = add_position(g, x, c->position_embedding);
    for (int i = 0; i < c->used; i++) x = clip_layer(g, &c->layers[i], &c->config, true, x);
    graph_block(g, "final_layer_norm");
    return layer_norm(g, x, &c->final_layer_norm, c->config.layer_norm_eps);
}
