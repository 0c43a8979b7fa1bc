/* SPDX-License-Identifier: MIT */
#include "tests/made_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/hash.h"

static const Family FAMILIES[] = {
    { .name = "sd15",
      .clip = { 49408, 768, 3072, 77, 12, 12, 1e-5f, ACT_QUICK_GELU },
      .unet = { .in_channels = 4,
                .out_channels = 4,
                .sample_size = 64,
                .cross_attention_dim = 768,
                .levels = 4,
                .channels = { 320, 640, 1280, 1280 },
                .layers_per_block = { 2, 2, 2, 2 },
                .down_attends = { true, true, true, false },
                .up_attends = { false, true, true, true },
                .mid_attends = true,
                .heads = { 8, 8, 8, 8 },
                .transformer_layers = { 1, 1, 1, 1 },
                .groups = 32,
                .norm_eps = 1e-5f },
      .vae = { 3, 3, 4, 512, 4, { 128, 256, 512, 512 }, 2, 32, true, true, true, 0.18215f } },
    { .name = "sd21",
      .clip = { 49408, 1024, 4096, 77, 23, 16, 1e-5f, ACT_GELU },
      .unet = { .in_channels = 4,
                .out_channels = 4,
                .sample_size = 96,
                .cross_attention_dim = 1024,
                .levels = 4,
                .channels = { 320, 640, 1280, 1280 },
                .layers_per_block = { 2, 2, 2, 2 },
                .down_attends = { true, true, true, false },
                .up_attends = { false, true, true, true },
                .mid_attends = true,
                .heads = { 5, 10, 20, 20 },
                .transformer_layers = { 1, 1, 1, 1 },
                .groups = 32,
                .norm_eps = 1e-5f,
                .linear_projection = true },
      .vae = { 3, 3, 4, 768, 4, { 128, 256, 512, 512 }, 2, 32, true, true, true, 0.18215f },
      .v_prediction = true },
    { .name = "tiny",
      .clip = { 49408, 64, 128, 77, 2, 1, 1e-5f, ACT_QUICK_GELU },
      .unet = { .in_channels = 4,
                .out_channels = 4,
                .sample_size = 8,
                .cross_attention_dim = 64,
                .levels = 4,
                .channels = { 32, 64, 64, 64 },
                .layers_per_block = { 2, 2, 2, 2 },
                .down_attends = { true, true, true, false },
                .up_attends = { false, true, true, true },
                .mid_attends = true,
                .heads = { 8, 8, 8, 8 },
                .transformer_layers = { 1, 1, 1, 1 },
                .groups = 32,
                .norm_eps = 1e-5f },
      .vae = { 3, 3, 4, 64, 4, { 32, 64, 64, 64 }, 2, 32, true, true, true, 0.18215f } },
};

const Family *family_find(const char *name) {
    for (size_t i = 0; i < sizeof FAMILIES / sizeof *FAMILIES; i++)
        if (strcmp(FAMILIES[i].name, name) == 0) return &FAMILIES[i];
    return NULL;
}

/* Gains: the standard deviation of a layer's output for inputs with standard deviation 1. An activation
   reduces it to about 0.6, which AFTER_ACTIVATION compensates for. A residual branch has half the deviation
   of what it is added to, and less in the deep text encoder, so that activations do not grow from block to
   block. Attention averages over many values, which the gain of its output projection (ATTENDED) compensates
   for. */
static const double GAIN = 1, AFTER_ACTIVATION = 1.68, BRANCH = 0.84, TEXT_BRANCH = 0.35, ATTENDED = 3,
                    SHORTCUT = 0.7, TABLE = 0.5, BIAS = 0.05;

/* The list of tensors so far. In the functions below, d and o are the name of a layer or block in diffusers'
   layout and in the original one. */
typedef struct {
    MadeTensors tensors;
    int64_t capacity;
    Part part;
} List;

/* Sets spread and exponent for a given standard deviation. Integers uniform in [-m, m] have the standard
   deviation sqrt(m (m + 1) / 3). */
static void set_scale(MadeTensor *t, double deviation) {
    double range = sqrt(3.0) * deviation;
    CHECK(range > 0 && range < 64);
    while (ldexp(range, t->exponent + 1) < 128) t->exponent++;
    t->spread = (int)ldexp(range, t->exponent);
    CHECK(t->spread >= 64 && t->spread <= 127);
    CHECK(t->exponent <= 24); /* 2^-24 is the smallest positive number of F16 */
}

static MadeTensor *append(List *l, const char *d, const char *o, const char *which, Shape shape) {
    if (l->tensors.count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 256;
        l->tensors.at = mem_grow(l->tensors.at, (size_t)l->capacity * sizeof *l->tensors.at);
    }
    MadeTensor *t = &l->tensors.at[l->tensors.count++];
    *t = (MadeTensor) { .part = l->part, .shape = shape };
    t->name = name_of("%s%s", d, which);
    t->original = name_of("%s%s", o, which);
    return t;
}

static void add_weight(List *l, const char *d, const char *o, Shape shape, double gain) {
    double fan_in = (double)(shape_count(shape) / shape.dim[0]);
    set_scale(append(l, d, o, ".weight", shape), gain / sqrt(fan_in));
}

static void add_bias(List *l, const char *d, const char *o, int64_t out) {
    set_scale(append(l, d, o, ".bias", shape1(out)), BIAS);
}

static void linear(List *l, const char *d, const char *o, int64_t out, int64_t in, double gain) {
    add_weight(l, d, o, shape2(out, in), gain);
    add_bias(l, d, o, out);
}

static void conv(List *l, const char *d, const char *o, int64_t out, int64_t in, int kernel, double gain) {
    add_weight(l, d, o, shape4(out, in, kernel, kernel), gain);
    add_bias(l, d, o, out);
}

/* A linear layer that the original layout stores as a 1x1 convolution. */
static void pointwise(List *l, const char *d, const char *o, int64_t out, int64_t in, double gain) {
    linear(l, d, o, out, in, gain);
    l->tensors.at[l->tensors.count - 2].pointwise = true;
}

/* A normalisation, with weights near 1: (64 + u) / 64, |u| <= 16. */
static void norm(List *l, const char *d, const char *o, int64_t channels) {
    MadeTensor *weight = append(l, d, o, ".weight", shape1(channels));
    weight->centre = 64;
    weight->spread = 16;
    weight->exponent = 6;
    add_bias(l, d, o, channels);
}

/* Returns the name of a layer within a block: "block.name", or just "name" when the block's name is empty. */
static Name in(const char *block, const char *name) {
    return *block ? name_of("%s.%s", block, name) : name_of("%s", name);
}

/* CLIP. The original layout of 2.x (`open`) is OpenCLIP's, which stacks the projections q, k and v into one
   matrix. */

static void clip_layer(List *l, const ClipConfig *c, bool open, const char *d, const char *o) {
    int64_t width = c->hidden_size, inner = c->intermediate_size;
    norm(l, in(d, "layer_norm1").text, in(o, open ? "ln_1" : "layer_norm1").text, width);
    static const char *const projections[] = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj" };
    for (int i = 0; i < 3; i++) {
        add_weight(l, in(d, projections[i]).text, in(o, projections[i]).text, shape2(width, width), GAIN);
        if (open) l->tensors.at[l->tensors.count - 1].original = in(o, "attn.in_proj_weight");
    }
    for (int i = 0; i < 3; i++) {
        add_bias(l, in(d, projections[i]).text, in(o, projections[i]).text, width);
        if (open) l->tensors.at[l->tensors.count - 1].original = in(o, "attn.in_proj_bias");
    }
    linear(l, in(d, "self_attn.out_proj").text, in(o, open ? "attn.out_proj" : "self_attn.out_proj").text,
           width, width, TEXT_BRANCH * 2);
    norm(l, in(d, "layer_norm2").text, in(o, open ? "ln_2" : "layer_norm2").text, width);
    linear(l, in(d, "mlp.fc1").text, in(o, open ? "mlp.c_fc" : "mlp.fc1").text, inner, width, GAIN);
    linear(l, in(d, "mlp.fc2").text, in(o, open ? "mlp.c_proj" : "mlp.fc2").text, width, inner, TEXT_BRANCH);
}

static void text_encoder(List *l, const ClipConfig *c, bool open) {
    const char *d = "text_model",
               *o = open ? "cond_stage_model.model" : "cond_stage_model.transformer.text_model";
    MadeTensor *t = append(l, in(d, "embeddings.token_embedding").text,
                           in(o, open ? "token_embedding" : "embeddings.token_embedding").text, ".weight",
                           shape2(c->vocab_size, c->hidden_size));
    set_scale(t, TABLE);
    t = append(l, in(d, "embeddings.position_embedding").text,
               in(o, open ? "positional_embedding" : "embeddings.position_embedding").text, ".weight",
               shape2(c->positions, c->hidden_size));
    if (open) t->original = in(o, "positional_embedding");
    set_scale(t, TABLE);
    for (int i = 0; i < c->layers; i++)
        clip_layer(l, c, open, name_of("%s.encoder.layers.%d", d, i).text,
                   name_of("%s.%s.%d", o, open ? "transformer.resblocks" : "encoder.layers", i).text);
    norm(l, in(d, "final_layer_norm").text, in(o, open ? "ln_final" : "final_layer_norm").text,
         c->hidden_size);
}

/* The blocks of the UNet and the VAE */

/* A residual block. time is the width of the timestep embedding, or 0 for a block of the VAE, which has no
   such embedding. */
static void resnet(List *l, const char *d, const char *o, int64_t from, int64_t to, int64_t time) {
    norm(l, in(d, "norm1").text, in(o, time ? "in_layers.0" : "norm1").text, from);
    conv(l, in(d, "conv1").text, in(o, time ? "in_layers.2" : "conv1").text, to, from, 3, AFTER_ACTIVATION);
    if (time) linear(l, in(d, "time_emb_proj").text, in(o, "emb_layers.1").text, to, time, AFTER_ACTIVATION);
    norm(l, in(d, "norm2").text, in(o, time ? "out_layers.0" : "norm2").text, to);
    conv(l, in(d, "conv2").text, in(o, time ? "out_layers.3" : "conv2").text, to, to, 3, BRANCH);
    if (from != to)
        conv(l, in(d, "conv_shortcut").text, in(o, time ? "skip_connection" : "nin_shortcut").text, to, from,
             1, SHORTCUT);
}

static void attention(List *l, const char *block, const char *o, const char *name, int64_t channels,
                      int64_t context) {
    Name d = in(block, name), other = in(o, name);
    add_weight(l, in(d.text, "to_q").text, in(other.text, "to_q").text, shape2(channels, channels), GAIN);
    add_weight(l, in(d.text, "to_k").text, in(other.text, "to_k").text, shape2(channels, context), GAIN);
    add_weight(l, in(d.text, "to_v").text, in(other.text, "to_v").text, shape2(channels, context), GAIN);
    linear(l, in(d.text, "to_out.0").text, in(other.text, "to_out.0").text, channels, channels, ATTENDED);
}

/* A transformer with its projections in and out. Both layouts use the same names inside it. */
static void transformer(List *l, const UnetConfig *c, const char *d, const char *o, int level) {
    int64_t channels = c->channels[level];
    norm(l, in(d, "norm").text, in(o, "norm").text, channels);
    for (int out = 0; out < 2; out++) {
        const char *name = out ? "proj_out" : "proj_in";
        double gain = out ? 0.5 : GAIN;
        if (c->linear_projection)
            linear(l, in(d, name).text, in(o, name).text, channels, channels, gain);
        else
            conv(l, in(d, name).text, in(o, name).text, channels, channels, 1, gain);
    }
    for (int i = 0; i < c->transformer_layers[level]; i++) {
        Name block = name_of("%s.transformer_blocks.%d", d, i),
             other = name_of("%s.transformer_blocks.%d", o, i);
        for (int k = 1; k <= 3; k++)
            norm(l, name_of("%s.norm%d", block.text, k).text, name_of("%s.norm%d", other.text, k).text,
                 channels);
        attention(l, block.text, other.text, "attn1", channels, channels);
        attention(l, block.text, other.text, "attn2", channels, c->cross_attention_dim);
        linear(l, in(block.text, "ff.net.0.proj").text, in(other.text, "ff.net.0.proj").text, 8 * channels,
               channels, GAIN);
        linear(l, in(block.text, "ff.net.2").text, in(other.text, "ff.net.2").text, channels, 4 * channels,
               BRANCH);
    }
}

/* The UNet. The original layout numbers the residual blocks and resamplings consecutively through all levels,
   as input_blocks.N and output_blocks.N. The part .0 of such a block is a residual block or a resampling; a
   transformer and an upsampling follow as .1 and .2 if the block has them. */

enum { SKIPS_MAX = LEVELS_MAX * 33 };

static int unet_down(List *l, const UnetConfig *c, int64_t time, int64_t skips[SKIPS_MAX]) {
    int64_t channels = c->channels[0];
    int count = 0, block = 1;
    skips[count++] = channels;
    for (int i = 0; i < c->levels; i++) {
        for (int j = 0; j < c->layers_per_block[i]; j++, block++) {
            resnet(l, name_of("down_blocks.%d.resnets.%d", i, j).text,
                   name_of("model.diffusion_model.input_blocks.%d.0", block).text, channels, c->channels[i],
                   time);
            if (c->down_attends[i])
                transformer(l, c, name_of("down_blocks.%d.attentions.%d", i, j).text,
                            name_of("model.diffusion_model.input_blocks.%d.1", block).text, i);
            skips[count++] = channels = c->channels[i];
        }
        if (i + 1 == c->levels) break;
        conv(l, name_of("down_blocks.%d.downsamplers.0.conv", i).text,
             name_of("model.diffusion_model.input_blocks.%d.0.op", block++).text, channels, channels, 3,
             GAIN);
        skips[count++] = channels;
    }
    return count;
}

static void unet_up(List *l, const UnetConfig *c, int64_t time, const int64_t skips[SKIPS_MAX], int count) {
    int64_t channels = c->channels[c->levels - 1];
    int block = 0;
    for (int i = 0; i < c->levels; i++) {
        int level = c->levels - 1 - i;
        for (int j = 0; j <= c->layers_per_block[level]; j++, block++) {
            resnet(l, name_of("up_blocks.%d.resnets.%d", i, j).text,
                   name_of("model.diffusion_model.output_blocks.%d.0", block).text, channels + skips[--count],
                   c->channels[level], time);
            channels = c->channels[level];
            if (c->up_attends[i])
                transformer(l, c, name_of("up_blocks.%d.attentions.%d", i, j).text,
                            name_of("model.diffusion_model.output_blocks.%d.1", block).text, level);
        }
        if (level > 0)
            conv(
                l, name_of("up_blocks.%d.upsamplers.0.conv", i).text,
                name_of("model.diffusion_model.output_blocks.%d.%d.conv", block - 1, c->up_attends[i] ? 2 : 1)
                    .text,
                channels, channels, 3, GAIN);
    }
    CHECK_EQ(count, 0);
}

static void unet(List *l, const UnetConfig *c) {
    l->part = UNET;
    int64_t first = c->channels[0], last = c->channels[c->levels - 1], time = 4 * first;
    int64_t skips[SKIPS_MAX];
    linear(l, "time_embedding.linear_1", "model.diffusion_model.time_embed.0", time, first, 1.4);
    linear(l, "time_embedding.linear_2", "model.diffusion_model.time_embed.2", time, time, AFTER_ACTIVATION);
    conv(l, "conv_in", "model.diffusion_model.input_blocks.0.0", first, c->in_channels, 3, GAIN);
    int count = unet_down(l, c, time, skips);
    resnet(l, "mid_block.resnets.0", "model.diffusion_model.middle_block.0", last, last, time);
    transformer(l, c, "mid_block.attentions.0", "model.diffusion_model.middle_block.1", c->levels - 1);
    resnet(l, "mid_block.resnets.1", "model.diffusion_model.middle_block.2", last, last, time);
    unet_up(l, c, time, skips, count);
    norm(l, "conv_norm_out", "model.diffusion_model.out.0", first);
    conv(l, "conv_out", "model.diffusion_model.out.2", c->out_channels, first, 3, AFTER_ACTIVATION);
}

/* The VAE. The original layout numbers the decoder's levels from the finest, and diffusers from the
   coarsest. */

static void vae_mid(List *l, const char *half, int64_t channels) {
    Name d = name_of("%s.mid_block", half), o = name_of("first_stage_model.%s.mid", half);
    resnet(l, in(d.text, "resnets.0").text, in(o.text, "block_1").text, channels, channels, 0);
    Name a = in(d.text, "attentions.0"), b = in(o.text, "attn_1");
    norm(l, in(a.text, "group_norm").text, in(b.text, "norm").text, channels);
    pointwise(l, in(a.text, "to_q").text, in(b.text, "q").text, channels, channels, GAIN);
    pointwise(l, in(a.text, "to_k").text, in(b.text, "k").text, channels, channels, GAIN);
    pointwise(l, in(a.text, "to_v").text, in(b.text, "v").text, channels, channels, GAIN);
    pointwise(l, in(a.text, "to_out.0").text, in(b.text, "proj_out").text, channels, channels, ATTENDED);
    resnet(l, in(d.text, "resnets.1").text, in(o.text, "block_2").text, channels, channels, 0);
}

static void vae_encoder(List *l, const VaeConfig *c) {
    int64_t channels = c->channels[0], parameters = 2 * c->latent_channels;
    conv(l, "encoder.conv_in", "first_stage_model.encoder.conv_in", channels, c->in_channels, 3, 2);
    for (int i = 0; i < c->levels; i++) {
        for (int j = 0; j < c->layers_per_block; j++) {
            resnet(l, name_of("encoder.down_blocks.%d.resnets.%d", i, j).text,
                   name_of("first_stage_model.encoder.down.%d.block.%d", i, j).text, channels, c->channels[i],
                   0);
            channels = c->channels[i];
        }
        if (i + 1 < c->levels)
            conv(l, name_of("encoder.down_blocks.%d.downsamplers.0.conv", i).text,
                 name_of("first_stage_model.encoder.down.%d.downsample.conv", i).text, channels, channels, 3,
                 GAIN);
    }
    vae_mid(l, "encoder", channels);
    norm(l, "encoder.conv_norm_out", "first_stage_model.encoder.norm_out", channels);
    conv(l, "encoder.conv_out", "first_stage_model.encoder.conv_out", parameters, channels, 3,
         AFTER_ACTIVATION);
    conv(l, "quant_conv", "first_stage_model.quant_conv", parameters, parameters, 1, GAIN);
}

static void vae_decoder(List *l, const VaeConfig *c) {
    int64_t channels = c->channels[c->levels - 1], latent = c->latent_channels;
    conv(l, "post_quant_conv", "first_stage_model.post_quant_conv", latent, latent, 1, GAIN);
    conv(l, "decoder.conv_in", "first_stage_model.decoder.conv_in", channels, latent, 3, GAIN);
    vae_mid(l, "decoder", channels);
    for (int i = 0; i < c->levels; i++) {
        int level = c->levels - 1 - i;
        for (int j = 0; j <= c->layers_per_block; j++) {
            resnet(l, name_of("decoder.up_blocks.%d.resnets.%d", i, j).text,
                   name_of("first_stage_model.decoder.up.%d.block.%d", level, j).text, channels,
                   c->channels[level], 0);
            channels = c->channels[level];
        }
        if (level > 0)
            conv(l, name_of("decoder.up_blocks.%d.upsamplers.0.conv", i).text,
                 name_of("first_stage_model.decoder.up.%d.upsample.conv", level).text, channels, channels, 3,
                 GAIN);
    }
    norm(l, "decoder.conv_norm_out", "first_stage_model.decoder.norm_out", channels);
    conv(l, "decoder.conv_out", "first_stage_model.decoder.conv_out", c->out_channels, channels, 3, BRANCH);
}

MadeTensors made_tensors(const Family *family) {
    List l = { .part = TEXT_ENCODER };
    text_encoder(&l, &family->clip, family->clip.activation == ACT_GELU);
    unet(&l, &family->unet);
    l.part = VAE;
    vae_encoder(&l, &family->vae);
    vae_decoder(&l, &family->vae);
    return l.tensors;
}

MadeTensors made_clip_tensors(const ClipModelConfig *config) {
    List l = { .part = CLIP_MODEL };
    const ClipConfig *c = &config->vision;
    int64_t width = c->hidden_size, p = config->patch_size, features = config->projection_dim;
    text_encoder(&l, &config->text, false);
    set_scale(append(&l, "vision_model.embeddings.class_embedding", "", "", shape1(width)), TABLE);
    add_weight(&l, "vision_model.embeddings.patch_embedding", "", shape4(width, 3, p, p), GAIN);
    set_scale(
        append(&l, "vision_model.embeddings.position_embedding", "", ".weight", shape2(c->positions, width)),
        TABLE);
    norm(&l, "vision_model.pre_layrnorm", "", width);
    for (int i = 0; i < c->layers; i++)
        clip_layer(&l, c, false, name_of("vision_model.encoder.layers.%d", i).text, "");
    norm(&l, "vision_model.post_layernorm", "", width);
    add_weight(&l, "visual_projection", "", shape2(features, width), GAIN);
    add_weight(&l, "text_projection", "", shape2(features, config->text.hidden_size), GAIN);
    return l.tensors;
}

/* Hashes the indices first, first + 1, ... with the finaliser of MurmurHash3, into which the two halves of
   the name's hash are mixed, and scales each hash to 0 .. values - 1. */
static void hash_run(uint32_t first, uint32_t low, uint32_t high, uint32_t values, int count,
                     unsigned char *restrict out) {
    for (int i = 0; i < count; i++) {
        uint32_t x = (first + (uint32_t)i) * 0x9E3779B9u + low;
        x = (x ^ x >> 16) * 0x85EBCA6Bu ^ high;
        x = (x ^ x >> 13) * 0xC2B2AE35u;
        x ^= x >> 16;
        out[i] = (unsigned char)((x >> 8) * values >> 24);
    }
}

void made_indices(const MadeTensor *t, int64_t first, int64_t count, unsigned char *out) {
    static const char *const parts[PARTS + 1] = { "text_encoder.", "unet.", "vae.", "clip." };
    uint64_t hash = hash_bytes(HASH_START, parts[t->part], strlen(parts[t->part]));
    hash = hash_bytes(hash, t->name.text, strlen(t->name.text));
    uint32_t low = (uint32_t)hash, high = (uint32_t)(hash >> 32), values = 2 * (uint32_t)t->spread + 1;
#pragma omp parallel for schedule(static) if (count > MADE_RUN)
    for (int64_t i = 0; i < count; i += MADE_RUN)
        hash_run((uint32_t)(first + i), low, high, values, (int)min_i64(MADE_RUN, count - i), out + i);
}
