/* SPDX-License-Identifier: MIT */
#include "nn/blocks.h"

#include <stdlib.h>

Tensor *repeat_batch_like(Graph *g, Tensor *x, const Tensor *other) {
    int64_t batch = x->shape.dim[0], wanted = other->shape.dim[0];
    CHECK_EQ(wanted % batch, 0);
    return wanted == batch ? x : repeat(g, x, wanted / batch);
}

/* ResNet block */

Resnet resnet_load(Store *s, const char *name, int64_t in, int64_t out, int64_t time, int groups, float eps) {
    Resnet r = { .groups = groups, .eps = eps };
    r.name = name_of("%s", name);
    r.norm1 = load_norm(s, name, "norm1", in);
    r.conv1 = load_conv(s, name, "conv1", out, in, 3);
    if (time) r.time_emb_proj = load_linear(s, name, "time_emb_proj", out, time, true);
    r.norm2 = load_norm(s, name, "norm2", out);
    r.conv2 = load_conv(s, name, "conv2", out, out, 3);
    if (in != out) r.conv_shortcut = load_conv(s, name, "conv_shortcut", out, in, 1);
    return r;
}

Tensor *resnet(Graph *g, const Resnet *r, Tensor *x, Tensor *temb) {
    graph_block(g, "%s", r->name.text);
    /* The skip connection is recorded first, so that x itself need not be kept until the end. In the UNet's
       up path x is the wider of the two: a concatenation with about twice the channels of the result. */
    Tensor *skip = r->conv_shortcut.weight ? conv2d(g, x, &r->conv_shortcut, 1, PAD0) : x;
    Tensor *h = conv2d(g, silu(g, group_norm(g, x, &r->norm1, r->groups, r->eps)), &r->conv1, 1, PAD1);
    if (temb) h = add_channel(g, h, repeat_batch_like(g, linear(g, silu(g, temb), &r->time_emb_proj), h));
    h = conv2d(g, silu(g, group_norm(g, h, &r->norm2, r->groups, r->eps)), &r->conv2, 1, PAD1);
    return add(g, skip, h);
}

/* Attention */

static Attention attention_load(Store *s, const char *name, int64_t channels, int64_t context, int heads) {
    return (Attention) {
        .to_q = load_linear(s, name, "to_q", channels, channels, false),
        .to_k = load_linear(s, name, "to_k", channels, context, false),
        .to_v = load_linear(s, name, "to_v", channels, context, false),
        .to_out = load_linear(s, name, "to_out.0", channels, channels, true),
        .heads = heads,
    };
}

/* x [B, N, C], context [n B, S, D] -> [n B, N, C]: softmax(q k^T / sqrt(d)) v, d = C / heads. Where there are
   several contexts, the queries are computed once and then repeated. */
static Tensor *multi_head_attention(Graph *g, const Attention *a, Tensor *x, Tensor *context) {
    Tensor *q = linear(g, x, &a->to_q);
    Tensor *k = linear(g, context, &a->to_k);
    Tensor *v = linear(g, context, &a->to_v);
    return linear(g, attention(g, repeat_batch_like(g, q, k), k, v, a->heads, false), &a->to_out);
}

static Tensor *self_attention(Graph *g, const SelfAttention *a, Tensor *x) {
    return multi_head_attention(g, a, x, x);
}

static Tensor *cross_attention(Graph *g, const CrossAttention *a, Tensor *x, Tensor *context) {
    return multi_head_attention(g, a, x, context);
}

/* Transformer */

static TransformerBlock transformer_block_load(Store *s, const char *name, int64_t channels, int heads,
                                               int64_t context) {
    return (TransformerBlock) {
        .norm1 = load_norm(s, name, "norm1", channels),
        .attn1 = attention_load(s, name_of("%s.attn1", name).text, channels, channels, heads),
        .norm2 = load_norm(s, name, "norm2", channels),
        .attn2 = attention_load(s, name_of("%s.attn2", name).text, channels, context, heads),
        .norm3 = load_norm(s, name, "norm3", channels),
        /* One projection computes both halves of GEGLU: the value, then its gate, each 4 C wide. */
        .ff_in = load_linear(s, name, "ff.net.0.proj", 8 * channels, channels, true),
        .ff_out = load_linear(s, name, "ff.net.2", channels, 4 * channels, true),
    };
}

Transformer transformer_load(Store *s, const char *name, int64_t channels, int heads, int layers,
                             int64_t context, int groups) {
    Transformer t = { .layers = layers, .groups = groups };
    t.name = name_of("%s", name);
    t.norm = load_norm(s, name, "norm", channels);
    t.proj_in = load_linear(s, name, "proj_in", channels, channels, true);
    t.blocks = mem_alloc((size_t)layers * sizeof *t.blocks);
    for (int i = 0; i < layers; i++) {
        t.blocks[i] = transformer_block_load(s, name_of("%s.transformer_blocks.%d", name, i).text, channels,
                                             heads, context);
    }
    t.proj_out = load_linear(s, name, "proj_out", channels, channels, true);
    return t;
}

void transformer_free(Transformer *t) { free(t->blocks); }

static Tensor *transformer_block(Graph *g, const TransformerBlock *b, Tensor *x, Tensor *context) {
    const float eps = 1e-5f;
    Tensor *h = layer_norm(g, x, &b->norm1, eps);
    x = add(g, x, self_attention(g, &b->attn1, h));
    h = cross_attention(g, &b->attn2, layer_norm(g, x, &b->norm2, eps), context);
    x = add(g, repeat_batch_like(g, x, h), h);
    h = geglu(g, linear(g, layer_norm(g, x, &b->norm3, eps), &b->ff_in));
    return add(g, x, linear(g, h, &b->ff_out));
}

/* proj_in and proj_out are 1x1 convolutions in Stable Diffusion 1.x and linear layers in 2.x.
   Both are the same operation when applied to tokens, and only the shape of the weights
   differs (load_linear accepts either). */
Tensor *transformer(Graph *g, const Transformer *t, Tensor *x, Tensor *context) {
    graph_block(g, "%s", t->name.text);
    /* The trap: this group norm has eps 1e-6, while those of the UNet's ResNet blocks have 1e-5. */
    Tensor *h = to_tokens(g, group_norm(g, x, &t->norm, t->groups, 1e-6f));
    h = linear(g, h, &t->proj_in);
    for (int i = 0; i < t->layers; i++) h = transformer_block(g, &t->blocks[i], h, context);
    h = to_image(g, linear(g, h, &t->proj_out), x->shape.dim[2], x->shape.dim[3]);
    return add(g, repeat_batch_like(g, x, h), h);
}

/* The VAE's attention. Checkpoints from before 2023 call its weights query, key, value and proj_attn. */

VaeAttention vae_attention_load(Store *s, const char *name, int64_t channels, int groups) {
    bool old = store_has(s, "%s.query.weight", name);
    VaeAttention a = { .groups = groups, .attention.heads = 1 };
    a.name = name_of("%s", name);
    a.group_norm = load_norm(s, name, "group_norm", channels);
    a.attention.to_q = load_linear(s, name, old ? "query" : "to_q", channels, channels, true);
    a.attention.to_k = load_linear(s, name, old ? "key" : "to_k", channels, channels, true);
    a.attention.to_v = load_linear(s, name, old ? "value" : "to_v", channels, channels, true);
    a.attention.to_out = load_linear(s, name, old ? "proj_attn" : "to_out.0", channels, channels, true);
    return a;
}

Tensor *vae_attention(Graph *g, const VaeAttention *a, Tensor *x) {
    graph_block(g, "%s", a->name.text);
    Tensor *h = to_tokens(g, group_norm(g, x, &a->group_norm, a->groups, 1e-6f));
    h = self_attention(g, &a->attention, h);
    return add(g, x, to_image(g, h, x->shape.dim[2], x->shape.dim[3]));
}

/* Resampling */

Resample resample_load(Store *s, const char *name, int64_t channels) {
    Resample r = { .conv = load_conv(s, name, "conv", channels, channels, 3) };
    r.name = name_of("%s", name);
    return r;
}

Tensor *downsample(Graph *g, const Resample *r, Tensor *x, Padding padding) {
    graph_block(g, "%s", r->name.text);
    return conv2d(g, x, &r->conv, 2, padding);
}

Tensor *upsample(Graph *g, const Resample *r, Tensor *x, int64_t height, int64_t width) {
    graph_block(g, "%s", r->name.text);
    return conv2d(g, upsample_nearest(g, x, height, width), &r->conv, 1, PAD1);
}
