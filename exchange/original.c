/* SPDX-License-Identifier: MIT */
#include "exchange/original.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the tables ---- */

/* A row matches a name that begins with `original`, in which # stands for a number, followed by a dot or the
   name's end. The matched part becomes `diffusers`; the rest of the name is renamed by the table `rest`, or
   kept when that is NULL. The first row that matches counts. These letters in `diffusers` are replaced:

       A B   by the first and the second number
       R     by levels - 1 - A: diffusers numbers the decoder's resolutions from the coarsest, the original
             layout from the finest
       I J   by the level and the layer of a UNet's block. The original layout numbers all blocks
             consecutively: A - first = I (layers + 1) + J. On the way down, the last of a level's layers + 1
             blocks halves the resolution; on the way up, it is one more layer
       Q     by q, k and v in turn: the tensor, which holds these three one below the other, is split */
typedef struct Rename Rename;
struct Rename {
    const char *original, *diffusers;
    const Rename *rest;
    int first;
};

static const Rename UNET_RESNET[] = {
    { "in_layers.0", "norm1", NULL, 0 },
    { "in_layers.2", "conv1", NULL, 0 },
    { "emb_layers.1", "time_emb_proj", NULL, 0 },
    { "out_layers.0", "norm2", NULL, 0 },
    { "out_layers.3", "conv2", NULL, 0 },
    { "skip_connection", "conv_shortcut", NULL, 0 },
    { 0 },
};

static const Rename UNET[] = {
    { "time_embed.0", "time_embedding.linear_1", NULL, 0 },
    { "time_embed.2", "time_embedding.linear_2", NULL, 0 },
    { "input_blocks.0.0", "conv_in", NULL, 0 },
    { "input_blocks.#.0.op", "down_blocks.I.downsamplers.0.conv", NULL, 1 },
    { "input_blocks.#.0", "down_blocks.I.resnets.J", UNET_RESNET, 1 },
    { "input_blocks.#.1", "down_blocks.I.attentions.J", NULL, 1 },
    { "middle_block.0", "mid_block.resnets.0", UNET_RESNET, 0 },
    { "middle_block.1", "mid_block.attentions.0", NULL, 0 },
    { "middle_block.2", "mid_block.resnets.1", UNET_RESNET, 0 },
    { "output_blocks.#.0", "up_blocks.I.resnets.J", UNET_RESNET, 0 },
    { "output_blocks.#.1.conv", "up_blocks.I.upsamplers.0.conv", NULL, 0 }, /* a level without attention */
    { "output_blocks.#.1", "up_blocks.I.attentions.J", NULL, 0 },
    { "output_blocks.#.2.conv", "up_blocks.I.upsamplers.0.conv", NULL, 0 },
    { "out.0", "conv_norm_out", NULL, 0 },
    { "out.2", "conv_out", NULL, 0 },
    { 0 },
};

static const Rename VAE_RESNET[] = {
    { "norm1", "norm1", NULL, 0 },
    { "conv1", "conv1", NULL, 0 },
    { "norm2", "norm2", NULL, 0 },
    { "conv2", "conv2", NULL, 0 },
    { "nin_shortcut", "conv_shortcut", NULL, 0 },
    { 0 },
};

/* These layers are 1x1 convolutions in the original layout. Files that were converted to diffusers' layout
   and back have diffusers' newer or older names here. */
static const Rename VAE_ATTENTION[] = {
    { "norm", "group_norm", NULL, 0 },
    { "q", "to_q", NULL, 0 },
    { "k", "to_k", NULL, 0 },
    { "v", "to_v", NULL, 0 },
    { "proj_out", "to_out.0", NULL, 0 },
    { "group_norm", "group_norm", NULL, 0 },
    { "to_q", "to_q", NULL, 0 },
    { "to_k", "to_k", NULL, 0 },
    { "to_v", "to_v", NULL, 0 },
    { "to_out.0", "to_out.0", NULL, 0 },
    { "query", "to_q", NULL, 0 },
    { "key", "to_k", NULL, 0 },
    { "value", "to_v", NULL, 0 },
    { "proj_attn", "to_out.0", NULL, 0 },
    { 0 },
};

static const Rename VAE[] = {
    { "encoder.conv_in", "encoder.conv_in", NULL, 0 },
    { "encoder.down.#.block.#", "encoder.down_blocks.A.resnets.B", VAE_RESNET, 0 },
    { "encoder.down.#.downsample.conv", "encoder.down_blocks.A.downsamplers.0.conv", NULL, 0 },
    { "encoder.mid.block_1", "encoder.mid_block.resnets.0", VAE_RESNET, 0 },
    { "encoder.mid.attn_1", "encoder.mid_block.attentions.0", VAE_ATTENTION, 0 },
    { "encoder.mid.block_2", "encoder.mid_block.resnets.1", VAE_RESNET, 0 },
    { "encoder.norm_out", "encoder.conv_norm_out", NULL, 0 },
    { "encoder.conv_out", "encoder.conv_out", NULL, 0 },
    { "quant_conv", "quant_conv", NULL, 0 },
    { "post_quant_conv", "post_quant_conv", NULL, 0 },
    { "decoder.conv_in", "decoder.conv_in", NULL, 0 },
    { "decoder.mid.block_1", "decoder.mid_block.resnets.0", VAE_RESNET, 0 },
    { "decoder.mid.attn_1", "decoder.mid_block.attentions.0", VAE_ATTENTION, 0 },
    { "decoder.mid.block_2", "decoder.mid_block.resnets.1", VAE_RESNET, 0 },
    { "decoder.up.#.block.#", "decoder.up_blocks.R.resnets.B", VAE_RESNET, 0 },
    { "decoder.up.#.upsample.conv", "decoder.up_blocks.R.upsamplers.0.conv", NULL, 0 },
    { "decoder.norm_out", "decoder.conv_norm_out", NULL, 0 },
    { "decoder.conv_out", "decoder.conv_out", NULL, 0 },
    { 0 },
};

/* Checkpoints of Stable Diffusion 1.x name the text encoder's tensors as transformers does. */
static const Rename CLIP[] = {
    { "embeddings.token_embedding", "embeddings.token_embedding", NULL, 0 },
    { "embeddings.position_embedding", "embeddings.position_embedding", NULL, 0 },
    { "encoder.layers.#", "encoder.layers.A", NULL, 0 },
    { "final_layer_norm", "final_layer_norm", NULL, 0 },
    { 0 },
};

static const Rename OPENCLIP_LAYER[] = {
    { "ln_1", "layer_norm1", NULL, 0 },
    { "attn.in_proj_weight", "self_attn.Q_proj.weight", NULL, 0 },
    { "attn.in_proj_bias", "self_attn.Q_proj.bias", NULL, 0 },
    { "attn.out_proj", "self_attn.out_proj", NULL, 0 },
    { "ln_2", "layer_norm2", NULL, 0 },
    { "mlp.c_fc", "mlp.fc1", NULL, 0 },
    { "mlp.c_proj", "mlp.fc2", NULL, 0 },
    { 0 },
};

/* Checkpoints of Stable Diffusion 2.x name the text encoder's tensors as OpenCLIP does. */
static const Rename OPENCLIP[] = {
    { "token_embedding", "embeddings.token_embedding", NULL, 0 },
    { "positional_embedding", "embeddings.position_embedding.weight", NULL, 0 },
    { "transformer.resblocks.#", "encoder.layers.A", OPENCLIP_LAYER, 0 },
    { "ln_final", "final_layer_norm", NULL, 0 },
    { 0 },
};

static const struct {
    const char *prefix;
    ModelPart part;
    const Rename *names;
} PREFIXES[] = {
    { "model.diffusion_model.", PART_UNET, UNET },
    { "first_stage_model.", PART_VAE, VAE },
    { "cond_stage_model.transformer.text_model.", PART_TEXT_ENCODER, CLIP },
    { "cond_stage_model.transformer.", PART_TEXT_ENCODER, CLIP }, /* as transformers names it since 5.0 */
    { "cond_stage_model.model.", PART_TEXT_ENCODER, OPENCLIP },
};

/* ---- renaming ---- */

enum { NUMBERS_MAX = 2, DIGITS_MAX = 4 };

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* If the name begins with the pattern, reads the pattern's numbers and returns the rest of the name.
   Otherwise returns NULL. */
static const char *match(const char *pattern, const char *name, int numbers[NUMBERS_MAX]) {
    for (int found = 0; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*name++ != *pattern) return NULL;
            continue;
        }
        int digits = 0, n = 0;
        for (; digits < DIGITS_MAX && is_digit(name[digits]); digits++) n = 10 * n + (name[digits] - '0');
        if (digits == 0 || is_digit(name[digits]) || (digits > 1 && name[0] == '0')) return NULL;
        numbers[found++] = n;
        name += digits;
    }
    return *name == '.' || !*name ? name : NULL;
}

/* The numbers on which the replacement of the letters depends. */
typedef struct {
    int unet_layers, vae_levels, third; /* third is 0, 1 or 2 for q, k or v */
} Sizes;

/* Appends the name `diffusers` of a row with its letters replaced. Returns false if a number would be
   negative. */
static bool append(char out[ORIGINAL_NAME], const char *diffusers, const int numbers[NUMBERS_MAX], int first,
                   Sizes sizes) {
    size_t n = strlen(out);
    int blocks = sizes.unet_layers + 1, from_first = numbers[0] - first;
    for (const char *c = diffusers; *c; c++) {
        int value = *c == 'A'   ? numbers[0]
                    : *c == 'B' ? numbers[1]
                    : *c == 'R' ? sizes.vae_levels - 1 - numbers[0]
                    : *c == 'I' ? (from_first < 0 ? -1 : from_first / blocks)
                    : *c == 'J' ? (from_first < 0 ? -1 : from_first % blocks)
                                : 0;
        if (value < 0) return false;
        if (strchr("ABRIJ", *c))
            n += (size_t)snprintf(out + n, ORIGINAL_NAME - n, "%d", value);
        else
            out[n++] = *c == 'Q' ? "qkv"[sizes.third] : *c;
    }
    out[n] = 0;
    return true;
}

/* Appends the new name to out, by this table and the tables that its rows refer to. Returns false if no row
   matches. Sets *thirds to true if the tensor holds q, k and v. */
static bool rename_by(const Rename *table, const char *name, Sizes sizes, char out[ORIGINAL_NAME],
                      bool *thirds) {
    for (const Rename *row = table; row->original; row++) {
        int numbers[NUMBERS_MAX] = { 0 };
        const char *rest = match(row->original, name, numbers);
        if (!rest) continue;
        if (!append(out, row->diffusers, numbers, row->first, sizes)) return false;
        *thirds = *thirds || strchr(row->diffusers, 'Q');
        if (row->rest) {
            if (*rest != '.') return false;
            strcat(out, ".");
            return rename_by(row->rest, rest + 1, sizes, out, thirds);
        }
        strcat(out, rest);
        return true;
    }
    return false;
}

int original_rename(const char *name, int unet_layers, int vae_levels, ModelPart *part,
                    char renamed[3][ORIGINAL_NAME]) {
    if (strlen(name) > ORIGINAL_NAME / 2) return 0; /* the tables add far less than the other half */
    for (size_t i = 0; i < sizeof PREFIXES / sizeof *PREFIXES; i++) {
        size_t n = strlen(PREFIXES[i].prefix);
        if (strncmp(name, PREFIXES[i].prefix, n) != 0) continue;
        *part = PREFIXES[i].part;
        bool thirds = false;
        for (int k = 0; k == 0 || (k < 3 && thirds); k++) {
            renamed[k][0] = 0;
            Sizes sizes = { unet_layers, vae_levels, k };
            if (!rename_by(PREFIXES[i].names, name + n, sizes, renamed[k], &thirds)) break;
            if (k == 2 || !thirds) return k + 1;
        }
    }
    return 0;
}

/* ---- the views ---- */

static bool has(const Safetensors *s, const char *format, int number) {
    char name[128];
    snprintf(name, sizeof name, format, number);
    return safetensors_find(s, name) != NULL;
}

enum { BLOCKS_MAX = 1000 };

/* Returns the number of ResNet layers of the first level, which ends before the first block that halves the
   resolution. Without such a block there is only one level. */
static int count_unet_layers(const Safetensors *s) {
    int n = 1;
    while (n < BLOCKS_MAX && has(s, "model.diffusion_model.input_blocks.%d.0.in_layers.0.weight", n)) n++;
    return n - 1;
}

static int count_vae_levels(const Safetensors *s) {
    int n = 0;
    while (n < BLOCKS_MAX && has(s, "first_stage_model.decoder.up.%d.block.0.conv1.weight", n)) n++;
    return n;
}

/* A view of one of the file's tensors, or of a third of one. */
typedef struct {
    SafeTensor tensor;
    int64_t source; /* index of the file's tensor */
} View;

static int by_name(const void *a, const void *b) {
    return strcmp(((const View *)a)->tensor.weight.name, ((const View *)b)->tensor.weight.name);
}

/* Reduces the tensor to the k-th of n equal parts of its rows. Returns false if its rows cannot be divided
   by n. */
static bool take_part(SafeTensor *t, int k, int n) {
    Weight *w = &t->weight;
    if (n == 1) return true;
    if (w->shape.rank == 0 || w->shape.dim[0] % n != 0 || t->size % (size_t)n != 0) return false;
    w->shape.dim[0] /= n;
    t->size /= (size_t)n;
    w->data = (const char *)w->data + (size_t)k * t->size;
    return true;
}

/* The VAE's attention consists of 1x1 convolutions in the original layout and of linear layers in diffusers;
   the numbers are the same. */
static void flatten(SafeTensor *t, ModelPart part) {
    Shape *shape = &t->weight.shape;
    if (part == PART_VAE && strstr(t->weight.name, ".attentions.0.to_") && shape->rank == 4 &&
        shape->dim[2] == 1 && shape->dim[3] == 1)
        *shape = shape2(shape->dim[0], shape->dim[1]);
}

static void make_part(OriginalFile *o, ModelPart part, View *views, int64_t count) {
    static const char *const names[] = { "text_encoder", "unet", "vae" };
    if (count) qsort(views, (size_t)count, sizeof *views, by_name);
    Safetensors *s = &o->parts[part];
    *s = (Safetensors) { .path =
                             mem_format("%s (%s, by diffusers' names)", o->single.file.path, names[part]) };
    s->tensors = mem_alloc((size_t)count * sizeof *s->tensors);
    o->single.sources[part] = mem_alloc((size_t)count * sizeof *o->single.sources[part]);
    for (int64_t i = 0; i < count; i++) {
        if (s->count && strcmp(s->tensors[s->count - 1].weight.name, views[i].tensor.weight.name) == 0)
            continue; /* two of the file's names became the same name */
        o->single.sources[part][s->count] = views[i].source;
        s->tensors[s->count++] = views[i].tensor;
    }
}

/* Counts the views of the file's tensors and the bytes of their names. Once o->single.names is allocated, it
   also makes the views. */
static void make_views(OriginalFile *o, View *views[PART_COUNT], int64_t counts[PART_COUNT], size_t *bytes) {
    int layers = count_unet_layers(&o->single.file), levels = count_vae_levels(&o->single.file);
    memset(counts, 0, PART_COUNT * sizeof *counts);
    *bytes = 0;
    for (int64_t i = 0; i < o->single.file.count; i++) {
        char renamed[3][ORIGINAL_NAME];
        ModelPart part = PART_COUNT;
        int n = original_rename(o->single.file.tensors[i].weight.name, layers, levels, &part, renamed);
        for (int k = 0; k < n; k++) {
            View view = { o->single.file.tensors[i], i };
            if (!take_part(&view.tensor, k, n)) break;
            if (o->single.names) {
                view.tensor.weight.name = strcpy(o->single.names + *bytes, renamed[k]);
                flatten(&view.tensor, part);
                views[part][counts[part]] = view;
            }
            counts[part]++;
            *bytes += strlen(renamed[k]) + 1;
        }
    }
}

void original_open(Safetensors file, OriginalFile *o) {
    *o = (OriginalFile) { .single.file = file };
    View *views[PART_COUNT] = { NULL };
    int64_t counts[PART_COUNT];
    size_t bytes;
    make_views(o, views, counts, &bytes);
    for (int p = 0; p < PART_COUNT; p++) views[p] = mem_alloc((size_t)counts[p] * sizeof **views);
    o->single.names = mem_alloc(bytes + 1);
    make_views(o, views, counts, &bytes);
    for (int p = 0; p < PART_COUNT; p++) {
        make_part(o, (ModelPart)p, views[p], counts[p]);
        free(views[p]);
    }
    o->openclip = safetensors_find(&file, "cond_stage_model.model.token_embedding.weight") != NULL;
}
