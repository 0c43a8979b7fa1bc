/* SPDX-License-Identifier: MIT */
/* Fuzzing target: a model in one file of the original layout, including the loaders of its parts. */
#define _POSIX_C_SOURCE 200809L
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diffusion/model.h"
#include "exchange/family.h"
#include "exchange/original.h"
#include "exchange/single.h"

#define UNET "model.diffusion_model."
#define VAE  "first_stage_model."
#define CLIP "cond_stage_model.transformer.text_model."
#define OPEN "cond_stage_model.model."

static const char *const MODEL_WORDS[] = { UNET,
                                           VAE,
                                           CLIP,
                                           OPEN,
                                           "input_blocks.",
                                           "output_blocks.",
                                           "middle_block.",
                                           "encoder.",
                                           "decoder.",
                                           "down.",
                                           "up.",
                                           "block.",
                                           "mid.attn_1.",
                                           "transformer.resblocks.",
                                           "attn.in_proj_weight",
                                           "0.in_layers.2.weight",
                                           "0.op.weight",
                                           "1.transformer_blocks.0.attn2.to_k.weight",
                                           "0.",
                                           "1.",
                                           "2.",
                                           "999.",
                                           "9999.",
                                           "99999.",
                                           "00.",
                                           ".",
                                           "\"U8\"",
                                           "\"F32\"",
                                           "\"F4\"",
                                           "32",
                                           "0",
                                           "9007199254740991",
                                           "conditioner.embedders.",
                                           "lora_",
                                           "clip_l",
                                           "control_model.",
                                           NULL };

typedef struct {
    const char *name;
    Shape shape;
} Entry;

/* The tensors from whose shapes the configs are derived, without those of the text encoder. They have bytes
   instead of floats, which keeps the file small but makes the loaders refuse them. */
static const Entry SHARED[] = {
    { UNET "input_blocks.0.0.weight", { 2, { 32, 4 } } },
    { UNET "input_blocks.1.0.in_layers.0.weight", { 1, { 32 } } },
    { UNET "input_blocks.1.0.in_layers.2.weight", { 1, { 32 } } },
    { UNET "input_blocks.1.1.norm.weight", { 1, { 32 } } },
    { UNET "input_blocks.1.1.proj_in.weight", { 1, { 32 } } },
    { UNET "input_blocks.1.1.transformer_blocks.0.norm1.weight", { 1, { 32 } } },
    { UNET "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", { 2, { 1, 64 } } },
    { UNET "input_blocks.2.0.op.weight", { 1, { 1 } } },
    { UNET "input_blocks.3.0.in_layers.2.weight", { 1, { 64 } } },
    { UNET "middle_block.1.norm.weight", { 1, { 64 } } },
    { UNET "middle_block.1.proj_in.weight", { 1, { 64 } } },
    { UNET "output_blocks.0.0.in_layers.2.weight", { 1, { 64 } } },
    { UNET "output_blocks.1.1.conv.weight", { 1, { 1 } } },
    { UNET "output_blocks.2.1.norm.weight", { 1, { 1 } } },
    { UNET "out.2.weight", { 1, { 4 } } },
    { VAE "encoder.down.0.block.0.conv1.weight", { 1, { 32 } } },
    { VAE "encoder.down.0.downsample.conv.weight", { 1, { 1 } } },
    { VAE "encoder.mid.attn_1.norm.weight", { 1, { 32 } } },
    { VAE "encoder.mid.attn_1.q.weight", { 4, { 2, 2, 1, 1 } } },
    { VAE "decoder.conv_in.weight", { 2, { 32, 4 } } },
    { VAE "decoder.up.0.block.0.conv1.weight", { 1, { 32 } } },
    { VAE "quant_conv.weight", { 1, { 1 } } },
    { "betas", { 1, { 2 } } },
};
static const Entry CLIP_TEXT[] = { { CLIP "embeddings.token_embedding.weight", { 2, { 2, 64 } } },
                                   { CLIP "embeddings.position_embedding.weight", { 2, { 3, 1 } } },
                                   { CLIP "embeddings.position_ids", { 1, { 3 } } },
                                   { CLIP "encoder.layers.0.mlp.fc1.weight", { 1, { 4 } } } };
static const Entry OPENCLIP_TEXT[] = { { OPEN "token_embedding.weight", { 2, { 2, 64 } } },
                                       { OPEN "positional_embedding", { 2, { 3, 1 } } },
                                       { OPEN "transformer.resblocks.0.mlp.c_fc.weight", { 1, { 4 } } },
                                       { OPEN "transformer.resblocks.0.attn.in_proj_weight",
                                         { 2, { 6, 1 } } } };

/* Appends entries to *header. Their data begin at offset `at`. Returns the offset at which the data end. */
static int64_t add_entries(char **header, const Entry *entries, size_t count, int64_t at) {
    for (size_t i = 0; i < count; i++) {
        char shape[SHAPE_TEXT];
        int64_t end = at + shape_count(entries[i].shape);
        char *more = mem_format("%s%c\"%s\":{\"dtype\":\"U8\",\"shape\":%s,\"data_offsets\":[%lld,%lld]}",
                                *header, at ? ',' : '{', entries[i].name, shape_text(entries[i].shape, shape),
                                (long long)at, (long long)end);
        free(*header);
        *header = more;
        at = end;
    }
    return at;
}

/* Adds files of other kinds, which are recognised by one or two names. */
static void family_seeds(Seeds *s) {
    static const char *const names[][2] = {
        { UNET "input_blocks.0.0.weight", UNET "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight" },
        { VAE "decoder.conv_in.weight", CLIP "embeddings.token_embedding.weight" },
        { "time_embedding.linear_1.weight", "conv_in.weight" },
        { "encoder.conv_in.weight", "decoder.conv_in.weight" },
        { "text_model.embeddings.token_embedding.weight", "x.weight" },
        { "<a>", "<b>" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *header = mem_string("");
        const Entry two[] = { { names[i][0], { 2, { 1, 9 } } }, { names[i][1], { 2, { 1, 9 } } } };
        int64_t data = add_entries(&header, two, 2, 0);
        char *whole = mem_format("%s}", header);
        seeds_header(s, whole, (size_t)data);
        free(header);
        free(whole);
    }
    seeds_text(s, "GGUF");
    seeds_text(s, "PK\3\4");
}

static void model_seeds(Seeds *s) {
    family_seeds(s);
    /* The models are added three times each, so that they are nearly as many as the other seeds. */
    for (int i = 0; i < 6; i++) {
        bool sd2 = i % 2;
        char *header = mem_string("");
        int64_t data = add_entries(&header, SHARED, sizeof SHARED / sizeof *SHARED, 0);
        data = add_entries(&header, sd2 ? OPENCLIP_TEXT : CLIP_TEXT, 4, data);
        char *whole = mem_format("%s}", header);
        seeds_header(s, whole, (size_t)data);
        free(header);
        free(whole);
    }
}

/* Checks that each view lies within its tensor, and that each part is sorted by name. */
static void check_views(const OriginalFile *o) {
    for (int p = 0; p < PART_COUNT; p++)
        for (int64_t i = 0; i < o->parts[p].count; i++) {
            const SafeTensor *t = &o->parts[p].tensors[i],
                             *source = &o->single.file.tensors[o->single.sources[p][i]];
            const char *data = t->weight.data, *from = source->weight.data;
            CHECK(from <= data && data + t->size <= from + source->size);
            CHECK(i == 0 || strcmp(t[-1].weight.name, t->weight.name) < 0);
            CHECK(shape_count(t->weight.shape) <= shape_count(source->weight.shape));
            touch(t->weight.data, t->size);
        }
}

/* Loads the networks of nn/ with the configs that were derived from the shapes in the file. */
static void load_parts(ModelFolder *f) {
    Clip clip = clip_load(&f->clip, f->text_encoder);
    Unet unet = unet_load(&f->unet_config, f->unet);
    Vae vae = vae_load(&f->vae_config, f->vae);
    clip_free(&clip);
    unet_free(&unet);
    vae_free(&vae);
    Unused unused = { 0 };
    folder_unused(f, &unused);
    free(unused_text(&unused));
    unused_free(&unused);
}

static bool try_model(const unsigned char *bytes, size_t size) {
    FILE *file = fopen(scratch_path(), "wb");
    CHECK(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
    Safetensors s;
    Messages errors = { 0 }, warnings = { 0 };
    if (safetensors_parse("x", bytes, size, &s, &errors)) {
        OriginalFile o;
        CHECK(weights_family(&s).text[0]);
        original_open(s, &o);
        check_views(&o);
        for (int p = 0; p < PART_COUNT; p++) safetensors_close(&o.parts[p]);
        single_file_close(&o.single);
    }
    messages_free(&errors);
    ModelFolder f;
    bool ok = verdict(exchange_open_model(scratch_path(), NULL, &f, &errors, &warnings), &errors, &warnings);
    if (!ok) return false;
    load_parts(&f); /* the stores add to errors */
    folder_close(&f);
    CHECK(errors.count > 0); /* since no weight is a float */
    return !verdict(false, &errors, NULL);
}

const Target MODEL_TARGETS[] = {
    { "single_file", 6, MODEL_WORDS, model_seeds, repair_header, try_model },
    { .name = NULL },
};
