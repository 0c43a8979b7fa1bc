/* SPDX-License-Identifier: MIT */
#include "nn/unet.h"

#include <stdlib.h>

/* In the down path conv_in, every layer and every downsampling leave a skip connection. The up path
   consumes them in reverse order. */
enum { SKIPS_MAX = LEVELS_MAX * 33 };

/* in [layers] holds the input channels of each ResNet block. */
static UnetLevel level_load(Store *s, const char *name, int layers, const int64_t *in, int64_t out,
                            int64_t time, const UnetConfig *c, int level, bool attends) {
    UnetLevel l = { .layers = layers, .attends = attends };
    l.resnets = mem_alloc((size_t)layers * sizeof *l.resnets);
    if (attends) l.transformers = mem_alloc((size_t)layers * sizeof *l.transformers);
    for (int j = 0; j < layers; j++) {
        l.resnets[j] =
            resnet_load(s, name_of("%s.resnets.%d", name, j).text, in[j], out, time, c->groups, c->norm_eps);
        if (!attends) continue;
        l.transformers[j] =
            transformer_load(s, name_of("%s.attentions.%d", name, j).text, out, c->heads[level],
                             c->transformer_layers[level], c->cross_attention_dim, c->groups);
    }
    return l;
}

static void level_free(UnetLevel *l) {
    for (int j = 0; j < l->layers && l->attends; j++) transformer_free(&l->transformers[j]);
    free(l->resnets);
    free(l->transformers);
}

/* Loads the down path. Fills skips[] with the channels of the skip connections that it
   leaves, and returns their number. */
static int load_down(Unet *u, Store *s, int64_t time, int64_t skips[SKIPS_MAX]) {
    const UnetConfig *c = &u->config;
    int64_t channels = c->channels[0];
    int count = 0;
    skips[count++] = channels;
    for (int i = 0; i < c->levels; i++) {
        int layers = c->layers_per_block[i];
        CHECK(layers >= 1 && layers <= 32);
        int64_t in[33];
        for (int j = 0; j < layers; j++) {
            in[j] = channels;
            skips[count++] = channels = c->channels[i];
        }
        u->down[i] = level_load(s, name_of("down_blocks.%d", i).text, layers, in, channels, time, c, i,
                                c->down_attends[i]);
        if (i + 1 == c->levels) break; /* the coarsest level keeps its size */
        u->down[i].resample = resample_load(s, name_of("down_blocks.%d.downsamplers.0", i).text, channels);
        u->down[i].resamples = true;
        skips[count++] = channels;
    }
    return count;
}

/* Loads the up path. Its ResNet blocks read the previous block's output,
   concatenated with a skip connection. */
static void load_up(Unet *u, Store *s, int64_t time, const int64_t skips[SKIPS_MAX], int count) {
    const UnetConfig *c = &u->config;
    int64_t channels = c->channels[c->levels - 1];
    for (int i = 0; i < c->levels; i++) {
        int level = c->levels - 1 - i, layers = c->layers_per_block[level] + 1;
        int64_t in[33];
        for (int j = 0; j < layers; j++) {
            in[j] = channels + skips[--count];
            channels = c->channels[level];
        }
        u->up[i] = level_load(s, name_of("up_blocks.%d", i).text, layers, in, channels, time, c, level,
                              c->up_attends[i]);
        if (level == 0) break;
        u->up[i].resample = resample_load(s, name_of("up_blocks.%d.upsamplers.0", i).text, channels);
        u->up[i].resamples = true;
    }
    CHECK_EQ(count, 0);
}

Unet unet_load(const UnetConfig *config, Store *s) {
    Unet u = { .config = *config };
    const UnetConfig *c = &u.config;
    int64_t first = c->channels[0], last = c->channels[c->levels - 1], time = 4 * first;
    int64_t skips[SKIPS_MAX];
    u.linear_1 = load_linear(s, "time_embedding", "linear_1", time, first, true);
    u.linear_2 = load_linear(s, "time_embedding", "linear_2", time, time, true);
    if (c->time_cond_proj_dim)
        u.cond_proj = load_linear(s, "time_embedding", "cond_proj", first, c->time_cond_proj_dim, false);
    u.conv_in = load_conv(s, "", "conv_in", first, c->in_channels, 3);
    int count = load_down(&u, s, time, skips);
    u.mid_resnets[0] = resnet_load(s, "mid_block.resnets.0", last, last, time, c->groups, c->norm_eps);
    if (c->mid_attends)
        u.mid_transformer =
            transformer_load(s, "mid_block.attentions.0", last, c->heads[c->levels - 1],
                             c->transformer_layers[c->levels - 1], c->cross_attention_dim, c->groups);
    u.mid_resnets[1] = resnet_load(s, "mid_block.resnets.1", last, last, time, c->groups, c->norm_eps);
    load_up(&u, s, time, skips, count);
    u.conv_norm_out = load_norm(s, "", "conv_norm_out", first);
    u.conv_out = load_conv(s, "", "conv_out", c->out_channels, first, 3);
    return u;
}

void unet_free(Unet *u) {
    for (int i = 0; i < u->config.levels; i++) {
        level_free(&u->down[i]);
        level_free(&u->up[i]);
    }
    transformer_free(&u->mid_transformer);
}

/* temb = linear(silu(linear(sinusoids(t) + cond_proj guidance))); guidance may be NULL. */
static Tensor *time_embedding(Graph *g, const Unet *u, Tensor *t, Tensor *guidance) {
    graph_block(g, "time_embedding");
    Tensor *h = timestep_embedding(g, t, u->config.channels[0]);
    if (guidance) h = add(g, h, linear(g, guidance, &u->cond_proj));
    return linear(g, silu(g, linear(g, h, &u->linear_1)), &u->linear_2);
}

Tensor *unet(Graph *g, const Unet *u, Tensor *latents, Tensor *t, Tensor *context) {
    return unet_guided(g, u, latents, t, NULL, context);
}

Tensor *unet_guided(Graph *g, const Unet *u, Tensor *latents, Tensor *t, Tensor *guidance, Tensor *context) {
    CHECK(!guidance || u->config.time_cond_proj_dim > 0);
    Tensor *skips[SKIPS_MAX];
    int count = 0;
    Tensor *temb = time_embedding(g, u, t, guidance);
    graph_block(g, "conv_in");
    Tensor *x = skips[count++] = conv2d(g, latents, &u->conv_in, 1, PAD1);

    for (int i = 0; i < u->config.levels; i++) {
        const UnetLevel *l = &u->down[i];
        for (int j = 0; j < l->layers; j++) {
            x = resnet(g, &l->resnets[j], x, temb);
            if (l->attends) x = transformer(g, &l->transformers[j], x, context);
            skips[count++] = x;
        }
        if (l->resamples) x = skips[count++] = downsample(g, &l->resample, x, PAD1);
    }

    x = resnet(g, &u->mid_resnets[0], x, temb);
    if (u->config.mid_attends) x = transformer(g, &u->mid_transformer, x, context);
    x = resnet(g, &u->mid_resnets[1], x, temb);

    for (int i = 0; i < u->config.levels; i++) {
        const UnetLevel *l = &u->up[i];
        for (int j = 0; j < l->layers; j++) {
            count--;
            x = resnet(g, &l->resnets[j], concat(g, x, repeat_batch_like(g, skips[count], x)), temb);
            if (l->attends) x = transformer(g, &l->transformers[j], x, context);
        }
        if (l->resamples)
            x = upsample(g, &l->resample, x, skips[count - 1]->shape.dim[2], skips[count - 1]->shape.dim[3]);
    }

    graph_block(g, "conv_out");
    x = silu(g, group_norm(g, x, &u->conv_norm_out, u->config.groups, u->config.norm_eps));
    return repeat_batch_like(g, conv2d(g, x, &u->conv_out, 1, PAD1), context);
}
