/* SPDX-License-Identifier: MIT */
#include "nn/vae.h"

#include <stdlib.h>

/* The eps of every group norm in the VAE. In the UNet's ResNet blocks it is 1e-5. */
static const float EPS = 1e-6f;

int64_t vae_factor(const VaeConfig *config) { return (int64_t)1 << (config->levels - 1); }

static VaeLevel level_load(Store *s, const char *name, int layers, int64_t in, int64_t out, int groups) {
    VaeLevel l = { .layers = layers };
    l.resnets = mem_alloc((size_t)layers * sizeof *l.resnets);
    for (int j = 0; j < layers; j++) {
        l.resnets[j] =
            resnet_load(s, name_of("%s.resnets.%d", name, j).text, j ? out : in, out, 0, groups, EPS);
    }
    return l;
}

/* half: "encoder" or "decoder". */
static VaeMid mid_load(Store *s, const char *half, int64_t channels, const VaeConfig *c) {
    VaeMid m = { 0 };
    for (int j = 0; j < 2; j++) {
        m.resnets[j] = resnet_load(s, name_of("%s.mid_block.resnets.%d", half, j).text, channels, channels, 0,
                                   c->groups, EPS);
    }
    if (c->mid_attention)
        m.attention =
            vae_attention_load(s, name_of("%s.mid_block.attentions.0", half).text, channels, c->groups);
    return m;
}

static VaeHalf encoder_load(Store *s, const VaeConfig *c) {
    int64_t first = c->channels[0], last = c->channels[c->levels - 1], parameters = 2 * c->latent_channels;
    VaeHalf e = { .conv_in = load_conv(s, "encoder", "conv_in", first, c->in_channels, 3) };
    for (int i = 0; i < c->levels; i++) {
        e.levels[i] = level_load(s, name_of("encoder.down_blocks.%d", i).text, c->layers_per_block,
                                 c->channels[i ? i - 1 : 0], c->channels[i], c->groups);
        if (i + 1 == c->levels) break;
        e.levels[i].resample =
            resample_load(s, name_of("encoder.down_blocks.%d.downsamplers.0", i).text, c->channels[i]);
        e.levels[i].resamples = true;
    }
    e.mid = mid_load(s, "encoder", last, c);
    e.conv_norm_out = load_norm(s, "encoder", "conv_norm_out", last);
    e.conv_out = load_conv(s, "encoder", "conv_out", parameters, last, 3);
    if (c->quant_conv) e.quant_conv = load_conv(s, "", "quant_conv", parameters, parameters, 1);
    return e;
}

static VaeHalf decoder_load(Store *s, const VaeConfig *c) {
    int64_t first = c->channels[0], last = c->channels[c->levels - 1], latent = c->latent_channels;
    VaeHalf d = { .conv_in = load_conv(s, "decoder", "conv_in", last, latent, 3) };
    if (c->post_quant_conv) d.quant_conv = load_conv(s, "", "post_quant_conv", latent, latent, 1);
    d.mid = mid_load(s, "decoder", last, c);
    for (int i = 0; i < c->levels; i++) {
        int level = c->levels - 1 - i;
        int64_t in = c->channels[i ? level + 1 : level], out = c->channels[level];
        d.levels[i] = level_load(s, name_of("decoder.up_blocks.%d", i).text, c->layers_per_block + 1, in, out,
                                 c->groups);
        if (level == 0) break;
        d.levels[i].resample = resample_load(s, name_of("decoder.up_blocks.%d.upsamplers.0", i).text, out);
        d.levels[i].resamples = true;
    }
    d.conv_norm_out = load_norm(s, "decoder", "conv_norm_out", first);
    d.conv_out = load_conv(s, "decoder", "conv_out", c->out_channels, first, 3);
    return d;
}

Vae vae_load(const VaeConfig *config, Store *s) {
    Vae v = { .config = *config };
    v.encoder = encoder_load(s, config);
    v.decoder = decoder_load(s, config);
    return v;
}

void vae_free(Vae *v) {
    for (int i = 0; i < v->config.levels; i++) {
        free(v->encoder.levels[i].resnets);
        free(v->decoder.levels[i].resnets);
    }
}

static Tensor *mid_block(Graph *g, const VaeMid *m, Tensor *x) {
    x = resnet(g, &m->resnets[0], x, NULL);
    if (m->attention.groups) x = vae_attention(g, &m->attention, x);
    return resnet(g, &m->resnets[1], x, NULL);
}

static Tensor *output_layers(Graph *g, const VaeHalf *h, const VaeConfig *c, const char *name, Tensor *x) {
    graph_block(g, "%s", name);
    return conv2d(g, silu(g, group_norm(g, x, &h->conv_norm_out, c->groups, EPS)), &h->conv_out, 1, PAD1);
}

Tensor *vae_encode(Graph *g, const Vae *v, Tensor *picture) {
    const VaeHalf *e = &v->encoder;
    graph_block(g, "encoder.conv_in");
    Tensor *x = conv2d(g, picture, &e->conv_in, 1, PAD1);
    for (int i = 0; i < v->config.levels; i++) {
        for (int j = 0; j < e->levels[i].layers; j++) x = resnet(g, &e->levels[i].resnets[j], x, NULL);
        /* The trap: the encoder pads only at the bottom and on the right, but the UNet pads all around. */
        if (e->levels[i].resamples) x = downsample(g, &e->levels[i].resample, x, PAD_END);
    }
    x = mid_block(g, &e->mid, x);
    x = output_layers(g, e, &v->config, "encoder.conv_out", x);
    return e->quant_conv.weight ? conv2d(g, x, &e->quant_conv, 1, PAD0) : x;
}

Tensor *vae_decode(Graph *g, const Vae *v, Tensor *latents) {
    const VaeHalf *d = &v->decoder;
    graph_block(g, "decoder.conv_in");
    Tensor *x = d->quant_conv.weight ? conv2d(g, latents, &d->quant_conv, 1, PAD0) : latents;
    x = mid_block(g, &d->mid, conv2d(g, x, &d->conv_in, 1, PAD1));
    for (int i = 0; i < v->config.levels; i++) {
        for (int j = 0; j < d->levels[i].layers; j++) x = resnet(g, &d->levels[i].resnets[j], x, NULL);
        if (d->levels[i].resamples)
            x = upsample(g, &d->levels[i].resample, x, 2 * x->shape.dim[2], 2 * x->shape.dim[3]);
    }
    return output_layers(g, d, &v->config, "decoder.conv_out", x);
}
