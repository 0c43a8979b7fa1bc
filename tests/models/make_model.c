/* SPDX-License-Identifier: MIT */
/* make_model --family sd15|sd21|tiny --dtype f32|f16|bf16 --layout folder|single OUT writes a whole Stable
   Diffusion model whose weights are generated from the tensors' names (tests/made_model.h), as a folder in
   diffusers' layout or as one file in the original layout. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "text/unicode.h"
#include "tests/made_model.h"

static const char *const FAMILY_NAMES[] = { "sd15", "sd21", "tiny", NULL };
static const char *const DTYPE_NAMES[] = { "f32", "f16", "bf16", NULL }; /* in DType's order */
static const char *const LAYOUTS[] = { "folder", "single", NULL };
enum { FOLDER, SINGLE };

typedef struct {
    Given given;
    int family, dtype, layout;
    bool leftovers;
    char *out;
} MakeOptions;

#define AT(field) offsetof(MakeOptions, field)
static const Option OPTIONS[] = {
    { "family", OPTION_CHOICE, AT(family), "sd15|sd21|tiny", .choices = FAMILY_NAMES, .required = true,
      .help = "the architecture" },
    { "dtype", OPTION_CHOICE, AT(dtype), "f32|f16|bf16", .choices = DTYPE_NAMES, .standard = "f32",
      .help = "the type of the weights; the values are the same" },
    { "layout", OPTION_CHOICE, AT(layout), "folder|single", .choices = LAYOUTS, .standard = "folder",
      .help = "diffusers' folder, or one file with the original names" },
    { "leftovers", OPTION_FLAG, AT(leftovers),
      .help = "with --layout single, also writes tensors that full checkpoints contain beside the model "
              "(averaged weights, the noise schedule, position ids)" },
    { "out", OPTION_STRING, AT(out), "OUT", .required = true, .positional = true,
      .help = "the folder or the file" },
};

static const Command MAKE_MODEL = {
    .name = "make_model",
    .summary = "Writes a model whose weights are generated from the tensors' names.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .examples = "  make_model --family tiny --dtype f16 --layout single tiny.safetensors\n",
};

/* The header and the tensors of a safetensors file */

/* A tensor that full checkpoints contain although it is no part of the model. Its elements are zeros. type is
   the name of their type in safetensors, and size the bytes of one. */
typedef struct {
    const char *name, *type;
    int64_t count;
    size_t size;
} Leftover;

static const Leftover LEFTOVERS[] = {
    { "model_ema.decay", "F32", 1, 4 },
    { "model_ema.num_updates", "I32", 1, 4 },
    { "model_ema.diffusion_modelinput_blocks00bias", "F32", 320, 4 },
    { "betas", "F32", 1000, 4 },
    { "alphas_cumprod", "F32", 1000, 4 },
    { "cond_stage_model.transformer.text_model.embeddings.position_ids", "I64", 77, 8 },
};
enum { LEFTOVER_COUNT = sizeof LEFTOVERS / sizeof *LEFTOVERS };

typedef struct {
    const MadeTensors *tensors;
    Part part; /* PARTS stands for all parts in one file, under their original names */
    DType dtype;
    bool leftovers;
} FileContent;

static bool belongs(const FileContent *f, const MadeTensor *t) {
    return f->part == PARTS || f->part == t->part;
}

static const char *name_in(const FileContent *f, const MadeTensor *t) {
    return f->part == PARTS ? t->original.text : t->name.text;
}

/* In the original layout several tensors may be slices of a single one. Fills *shape with the shape of the
   whole tensor that begins with tensor i, and returns the index after its last slice. */
static int64_t whole_tensor(const FileContent *f, int64_t i, Shape *shape) {
    const MadeTensor *all = f->tensors->at;
    int64_t end = i + 1;
    *shape = all[i].shape;
    for (; end < f->tensors->count && belongs(f, &all[end]) &&
           strcmp(name_in(f, &all[i]), name_in(f, &all[end])) == 0;
         end++)
        shape->dim[0] += all[end].shape.dim[0];
    if (f->part == PARTS && all[i].pointwise) *shape = shape4(shape->dim[0], shape->dim[1], 1, 1);
    return end;
}

static void add_entry(Messages *header, const char *name, const char *type, Shape shape, size_t size,
                      size_t *offset) {
    char text[SHAPE_TEXT];
    size_t bytes = (size_t)shape_count(shape) * size;
    messages_add(header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}", name, type,
                 shape_text(shape, text), *offset, *offset + bytes);
    *offset += bytes;
}

static void write_header(const FileContent *f, Output *out) {
    Messages header = { 0 };
    size_t offset = 0;
    messages_add(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int64_t i = 0, end; i < f->tensors->count; i = end) {
        Shape shape;
        end = whole_tensor(f, i, &shape);
        if (belongs(f, &f->tensors->at[i]))
            add_entry(&header, name_in(f, &f->tensors->at[i]), dtype_name(f->dtype), shape,
                      dtype_size(f->dtype), &offset);
    }
    for (int i = 0; i < LEFTOVER_COUNT && f->leftovers; i++)
        add_entry(&header, LEFTOVERS[i].name, LEFTOVERS[i].type, shape1(LEFTOVERS[i].count),
                  LEFTOVERS[i].size, &offset);
    messages_add(&header, "}");
    size_t padding = (8 - header.length % 8) % 8;
    uint64_t size = header.length + padding;
    unsigned char start[8];
    for (int i = 0; i < 8; i++) start[i] = (unsigned char)(size >> 8 * i);
    output_write(out, start, 8);
    output_write(out, header.text, header.length);
    output_write(out, "       ", padding);
    messages_free(&header);
}

/* Writes the bytes of k 2^-exponent in the given type. Aborts if the type cannot represent the number
   exactly. */
static void make_value(DType type, int k, int exponent, unsigned char out[4]) {
    float value = ldexpf((float)k, -exponent), back;
    if (type == F32) {
        memcpy(out, &value, 4);
        return;
    }
    uint32_t bits;
    uint16_t half;
    memcpy(&bits, &value, 4);
    if (type == BF16) {
        half = (uint16_t)(bits >> 16);
    } else {
        /* Below 2^-14 an F16 is subnormal, and its bits count multiples of 2^-24. Above that it has the top
           bits of the F32, with another offset of the exponent. */
        uint32_t sign = bits >> 16 & 0x8000, steps = (uint32_t)ldexpf(fabsf(value), 24);
        half = (uint16_t)(sign | (steps < 1024 ? steps : (bits >> 13 & 0x3ffff) - (112 << 10)));
    }
    memcpy(out, &half, 2);
    widen(type, out, 1, &back);
    CHECK(back == value);
}

static void write_tensor(const MadeTensor *t, DType type, Output *out) {
    int64_t count = shape_count(t->shape), chunk = min_i64(count, 1 << 22);
    size_t size = dtype_size(type);
    unsigned char table[255][4], *indices = mem_alloc((size_t)chunk),
                                 *bytes = mem_alloc((size_t)chunk * size);
    for (int i = 0; i <= 2 * t->spread; i++)
        make_value(type, t->centre - t->spread + i, t->exponent, table[i]);
    for (int64_t done = 0; done < count; done += chunk) {
        int64_t n = min_i64(chunk, count - done);
        made_indices(t, done, n, indices);
#pragma omp parallel for schedule(static) if (n > MADE_RUN)
        for (int64_t i = 0; i < n; i++) memcpy(bytes + (size_t)i * size, table[indices[i]], size);
        output_write(out, bytes, (size_t)n * size);
    }
    free(indices);
    free(bytes);
}

static bool write_weights(const FileContent *f, const char *path, Messages *errors) {
    Output out;
    output_open(&out, path);
    write_header(f, &out);
    for (int64_t i = 0; i < f->tensors->count; i++)
        if (belongs(f, &f->tensors->at[i])) write_tensor(&f->tensors->at[i], f->dtype, &out);
    for (int i = 0; i < LEFTOVER_COUNT && f->leftovers; i++) {
        size_t size = (size_t)LEFTOVERS[i].count * LEFTOVERS[i].size;
        void *zeros = mem_alloc(size);
        output_write(&out, zeros, size);
        free(zeros);
    }
    return output_commit(&out, errors);
}

/* The folder's other files, as diffusers and transformers write them */

static FILE *create(const char *folder, const char *name, Messages *errors) {
    char *path = mem_format("%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (!file) messages_add(errors, "%s: cannot be written", path);
    free(path);
    return file;
}

static void write_index(FILE *f, const Family *family) {
    fprintf(f, "{\n  \"_class_name\": \"StableDiffusionPipeline\",\n  \"_diffusers_version\": \"0.10.0\",\n");
    fprintf(f, "  \"feature_extractor\": [null, null],\n  \"requires_safety_checker\": false,\n");
    fprintf(f, "  \"safety_checker\": [null, null],\n  \"scheduler\": [\"diffusers\", \"%s\"],\n",
            family->v_prediction ? "DDIMScheduler" : "PNDMScheduler");
    fprintf(f, "  \"text_encoder\": [\"transformers\", \"CLIPTextModel\"],\n");
    fprintf(f, "  \"tokenizer\": [\"transformers\", \"CLIPTokenizer\"],\n");
    fprintf(f, "  \"unet\": [\"diffusers\", \"UNet2DConditionModel\"],\n");
    fprintf(f, "  \"vae\": [\"diffusers\", \"AutoencoderKL\"]\n}\n");
}

static void write_scheduler(FILE *f, const Family *family) {
    fprintf(f, "{\n  \"_class_name\": \"%s\",\n", family->v_prediction ? "DDIMScheduler" : "PNDMScheduler");
    fprintf(f, "  \"_diffusers_version\": \"0.10.0\",\n  \"beta_end\": 0.012,\n");
    fprintf(
        f,
        "  \"beta_schedule\": \"scaled_linear\",\n  \"beta_start\": 0.00085,\n  \"clip_sample\": false,\n");
    fprintf(f, "  \"num_train_timesteps\": 1000,\n  \"prediction_type\": \"%s\",\n",
            family->v_prediction ? "v_prediction" : "epsilon");
    fprintf(f, "  \"set_alpha_to_one\": false,\n  \"skip_prk_steps\": true,\n  \"steps_offset\": 1,\n");
    fprintf(f, "  \"trained_betas\": null\n}\n");
}

static void write_text_config(FILE *f, const Family *family) {
    const ClipConfig *c = &family->clip;
    fprintf(f, "{\n  \"architectures\": [\"CLIPTextModel\"],\n  \"attention_dropout\": 0.0,\n");
    fprintf(f, "  \"bos_token_id\": 0,\n  \"dropout\": 0.0,\n  \"eos_token_id\": 2,\n");
    fprintf(f, "  \"hidden_act\": \"%s\",\n", c->activation == ACT_GELU ? "gelu" : "quick_gelu");
    fprintf(f, "  \"hidden_size\": %lld,\n  \"intermediate_size\": %lld,\n", (long long)c->hidden_size,
            (long long)c->intermediate_size);
    fprintf(f, "  \"layer_norm_eps\": 1e-05,\n  \"max_position_embeddings\": %lld,\n",
            (long long)c->positions);
    fprintf(f, "  \"model_type\": \"clip_text_model\",\n  \"num_attention_heads\": %d,\n", c->heads);
    fprintf(f, "  \"num_hidden_layers\": %d,\n  \"pad_token_id\": 1,\n  \"torch_dtype\": \"float32\",\n",
            c->layers);
    fprintf(f, "  \"vocab_size\": %lld\n}\n", (long long)c->vocab_size);
}

static void write_channels(FILE *f, const int64_t *channels, int levels) {
    Shape shape = { .rank = levels };
    char text[SHAPE_TEXT];
    memcpy(shape.dim, channels, (size_t)levels * sizeof *channels);
    fprintf(f, "  \"block_out_channels\": %s,\n", shape_text(shape, text));
}

/* Writes a list of block types. attends says which blocks have transformers. It is NULL for the VAE, none of
   whose blocks has one. */
static void write_blocks(FILE *f, const char *key, const char *kind, const bool *attends, int levels) {
    fprintf(f, "  \"%s\": [", key);
    for (int i = 0; i < levels; i++)
        fprintf(f, "%s\n    \"%s%s\"", i ? "," : "", attends && attends[i] ? "CrossAttn" : "", kind);
    fprintf(f, "\n  ],\n");
}

static void write_unet_config(FILE *f, const Family *family) {
    const UnetConfig *c = &family->unet;
    fprintf(f, "{\n  \"_class_name\": \"UNet2DConditionModel\",\n  \"_diffusers_version\": \"0.10.0\",\n");
    fprintf(f, "  \"act_fn\": \"silu\",\n  \"attention_head_dim\": [%d, %d, %d, %d],\n", c->heads[0],
            c->heads[1], c->heads[2], c->heads[3]);
    write_channels(f, c->channels, c->levels);
    fprintf(f, "  \"center_input_sample\": false,\n  \"cross_attention_dim\": %lld,\n",
            (long long)c->cross_attention_dim);
    write_blocks(f, "down_block_types", "DownBlock2D", c->down_attends, c->levels);
    fprintf(f, "  \"downsample_padding\": 1,\n  \"dual_cross_attention\": false,\n");
    fprintf(f, "  \"flip_sin_to_cos\": true,\n  \"freq_shift\": 0,\n  \"in_channels\": 4,\n");
    fprintf(f, "  \"layers_per_block\": %d,\n  \"mid_block_scale_factor\": 1,\n", c->layers_per_block[0]);
    fprintf(f, "  \"norm_eps\": 1e-05,\n  \"norm_num_groups\": %d,\n  \"num_class_embeds\": null,\n",
            c->groups);
    fprintf(f, "  \"only_cross_attention\": false,\n  \"out_channels\": 4,\n  \"sample_size\": %lld,\n",
            (long long)c->sample_size);
    write_blocks(f, "up_block_types", "UpBlock2D", c->up_attends, c->levels);
    fprintf(f, "  \"use_linear_projection\": %s\n}\n", c->linear_projection ? "true" : "false");
}

static void write_vae_config(FILE *f, const Family *family) {
    const VaeConfig *c = &family->vae;
    fprintf(f, "{\n  \"_class_name\": \"AutoencoderKL\",\n  \"_diffusers_version\": \"0.10.0\",\n");
    fprintf(f, "  \"act_fn\": \"silu\",\n");
    write_channels(f, c->channels, c->levels);
    write_blocks(f, "down_block_types", "DownEncoderBlock2D", NULL, c->levels);
    fprintf(f, "  \"in_channels\": 3,\n  \"latent_channels\": 4,\n  \"layers_per_block\": %d,\n",
            c->layers_per_block);
    fprintf(f, "  \"norm_num_groups\": %d,\n  \"out_channels\": 3,\n  \"sample_size\": %lld,\n", c->groups,
            (long long)c->sample_size);
    write_blocks(f, "up_block_types", "UpDecoderBlock2D", NULL, c->levels);
    fprintf(f, "  \"scaling_factor\": 0.18215\n}\n");
}

static void write_tokenizer_config(FILE *f, const Family *family) {
    fprintf(f, "{\n  \"add_prefix_space\": false,\n  \"bos_token\": \"<|startoftext|>\",\n");
    fprintf(f,
            "  \"do_lower_case\": true,\n  \"eos_token\": \"<|endoftext|>\",\n  \"errors\": \"replace\",\n");
    fprintf(f, "  \"model_max_length\": %lld,\n  \"pad_token\": \"%s\",\n", (long long)family->clip.positions,
            family->v_prediction ? "!" : "<|endoftext|>");
    fprintf(f, "  \"tokenizer_class\": \"CLIPTokenizer\",\n  \"unk_token\": \"<|endoftext|>\"\n}\n");
}

/* Adds a token for each of the 256 bytes, printable ones first, in the spelling of CLIP's byte-level
   alphabet. */
static void add_alphabet(FILE *json, const char *suffix, int *id) {
    for (int part = 0; part < 2; part++)
        for (int byte = 0, other = 256; byte < 256; byte++) {
            bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
            int32_t c = printable ? byte : other++;
            if (printable != (part == 0)) continue;
            char *s = unicode_encode(&c, 1, NULL);
            fprintf(json, "\"%s%s%s\": %d,\n", c == '"' || c == '\\' ? "\\" : "", s, suffix, (*id)++);
            free(s);
        }
}

/* Writes CLIP's vocab.json, which follows from its merges. First comes the byte-level alphabet, printable
   characters before the others, then the same with "</w>" appended, then one token for each merge, and then
   the two special tokens. */
static void clip_vocabulary(const File *merges, FILE *json) {
    int id = 0;
    fprintf(json, "{");
    add_alphabet(json, "", &id);
    add_alphabet(json, "</w>", &id);
    const char *line = (const char *)merges->data, *end = line + merges->size;
    for (line = strchr(line, '\n') + 1; line < end; line = strchr(line, '\n') + 1, id++) {
        char token[256] = "";
        size_t size = 0;
        for (const char *c = line; *c != '\n'; c++) {
            CHECK(size + 2 < sizeof token);
            if (*c == '"' || *c == '\\') token[size++] = '\\';
            if (*c != ' ') token[size++] = *c;
        }
        fprintf(json, "\"%.*s\": %d,\n", (int)size, token, id);
    }
    fprintf(json, "\"<|startoftext|>\": %d, \"<|endoftext|>\": %d}\n", id, id + 1);
}

/* All families have CLIP's own vocabulary. */
static const char MERGES[] = "weights/clip/merges.txt";

static void write_vocabulary(FILE *f, const Family *family) {
    (void)family;
    File merges;
    if (!file_map(MERGES, &merges, &(Messages) { 0 })) return;
    clip_vocabulary(&merges, f);
    file_close(&merges);
}

static void write_merges(FILE *f, const Family *family) {
    (void)family;
    File merges;
    if (!file_map(MERGES, &merges, &(Messages) { 0 })) return;
    fwrite(merges.data, 1, merges.size, f);
    file_close(&merges);
}

typedef struct {
    const char *name;
    void (*write)(FILE *f, const Family *family);
} TextFile;

static const TextFile TEXT_FILES[] = {
    { "model_index.json", write_index },
    { "scheduler/scheduler_config.json", write_scheduler },
    { "text_encoder/config.json", write_text_config },
    { "unet/config.json", write_unet_config },
    { "vae/config.json", write_vae_config },
    { "tokenizer/tokenizer_config.json", write_tokenizer_config },
    { "tokenizer/vocab.json", write_vocabulary },
    { "tokenizer/merges.txt", write_merges },
};

static bool write_texts(const char *folder, const Family *family, Messages *errors) {
    for (size_t i = 0; i < sizeof TEXT_FILES / sizeof *TEXT_FILES; i++) {
        FILE *f = create(folder, TEXT_FILES[i].name, errors);
        if (!f) return false;
        TEXT_FILES[i].write(f, family);
        bool empty = ftell(f) <= 0;
        if (fclose(f) != 0 || empty)
            return messages_add(errors, "%s/%s: nothing written", folder, TEXT_FILES[i].name);
    }
    return true;
}

static bool write_folder(const MakeOptions *o, const Family *family, const MadeTensors *tensors,
                         Messages *errors) {
    static const char *const parts[PARTS] = { "text_encoder", "unet", "vae" };
    static const char *const stems[PARTS] = { "model", "diffusion_pytorch_model", "diffusion_pytorch_model" };
    static const char *const folders[] = { "text_encoder", "unet", "vae", "scheduler", "tokenizer" };
    bool ok = true;
    for (int i = 0; i < 5 && ok; i++) {
        char *path = mem_format("%s/%s", o->out, folders[i]);
        ok = folder_make(path, errors);
        free(path);
    }
    for (int part = 0; part < PARTS && ok; part++) {
        char *path = mem_format("%s/%s/%s.safetensors", o->out, parts[part], stems[part]);
        FileContent f = { tensors, (Part)part, (DType)o->dtype, false };
        ok = write_weights(&f, path, errors);
        free(path);
    }
    return ok && write_texts(o->out, family, errors);
}

int main(int argc, char *argv[]) {
    MakeOptions o;
    Messages errors = { 0 };
    OptionsResult result = options_parse(&MAKE_MODEL, argc - 1, argv + 1, &o, &errors);
    if (result == OPTIONS_HELP) options_help(&MAKE_MODEL, true, stdout);
    if (result == OPTIONS_OK) {
        const Family *family = family_find(FAMILY_NAMES[o.family]);
        MadeTensors tensors = made_tensors(family);
        FileContent all = { &tensors, PARTS, (DType)o.dtype, o.leftovers };
        if (o.layout == FOLDER)
            write_folder(&o, family, &tensors, &errors);
        else
            write_weights(&all, o.out, &errors);
        free(tensors.at);
    }
    if (errors.text) fputs(errors.text, stderr);
    options_free(&MAKE_MODEL, &o);
    bool failed = errors.count > 0;
    messages_free(&errors);
    return failed ? result == OPTIONS_WRONG ? 2 : 1 : 0;
}
