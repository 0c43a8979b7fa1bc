/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "exchange/single.h"

#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/family.h"
#include "exchange/original.h"
#include "io/file.h"

/* Numbers that cannot be derived from any shape. They are the same in all models of Stable Diffusion 1.x or
   2.x. */
enum {
    GROUPS = 32,        /* of every group norm */
    CLIP_HEAD = 64,     /* width of a head of the text encoder */
    UNET_HEADS_1 = 8,   /* 1.x: heads at every level */
    UNET_HEAD_2 = 64,   /* 2.x: width of a head at every level */
    CLIP_LAYERS_2 = 23, /* 2.x uses the output of the 23rd of OpenCLIP's 24 layers */
    LATENTS_512 = 64,   /* side of the latents of a picture of 512 pixels */
    LATENTS_768 = 96
};

/* The part from whose shapes a config is derived, and the list to which faults are added. */
typedef struct {
    const Safetensors *part;
    Messages *errors;
} Shapes;

static const SafeTensor *find(const Safetensors *part, const char *format, va_list args) {
    char name[ORIGINAL_NAME];
    vsnprintf(name, sizeof name, format, args);
    return safetensors_find(part, name);
}

static bool has(const Shapes *s, const char *format, ...) PRINTF_LIKE(2, 3);
static bool has(const Shapes *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    bool yes = find(s->part, format, args) != NULL;
    va_end(args);
    return yes;
}

/* Returns dimension d of the named tensor, which must be 1 to high. Returns 1 and adds a message when it is
   not, or when there is no such tensor. */
static int64_t dimension(const Shapes *s, int d, int64_t high, const char *format, ...) PRINTF_LIKE(4, 5);
static int64_t dimension(const Shapes *s, int d, int64_t high, const char *format, ...) {
    va_list args;
    char name[ORIGINAL_NAME], shape[SHAPE_TEXT];
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    const SafeTensor *t = safetensors_find(s->part, name);
    if (t && d < t->weight.shape.rank && t->weight.shape.dim[d] >= 1 && t->weight.shape.dim[d] <= high)
        return t->weight.shape.dim[d];
    if (t)
        messages_add(s->errors, "%s: tensor \"%s\" has the shape %s, which no supported model has",
                     s->part->path, name, shape_text(t->weight.shape, shape));
    else
        messages_add(s->errors, "%s: no tensor \"%s\"", s->part->path, name);
    return 1;
}

/* Returns how many tensors PREFIX0.SUFFIX, PREFIX1.SUFFIX, ... exist, at most max. */
static int count(const Shapes *s, const char *prefix, const char *suffix, int max) {
    int n = 0;
    while (n < max && has(s, "%s%d.%s", prefix, n, suffix)) n++;
    return n;
}

/* Adds a message when Stable Diffusion's numbers of groups or heads cannot be those of this model. */
static void check_divisible(const Shapes *s, int64_t divisor, int64_t channels, const char *what) {
    if (channels % divisor != 0)
        messages_add(
            s->errors,
            "%s: %lld channels cannot be divided into %s as in Stable Diffusion; a model that differs "
            "from it can be read only from a folder with its configs",
            s->part->path, (long long)channels, what);
}

static void read_clip(const Shapes *s, bool sd2, ClipConfig *c) {
    *c = (ClipConfig) {
        .vocab_size = dimension(s, 0, 10000000, "embeddings.token_embedding.weight"),
        .hidden_size = dimension(s, 1, 65536, "embeddings.token_embedding.weight"),
        .positions = dimension(s, 0, 4096, "embeddings.position_embedding.weight"),
        .intermediate_size = dimension(s, 0, 262144, "encoder.layers.0.mlp.fc1.weight"),
        .layers = count(s, "encoder.layers.", "mlp.fc1.weight", sd2 ? CLIP_LAYERS_2 : 128),
        .layer_norm_eps = 1e-5f,
        .activation = sd2 ? ACT_GELU : ACT_QUICK_GELU,
    };
    c->heads = (int)(c->hidden_size / CLIP_HEAD);
    check_divisible(s, CLIP_HEAD, c->hidden_size, "heads of 64");
}

enum { PREFIX_TEXT = 80 };

/* Returns the number of BasicTransformerBlocks in the first attention of a block; kind is "down" or "up". */
static int transformer_layers(const Shapes *s, const char *kind, int block) {
    char prefix[PREFIX_TEXT];
    snprintf(prefix, sizeof prefix, "%s_blocks.%d.attentions.0.transformer_blocks.", kind, block);
    return count(s, prefix, "norm1.weight", 64);
}

static void read_unet_level(const Shapes *s, UnetConfig *c, int i, bool sd2) {
    int up = c->levels - 1 - i, layers = 0;
    char name[PREFIX_TEXT];
    c->channels[i] = dimension(s, 0, 65536, "down_blocks.%d.resnets.0.conv1.weight", i);
    c->down_attends[i] = has(s, "down_blocks.%d.attentions.0.norm.weight", i);
    c->up_attends[up] = has(s, "up_blocks.%d.attentions.0.norm.weight", up);
    snprintf(name, sizeof name, "down_blocks.%d.resnets.", i);
    c->layers_per_block[i] = count(s, name, "conv1.weight", 16);
    layers = transformer_layers(s, "down", i);
    if (!layers) layers = transformer_layers(s, "up", up);
    if (!layers && i == c->levels - 1)
        layers = count(s, "mid_block.attentions.0.transformer_blocks.", "norm1.weight", 64);
    c->transformer_layers[i] = layers ? layers : 1;
    c->heads[i] = sd2 ? (int)(c->channels[i] / UNET_HEAD_2) : UNET_HEADS_1;
    check_divisible(s, GROUPS, c->channels[i], "32 groups");
    if (c->down_attends[i] || c->up_attends[up] || (c->mid_attends && i == c->levels - 1))
        check_divisible(s, sd2 ? UNET_HEAD_2 : UNET_HEADS_1, c->channels[i], sd2 ? "heads of 64" : "8 heads");
}

static void read_unet(const Shapes *s, bool sd2, UnetConfig *c) {
    *c = (UnetConfig) {
        .in_channels = dimension(s, 1, 1024, "conv_in.weight"),
        .out_channels = dimension(s, 0, 1024, "conv_out.weight"),
        .levels = count(s, "down_blocks.", "resnets.0.conv1.weight", LEVELS_MAX),
        .mid_attends = has(s, "mid_block.attentions.0.norm.weight"),
        .groups = GROUPS,
        .norm_eps = 1e-5f,
    };
    if (!c->levels)
        messages_add(s->errors, "%s: no tensor \"down_blocks.0.resnets.0.conv1.weight\"", s->part->path);
    for (int i = 0; i < c->levels; i++) read_unet_level(s, c, i, sd2);
    for (int64_t i = 0; i < s->part->count; i++) {
        const Weight *w = &s->part->tensors[i].weight;
        if (strstr(w->name, ".attn2.to_k.weight") && w->shape.rank == 2)
            c->cross_attention_dim = w->shape.dim[1];
        if (strstr(w->name, ".proj_in.weight")) c->linear_projection = w->shape.rank == 2;
    }
}

static void read_vae(const Shapes *s, VaeConfig *c) {
    *c = (VaeConfig) {
        .in_channels = 3,
        .out_channels = 3,
        .latent_channels = dimension(s, 1, 256, "decoder.conv_in.weight"),
        .levels = count(s, "encoder.down_blocks.", "resnets.0.conv1.weight", LEVELS_MAX),
        .layers_per_block = count(s, "encoder.down_blocks.0.resnets.", "conv1.weight", 16),
        .groups = GROUPS,
        .mid_attention = has(s, "encoder.mid_block.attentions.0.group_norm.weight"),
        .quant_conv = has(s, "quant_conv.weight"),
        .post_quant_conv = has(s, "post_quant_conv.weight"),
        .scaling_factor = 0.18215f,
    };
    if (!c->levels)
        messages_add(s->errors, "%s: no tensor \"encoder.down_blocks.0.resnets.0.conv1.weight\"",
                     s->part->path);
    for (int i = 0; i < c->levels; i++) {
        c->channels[i] = dimension(s, 0, 65536, "encoder.down_blocks.%d.resnets.0.conv1.weight", i);
        check_divisible(s, GROUPS, c->channels[i], "32 groups");
    }
}

/* Returns what the scheduler_config.json of the original repositories says, and for other fields the
   defaults: diffusers' from_single_file takes it from there, PNDM for 1.x and DDIM for 2.x. */
static SchedulerConfig scheduler(bool sd2) {
    return (SchedulerConfig) {
        .class_name = sd2 ? "DDIMScheduler" : "PNDMScheduler",
        .absent.spacing = true,
        .train_timesteps = 1000,
        .beta_start = 0.00085,
        .beta_end = 0.012,
        .beta_schedule = BETAS_SCALED_LINEAR,
        .prediction = sd2 ? PREDICT_V : PREDICT_EPSILON,
        .steps_offset = 1,
        .clip_sample_range = 1,
        .threshold_ratio = 0.995,
        .threshold_max = 1,
        .skip_prk_steps = true,
        .algorithm = ALGORITHM_DPMPP,
        .solver_order = 2,
        .lower_order_final = true,
        .lambda_min_clipped = -INFINITY,
        .original_steps = 50,
        .timestep_scaling = 10,
    };
}

/* Derives the configs from the shapes. A model of 2.x is recognised by the names of its text encoder's
   tensors, or, if those were converted, by its linear projections. The models of 2.x for 512 pixels, which
   predict the noise, have the same shapes as those for 768 pixels, which predict v; like diffusers, this
   assumes 768. */
static bool read_shapes(const OriginalFile *o, bool own_vae, ModelFolder *m, Messages *errors) {
    int before = errors->count;
    Shapes s[PART_COUNT];
    for (int p = 0; p < PART_COUNT; p++) s[p] = (Shapes) { &o->parts[p], errors };
    const SafeTensor *projection =
        safetensors_find(&o->parts[PART_UNET], "mid_block.attentions.0.proj_in.weight");
    bool sd2 = o->openclip || (projection && projection->weight.shape.rank == 2);
    read_clip(&s[PART_TEXT_ENCODER], sd2, &m->clip);
    read_unet(&s[PART_UNET], sd2, &m->unet_config);
    if (own_vae) read_vae(&s[PART_VAE], &m->vae_config);
    m->scheduler = scheduler(sd2);
    m->prediction_guessed = sd2;
    m->unet_config.sample_size = sd2 ? LATENTS_768 : LATENTS_512;
    if (own_vae)
        m->vae_config.sample_size = m->unet_config.sample_size << (max_i64(m->vae_config.levels, 1) - 1);
    m->tokenizer.model_max_length = m->clip.positions;
    m->tokenizer.rows = m->clip.vocab_size;
    if (sd2) m->tokenizer.pad_token = mem_string("!");
    return errors->count == before;
}

/* Gives the views to m as the files of its parts. */
static void take_parts(OriginalFile *o, bool own_vae, ModelFolder *m, Messages *errors) {
    WeightFiles *files[PART_COUNT] = { &m->text_encoder_files, &m->unet_files, &m->vae_files };
    Store **stores[PART_COUNT] = { &m->text_encoder, &m->unet, &m->vae };
    for (int p = 0; p < PART_COUNT; p++) {
        if (p == PART_VAE && !own_vae) {
            safetensors_close(&o->parts[p]);
            free(o->single.sources[p]);
            o->single.sources[p] = NULL;
            continue;
        }
        *files[p] = (WeightFiles) { mem_alloc(sizeof(Safetensors)), 1 };
        files[p]->files[0] = o->parts[p];
        *stores[p] = store_new(files[p]->files, 1, "", p == PART_TEXT_ENCODER ? "text_model." : NULL, errors);
    }
    m->single = mem_alloc(sizeof *m->single);
    *m->single = o->single;
}

bool single_open(const char *path, bool own_vae, ModelFolder *m, Messages *errors) {
    int before = errors->count;
    *m = (ModelFolder) { 0 };
    Safetensors s;
    if (!weights_open(path, &s, errors)) return false;
    Family family = weights_family(&s);
    bool known = family.checkpoint && (family.vae || !own_vae);
    if (!known)
        messages_add(
            errors,
            "%s: is %s; a whole checkpoint of Stable Diffusion 1.x or 2.x, text to image, is needed%s", path,
            family.text, family.checkpoint ? " (its VAE can be taken from another file or folder)" : "");
    if (!known || !safetensors_readable(&s, errors)) {
        safetensors_close(&s);
        return false;
    }
    m->path = mem_string(path);
    weights_unwrap(&s);
    OriginalFile o;
    original_open(s, &o);
    bool ok = read_shapes(&o, own_vae, m, errors);
    m->merges_path = file_of_program("clip/merges.txt");
    if (!m->merges_path)
        ok = messages_add(
            errors, "CLIP's vocabulary, clip/merges.txt, is neither in the folder weights beside the program "
                    "nor in ../share/ti, where make install puts it");
    take_parts(&o, own_vae, m, errors);
    if (ok) folder_check(m, true, true, own_vae, errors);
    if (errors->count == before) return true;
    folder_close(m);
    return false;
}

/* ---- a VAE from another file or folder ---- */

/* Adds the prefix of a checkpoint's VAE, which the names in a file with only a VAE lack. */
static char *name_in_checkpoint(const char *name) { return mem_format("first_stage_model.%s", name); }

/* Opens the VAE of a file in the original layout: a checkpoint, or, if alone is true, a file with only a VAE.
   Takes ownership of the file. */
static void open_original_vae(Safetensors s, bool alone, ModelFolder *m, Messages *errors) {
    if (alone) safetensors_rename(&s, name_in_checkpoint);
    OriginalFile o;
    original_open(s, &o);
    read_vae(&(Shapes) { &o.parts[PART_VAE], errors }, &m->vae_config);
    m->vae_single = mem_alloc(sizeof *m->vae_single);
    *m->vae_single = o.single;
    folder_set_vae(m, o.parts[PART_VAE], errors);
    safetensors_close(&o.parts[PART_TEXT_ENCODER]);
    safetensors_close(&o.parts[PART_UNET]);
}

static void open_vae_file(const char *path, ModelFolder *m, Messages *errors) {
    Safetensors s;
    if (!weights_open(path, &s, errors)) return;
    Family family = weights_family(&s);
    if (!safetensors_readable(&s, errors)) {
        safetensors_close(&s);
        return;
    }
    weights_unwrap(&s);
    bool alone = safetensors_find(&s, "encoder.conv_in.weight") != NULL;
    bool original = safetensors_find(&s, "first_stage_model.encoder.conv_in.weight") ||
                    safetensors_find(&s, "encoder.down.0.block.0.conv1.weight");
    if (original) {
        open_original_vae(s, alone, m, errors);
    } else if (alone) {
        read_vae(&(Shapes) { &s, errors }, &m->vae_config);
        folder_set_vae(m, s, errors);
    } else {
        messages_add(errors, "%s: is %s, and has no VAE", path, family.text);
        safetensors_close(&s);
    }
}

/* Opens a VAE from a file, from a folder that holds only a VAE, or from the folder vae/ in a model's
   folder. */
static void open_vae(const char *path, ModelFolder *m, Messages *errors, Messages *warnings) {
    char *config = mem_format("%s/config.json", path), *inner = mem_format("%s/vae", path);
    if (path_is_file(path))
        open_vae_file(path, m, errors);
    else
        folder_open_vae(path_is_file(config) ? path : inner, weights_open, m, errors, warnings);
    free(config);
    free(inner);
}

bool exchange_open_model(const char *path, const char *vae, ModelFolder *m, Messages *errors,
                         Messages *warnings) {
    int before = errors->count;
    bool opened = path_is_file(path) ? single_open(path, !vae, m, errors)
                                     : folder_open(path, !vae, weights_open, m, errors, warnings);
    if (!opened || !vae) return opened;
    open_vae(vae, m, errors, warnings);
    if (errors->count == before) folder_check(m, false, true, true, errors);
    if (errors->count == before) return true;
    folder_close(m);
    return false;
}
