/* SPDX-License-Identifier: MIT */
/* Tests of models in one file of the original layout. Every tensor of a full-size model must be found under
   the name that golden/single.py checked with diffusers; these files have a hole for data, so that hardly
   anything is written. A file must compute the same bits as a folder in diffusers' layout. Other tests cover
   what such files can contain or lack, and files of other kinds. `sd2` is true for Stable Diffusion 2.x. */
#include "diffusion/sampler.h"
#include "diffusion/model.h"
#include "tests/command.h"
#include "tests/refusal.h"
#include "tests/run_graph.h"
#include "tests/single_file.h"
#include "exchange/single.h"
#include "io/json.h"
#include "io/system.h"

static char *temporary; /* the path of a folder */

static char *in_temporary(const char *name) { return mem_format("%s/%s", temporary, name); }

/* Runs a shell command. Exits with status 1 when it fails. */
static void shell(const char *format, ...) PRINTF_LIKE(1, 2);
static void shell(const char *format, ...) {
    char command[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    if (system(command) != 0) exit(1);
}

/* Configs */

/* Parses the configs in golden/single/, which are diffusers' own for the model. */
static void parse_golden(const char *model, ModelFolder *m) {
    static const char *const parts[] = { "text_encoder", "unet", "vae" };
    Messages errors = { 0 }, warnings = { 0 };
    bool ok = true;
    for (int i = 0; i < 3; i++) {
        char *path = mem_format("golden/single/%s/%s.json", model, parts[i]);
        size_t size;
        char *text = read_text(path, &size);
        ok = ok && (i == 0   ? clip_config_parse(path, text, size, &m->clip, &errors, &warnings)
                    : i == 1 ? unet_config_parse(path, text, size, &m->unet_config, &errors, &warnings)
                             : vae_config_parse(path, text, size, &m->vae_config, &errors, &warnings));
        free(text);
        free(path);
    }
    test_true(model, ok && !warnings.count, "%s%s", text_of(&errors, "configs"), text_of(&warnings, ""));
}

/* Tests that two models have equal configs. */
static void same_configs(const char *name, const ModelFolder *a, const ModelFolder *b) {
    const ClipConfig *c = &a->clip, *d = &b->clip;
    test_true(name,
              c->vocab_size == d->vocab_size && c->hidden_size == d->hidden_size &&
                  c->intermediate_size == d->intermediate_size && c->positions == d->positions &&
                  c->layers == d->layers && c->heads == d->heads && c->layer_norm_eps == d->layer_norm_eps &&
                  c->activation == d->activation,
              "text encoder: %d layers of %lld, %d heads", c->layers, (long long)c->hidden_size, c->heads);
    const UnetConfig *u = &a->unet_config, *w = &b->unet_config;
    bool same = u->in_channels == w->in_channels && u->out_channels == w->out_channels &&
                u->sample_size == w->sample_size && u->cross_attention_dim == w->cross_attention_dim &&
                u->levels == w->levels && u->mid_attends == w->mid_attends && u->groups == w->groups &&
                u->norm_eps == w->norm_eps && u->linear_projection == w->linear_projection;
    for (int i = 0; same && i < u->levels; i++)
        same = u->channels[i] == w->channels[i] && u->layers_per_block[i] == w->layers_per_block[i] &&
               u->down_attends[i] == w->down_attends[i] && u->up_attends[i] == w->up_attends[i] &&
               u->heads[i] == w->heads[i] && u->transformer_layers[i] == w->transformer_layers[i];
    test_true(name, same, "UNet: %d levels, text of %lld", u->levels, (long long)u->cross_attention_dim);
    const VaeConfig *v = &a->vae_config, *x = &b->vae_config;
    same = v->latent_channels == x->latent_channels && v->sample_size == x->sample_size &&
           v->levels == x->levels && v->layers_per_block == x->layers_per_block && v->groups == x->groups &&
           v->mid_attention == x->mid_attention && v->quant_conv == x->quant_conv &&
           v->post_quant_conv == x->post_quant_conv && v->scaling_factor == x->scaling_factor;
    test_true(name, same, "VAE: %d levels", v->levels);
}

/* Tests that two models have equal schedulers and tokenizers. */
static void same_schedulers(const char *name, const ModelFolder *a, const ModelFolder *b) {
    const SchedulerConfig *s = &a->scheduler, *t = &b->scheduler;
    const char *pad = a->tokenizer.pad_token, *other = b->tokenizer.pad_token;
    test_true(name,
              s->train_timesteps == t->train_timesteps && s->beta_start == t->beta_start &&
                  s->beta_end == t->beta_end && s->beta_schedule == t->beta_schedule &&
                  s->prediction == t->prediction && s->steps_offset == t->steps_offset &&
                  s->set_alpha_to_one == t->set_alpha_to_one && s->clip_sample == t->clip_sample &&
                  s->clip_sample_range == t->clip_sample_range,
              "scheduler");
    test_true(name,
              a->tokenizer.model_max_length == b->tokenizer.model_max_length &&
                  a->tokenizer.rows == b->tokenizer.rows &&
                  strcmp(pad ? pad : "<|endoftext|>", other ? other : "<|endoftext|>") == 0,
              "padding %s", pad ? pad : "with the end token");
}

/* Models at full size */

static bool open_file(const char *path, Model *m, Messages *errors, Messages *warnings) {
    ModelFolder folder;
    return exchange_open_model(path, NULL, &folder, errors, warnings) &&
           model_open(folder, m, errors, warnings);
}

/* Returns the number of names whose tensors are not found, or are found elsewhere than they were written. */
static int64_t misplaced(const ModelFolder *m, const Names *names, const Entries *e) {
    const unsigned char *at = m->single->file.file.data;
    uint64_t length;
    memcpy(&length, at, 8);
    at += 8 + length;
    int64_t wrong = 0;
    const NamePair *pair = names->pairs;
    for (int64_t i = 0; pair < names->pairs + names->count; i++)
        for (int k = 0; k < e->at[i].source_count; k++, pair++) {
            Store *store = pair->part[0] == 't' ? m->text_encoder : pair->part[0] == 'u' ? m->unet : m->vae;
            const Weight *w = store_get(store, pair->shape, "%s", pair->name);
            if (!w || w->data != at) wrong++;
            at += shape_count(pair->shape) * (int64_t)entry_size(e->at[i].dtype);
        }
    return wrong;
}

static void test_full_size(const char *model, const char *text_type, const char *type) {
    Names names = names_read(model);
    Entries e = entries_of_names(&names, text_type, type);
    int64_t model_tensors = e.count;
    entries_put_leftovers(&e);
    char *path = in_temporary("full.safetensors");
    entries_write(path, &e, false);
    Messages errors = { 0 }, warnings = { 0 };
    Model m;
    double start = system_seconds();
    bool ok = open_file(path, &m, &errors, &warnings);
    double taken = system_seconds() - start;
    test_true(model, ok, "%lld tensors, opened in %.2f s%s", (long long)model_tensors, taken,
              text_of(&errors, ""));
    if (ok) {
        char said[64];
        snprintf(said, sizeof said, "ignored, since they are no part of the model: %d tensors", LEFTOVERS);
        test_true(model,
                  warnings.count == 1 && strstr(warnings.text, said) &&
                      strstr(warnings.text, "model_ema. (3)"),
                  "%s", text_of(&warnings, "no warning"));
        ModelFolder want = { 0 };
        parse_golden(model, &want);
        same_configs(model, &m.folder, &want);
        int64_t wrong = misplaced(&m.folder, &names, &e);
        test_true(model, wrong == 0, "%lld of %lld names not found or misplaced%s", (long long)wrong,
                  (long long)names.count, text_of(&errors, ""));
        test_below(model, taken, 10); /* seconds; it would take longer only if it read all weights */
        model_close(&m);
    }
    messages_free(&errors);
    messages_free(&warnings);
    shell("rm %s", path);
    free(path);
    free(e.at);
    names_free(&names);
}

/* The same model in both layouts */

/* Writes the tensors of a part into a file of the folder. */
static void write_part(const char *folder, const Names *names, const char *part, const char *stem,
                       const char *type, const char *prefix) {
    Entries e = { 0 };
    for (int64_t i = 0; i < names->count; i++) {
        const NamePair *p = &names->pairs[i];
        if (strcmp(p->part, part) != 0) continue;
        char *name = mem_format("%s%s", prefix, p->name);
        Entry *t = entries_put(&e, name, type, p->shape);
        t->sources = p;
        t->source_count = 1;
        free(name);
    }
    char *path = mem_format("%s/%s/%s", folder, part, stem);
    entries_write(path, &e, true);
    free(path);
    free(e.at);
}

static void write_text(const char *folder, const char *name, const char *text) {
    char *path = mem_format("%s/%s", folder, name);
    Messages errors = { 0 };
    if (!file_write(path, text, strlen(text), &errors)) exit(1);
    free(path);
}

static void write_tokenizer(const char *folder, bool sd2) {
    TokenizerConfig config = { .model_max_length = 77 };
    Messages errors = { 0 };
    Tokenizer *t = tokenizer_load(NULL, "weights/clip/merges.txt", &config, &errors);
    json_t *vocab = json_object();
    for (int32_t i = 0; i < 49408; i++) json_object_set_new(vocab, tokenizer_token(t, i), json_integer(i));
    char *text = json_text(vocab, 0);
    write_text(folder, "tokenizer/vocab.json", text);
    free(text);
    json_decref(vocab);
    tokenizer_free(t);
    write_text(folder, "tokenizer/tokenizer_config.json",
               sd2 ? "{\"model_max_length\": 77, \"pad_token\": \"!\"}"
                   : "{\"model_max_length\": 77, \"pad_token\": \"<|endoftext|>\"}");
    shell("cp weights/clip/merges.txt %s/tokenizer", folder);
}

/* model_index.json, and the files scheduler_config.json of Stable Diffusion 1.5 and 2.1. */
static const char
    INDEX[] = "{\"_class_name\": \"StableDiffusionPipeline\", \"_diffusers_version\": \"0.10.0\", "
              "\"scheduler\": [\"diffusers\", \"PNDMScheduler\"], "
              "\"text_encoder\": [\"transformers\", \"CLIPTextModel\"], "
              "\"tokenizer\": [\"transformers\", \"CLIPTokenizer\"], "
              "\"unet\": [\"diffusers\", \"UNet2DConditionModel\"], "
              "\"vae\": [\"diffusers\", \"AutoencoderKL\"]}",
    SCHEDULER_1[] = "{\"_class_name\": \"PNDMScheduler\", \"beta_end\": 0.012, "
                    "\"beta_schedule\": \"scaled_linear\", \"beta_start\": 0.00085, "
                    "\"num_train_timesteps\": 1000, \"set_alpha_to_one\": false, \"skip_prk_steps\": true, "
                    "\"steps_offset\": 1, \"trained_betas\": null, \"clip_sample\": false}",
    SCHEDULER_2[] = "{\"_class_name\": \"DDIMScheduler\", \"beta_end\": 0.012, "
                    "\"beta_schedule\": \"scaled_linear\", \"beta_start\": 0.00085, \"clip_sample\": false, "
                    "\"num_train_timesteps\": 1000, \"prediction_type\": \"v_prediction\", "
                    "\"set_alpha_to_one\": false, \"skip_prk_steps\": true, \"steps_offset\": 1, "
                    "\"trained_betas\": null}";

/* Writes the model as a folder in diffusers' layout and returns its path, which the caller frees. */
static char *write_folder(const char *model, const Names *names, bool sd2) {
    char *folder = in_temporary("folder");
    shell("rm -rf %s && mkdir -p %s/unet %s/vae %s/text_encoder %s/scheduler %s/tokenizer", folder, folder,
          folder, folder, folder, folder);
    shell("for p in unet vae text_encoder; do cp golden/single/%s/$p.json %s/$p/config.json; done", model,
          folder);
    write_text(folder, "model_index.json", INDEX);
    write_text(folder, "scheduler/scheduler_config.json", sd2 ? SCHEDULER_2 : SCHEDULER_1);
    write_tokenizer(folder, sd2);
    /* 16-bit variants have file names of their own. Here a single file and the index of shards have one, the
       index in both of its spellings. */
    write_part(folder, names, "text_encoder", "model.fp16.safetensors", "BF16", sd2 ? "" : "text_model.");
    write_part(folder, names, "unet", "part-1.safetensors", "F32", "");
    write_part(folder, names, "vae", "diffusion_pytorch_model.safetensors", "F32", "");
    write_text(folder,
               sd2 ? "unet/diffusion_pytorch_model.fp16.safetensors.index.json"
                   : "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
               "{\"metadata\": {}, \"weight_map\": {\"conv_in.bias\": \"part-1.safetensors\"}}");
    return folder;
}

/* Adds a leaf with fixed numbers, which it writes to data. */
static Tensor *constant(Graph *g, Shape shape, float *data) {
    for (int64_t i = 0; i < shape_count(shape); i++) data[i] = (float)(i * 7919 % 256 - 128) / 64;
    return graph_leaf(g, "x", shape, data, NULL);
}

/* Computes the noise prediction [1, 4, 9, 8] for a prompt, and a decoded picture [1, 3, 18, 16]. The caller
   frees both. */
static void compute(const Model *m, const char *name, float *out[2]) {
    static float latents[4 * 9 * 8], time[1] = { 321 };
    int32_t ids[77];
    tokenizer_encode(m->tokenizer, "a photo of a cat!", ids);
    Graph *g = graph_new();
    Tensor *x = constant(g, shape4(1, 4, 9, 8), latents), *t = graph_leaf(g, "t", shape1(1), time, NULL);
    Tensor *pred = unet(g, &m->unet, x, t, clip_text(g, &m->clip, ids, 1, 77, NULL));
    out[0] = run_graph(g, pred, NULL, NULL, 0, PRECISION_F32, name);
    graph_free(g);
    g = graph_new();
    out[1] = run_graph(g, vae_decode(g, &m->vae, constant(g, shape4(1, 4, 9, 8), latents)), NULL, NULL, 0,
                       PRECISION_F32, name);
    graph_free(g);
}

static void open_or_exit(const char *path, Model *m, Messages *errors, Messages *warnings) {
    if (open_file(path, m, errors, warnings)) return;
    fprintf(stderr, "%s", errors->text);
    exit(1);
}

static void test_both_layouts(const char *model) {
    bool sd2 = strcmp(model, "small2") == 0;
    Names names = names_read(model);
    /* Some fine-tunes have a 16-bit text encoder and a 32-bit UNet. */
    Entries e = entries_of_names(&names, "BF16", "F32");
    char *file = in_temporary("single.safetensors"), *folder = write_folder(model, &names, sd2);
    entries_write(file, &e, true);
    Messages errors = { 0 }, warnings = { 0 };
    Model a, b;
    open_or_exit(file, &a, &errors, &warnings);
    open_or_exit(folder, &b, &errors, &warnings);
    test_true(model, !warnings.count, "no warning%s", text_of(&warnings, ""));
    same_configs(model, &a.folder, &b.folder);
    same_schedulers(model, &a.folder, &b.folder);
    test_true(model,
              store_fingerprint(a.folder.vae) == store_fingerprint(b.folder.vae) &&
                  store_fingerprint(a.folder.unet) == store_fingerprint(b.folder.unet),
              "the same fingerprints, so that the layouts share cached latents");
    float *first[2], *other[2];
    compute(&a, model, first);
    compute(&b, model, other);
    test_same(model, first[0], other[0], 4 * 9 * 8 * sizeof(float));
    test_same(model, first[1], other[1], 3 * 18 * 16 * sizeof(float));
    bool alive = false;
    for (int i = 1; i < 4 * 9 * 8; i++) alive = alive || first[0][i] != first[0][0];
    test_true(model, alive, "a prediction that is not constant");
    for (int i = 0; i < 2; i++) {
        free(first[i]);
        free(other[i]);
    }
    bool converted;
    const Sampler *own = sampler_of_config(&a.folder.scheduler, &converted);
    test_true(model, own == (sd2 ? &DDIM : &PNDM) && !converted && a.folder.scheduler.skip_prk_steps,
              "a file without a scheduler draws with %s", own->name);
    test_true(model, a.folder.prediction_guessed == sd2 && !b.folder.prediction_guessed,
              "whether the kind of prediction is guessed");
    model_set_prediction(&a, PREDICT_EPSILON);
    test_true(model,
              a.noise_schedule.config.prediction == PREDICT_EPSILON && a.unet.config.sample_size == 64 &&
                  !a.folder.prediction_guessed,
              "a model of 512 pixels, set by hand");
    model_close(&a);
    model_close(&b);
    messages_free(&errors);
    messages_free(&warnings);
    free(folder);
    free(file);
    free(e.at);
    names_free(&names);
}

/* What fine-tunes and damaged files contain or lack */

/* Returns the tensor of that name. Appends it when there is none. */
static Entry *find_or_put(Entries *e, const char *name, Shape shape) {
    for (int64_t i = 0; i < e->count; i++)
        if (strcmp(e->at[i].name, name) == 0) return &e->at[i];
    return entries_put(e, name, "F32", shape);
}

/* Replaces `from` by `to` in all names. */
static void rename_all(Entries *e, const char *from, const char *to) {
    for (int64_t i = 0; i < e->count; i++) {
        char *at = strstr(e->at[i].name, from);
        if (!at) continue;
        char *name = mem_format("%.*s%s%s", (int)(at - e->at[i].name), e->at[i].name, to, at + strlen(from));
        snprintf(e->at[i].name, sizeof e->at[i].name, "%s", name);
        free(name);
    }
}

/* Removes all tensors whose names begin with the prefix. */
static void remove_all(Entries *e, const char *prefix) {
    int64_t n = 0;
    for (int64_t i = 0; i < e->count; i++)
        if (strncmp(e->at[i].name, prefix, strlen(prefix)) != 0) e->at[n++] = e->at[i];
    e->count = n;
}

#define UNET_NAME "model.diffusion_model."
#define VAE_NAME  "first_stage_model."
#define CLIP_NAME "cond_stage_model."

static void rename_vae_attention(Entries *e, const char *q, const char *k, const char *v, const char *out) {
    rename_all(e, "attn_1.q.", q);
    rename_all(e, "attn_1.k.", k);
    rename_all(e, "attn_1.v.", v);
    rename_all(e, "attn_1.proj_out.", out);
}
static void old_vae_names(Entries *e) {
    rename_vae_attention(e, "attn_1.query.", "attn_1.key.", "attn_1.value.", "attn_1.proj_attn.");
}
static void new_vae_names(Entries *e) {
    rename_vae_attention(e, "attn_1.to_q.", "attn_1.to_k.", "attn_1.to_v.", "attn_1.to_out.0.");
    for (int64_t i = 0; i < e->count; i++) /* these are linear layers instead of 1x1 convolutions */
        if (strstr(e->at[i].name, "attn_1") && e->at[i].shape.rank == 4) e->at[i].shape.rank = 2;
}
static void bare_text(Entries *e) { rename_all(e, "transformer.text_model.", "transformer."); }
static void extra(Entries *e) {
    entries_put(e, "embedding_manager.embedder.weight", "F32", shape1(4));
    entries_put(e, UNET_NAME "input_blocks.0.0.lora", "F32", shape1(4));
}
static void integers(Entries *e) {
    Entry *t = find_or_put(e, VAE_NAME "decoder.conv_out.weight", shape1(1));
    t->dtype = "I32";
    t->sources = NULL;
}
static void vae_alone(Entries *e) {
    entries_put(e, "encoder.conv_in.weight", "F32", shape4(1, 1, 1, 1));
    entries_put(e, "decoder.conv_in.weight", "F32", shape4(1, 1, 1, 1));
}
static void f8(Entries *e) {
    for (int64_t i = 0; i < e->count; i++) e->at[i].dtype = "F8_E4M3";
}
static void compiled(Entries *e) { rename_all(e, UNET_NAME, UNET_NAME "_orig_mod."); }
static void parallel(Entries *e) { /* puts "module." before all names and "_orig_mod." into some */
    compiled(e);
    for (int64_t i = 0; i < e->count; i++) {
        char *name = mem_format("module.%s", e->at[i].name);
        snprintf(e->at[i].name, sizeof e->at[i].name, "%s", name);
        free(name);
    }
}
static void unet_alone(Entries *e) {
    entries_put(e, "conv_in.weight", "F32", shape1(1));
    entries_put(e, "time_embedding.linear_1.weight", "F32", shape1(1));
    entries_put(e, "a.attn2.to_k.weight", "F32", shape2(2, 2048));
}

/* A file made from the model small1 (or small2 for Stable Diffusion 2.x), and the messages when it is
   opened. */
typedef struct {
    const char *name;
    const char *message; /* part of an error, or after '!' part of the only warning; NULL for no message */
    int errors;
    bool sd2, alone;          /* alone: without the model's own tensors */
    void (*edit)(Entries *e); /* changes the tensors, if not NULL */
    const char *remove;       /* prefix of the tensors to leave out, if not NULL */
    const char *set;          /* name of a tensor that is added if there is none, if not NULL */
    Shape shape;              /* shape that this tensor gets */
} Case;

#define CONV_IN UNET_NAME "input_blocks.0.0.weight"
#define TABLE   CLIP_NAME "transformer.text_model.embeddings.token_embedding.weight"

static const Case CASES[] = {
    { .name = "unchanged" },
    { "2.x unchanged", NULL, 0, .sd2 = true },
    { "old names of the VAE's attention", NULL, 0, .edit = old_vae_names },
    { "new names of the VAE's attention", NULL, 0, .sd2 = true, .edit = new_vae_names },
    { "text without text_model.", NULL, 0, .edit = bare_text },
    { "torch.compile's names", NULL, 0, .edit = compiled },
    { "DataParallel's names", NULL, 0, .sd2 = true, .edit = parallel },
    { "a tensor under two names", "!1 tensor ", 0, .set = CLIP_NAME "transformer.final_layer_norm.bias",
      .shape = { 1, { 64 } } },
    { "extra keys", "!2 tensors (0.0 MB): embedding_manager., model.", 0, .edit = extra },
    { "no conv_in", "no tensor \"conv_in.weight\"", 1, .remove = CONV_IN },
    { "a layer missing", "no tensor \"up_blocks.0.resnets.1.conv1.weight\"", 2,
      .remove = UNET_NAME "output_blocks.1.0.in_layers.2" },
    { "F8", "has weights of type F8_E4M3", 1, .edit = f8 },
    { "no VAE", "without a VAE (first_stage_model)", 1, .remove = VAE_NAME },
    { "no VAE", "(its VAE can be taken from another file or folder)", 1, .sd2 = true, .remove = VAE_NAME },
    { "no text encoder", "without a text encoder (cond_stage_model)", 1, .sd2 = true, .remove = CLIP_NAME },
    { "no encoder", "encoder.down_blocks.0.resnets.0.conv1.weight", 1, .remove = VAE_NAME "encoder." },
    { "no input blocks", "no tensor \"down_blocks.0.resnets.0.conv1.weight\"", 1,
      .remove = UNET_NAME "input_blocks.1." },
    { "integers", "decoder.conv_out.weight\" is of type I32", 1, .edit = integers },
    { "191 rows for q, k and v", "no tensor \"encoder.layers.1.self_attn.q_proj.bias\" [64]", 3, .sd2 = true,
      .set = CLIP_NAME "model.transformer.resblocks.1.attn.in_proj_bias", .shape = { 1, { 191 } } },
    { "31 channels", "31 channels cannot be divided into 32 groups", 1,
      .set = VAE_NAME "encoder.down.0.block.0.conv1.weight", .shape = { 4, { 31, 32, 3, 3 } } },
    { "a vector as table", "has the shape [1], which no supported model", 2, .set = TABLE,
      .shape = { 1, { 1 } } },
    { "a word too few", "49408 tokens, the text encoder 49407", 1, .set = TABLE,
      .shape = { 2, { 49407, 64 } } },
    { "inpainting", "is an inpainting checkpoint (9 input channels)", 1, .set = CONV_IN,
      .shape = { 4, { 32, 9, 3, 3 } } },
    { "pix2pix", "is an InstructPix2Pix checkpoint", 1, .sd2 = true, .set = CONV_IN,
      .shape = { 4, { 32, 8, 3, 3 } } },
    { "XL", "is a Stable Diffusion XL checkpoint", 1, .set = "conditioner.embedders.0.transformer.x",
      .shape = { 1, { 4 } } },
    { "SD 3", "is a Stable Diffusion 3 checkpoint", 1, .set = UNET_NAME "joint_blocks.0.x",
      .shape = { 1, { 4 } } },
    { "Flux", "is a Flux checkpoint", 1, .set = UNET_NAME "double_blocks.0.x", .shape = { 1, { 4 } } },
    { "unCLIP", "unCLIP", 1, .sd2 = true, .set = UNET_NAME "label_emb.0.0.weight", .shape = { 1, { 4 } } },
    { "ControlNet", "is a ControlNet", 1, .set = "control_model.x", .shape = { 1, { 4 } } },
    { "LoRA", "is a LoRA; a whole checkpoint", 1, .alone = true,
      .set = "lora_unet_down_blocks_0.lora_up.weight", .shape = { 2, { 4, 4 } } },
    { "LoRA of peft", "is a LoRA", 1, .alone = true, .set = "unet.down_blocks.0.attn.to_q.lora_A.weight",
      .shape = { 2, { 4, 4 } } },
    { "word", "is a learned word;", 1, .alone = true, .set = "<grum>", .shape = { 2, { 1, 768 } } },
    { "XL's word", "is a learned word for Stable Diffusion XL", 1, .alone = true, .set = "clip_g",
      .shape = { 2, { 1, 1280 } } },
    { "CLIP alone", "is a CLIP text encoder of width 768 alone", 1, .alone = true,
      .set = "text_model.embeddings.token_embedding.weight", .shape = { 2, { 49408, 768 } } },
    { "VAE alone", "is an autoencoder (VAE) alone", 1, .alone = true, .edit = vae_alone },
    { "UNet alone", "is the UNet of Stable Diffusion XL alone", 1, .alone = true, .edit = unet_alone },
    { "anything", "is a file of an unknown kind", 1, .alone = true, .set = "x.weight",
      .shape = { 1, { 1 } } },
};

static void test_cases(void) {
    Names names[2] = { names_read("small1"), names_read("small2") };
    char *path = in_temporary("case.safetensors");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const Case *c = &CASES[i];
        Entries e = entries_of_names(&names[c->sd2], "F16", "F16");
        if (c->alone) e.count = 0;
        if (c->edit) c->edit(&e);
        if (c->remove) remove_all(&e, c->remove);
        if (c->set) find_or_put(&e, c->set, c->shape)->shape = c->shape;
        entries_write(path, &e, false);
        Messages errors = { 0 }, warnings = { 0 };
        Model m;
        bool ok = open_file(path, &m, &errors, &warnings), warning = c->message && c->message[0] == '!';
        const Messages *said = warning ? &warnings : &errors;
        test_true(c->name,
                  ok == (!c->message || warning) && errors.count == c->errors && warnings.count == warning &&
                      (!c->message || (said->text && strstr(said->text, c->message + warning))),
                  "%s%s", text_of(&errors, "opened"), text_of(&warnings, ""));
        if (ok) model_close(&m);
        messages_free(&errors);
        messages_free(&warnings);
        free(e.at);
    }
    free(path);
    for (int i = 0; i < 2; i++) names_free(&names[i]);
}

/* Checks that a checkpoint decodes to the same bits when its VAE comes from another file or folder. sources
   are all the forms in which a VAE can be given. */
static void test_vae_from_elsewhere(void) {
    Names names = names_read("small1");
    char *folder = write_folder("small1", &names, false), *bare = in_temporary("bare.safetensors"),
         *file = in_temporary("vae.safetensors"), *whole = in_temporary("whole.safetensors");
    Entries all = entries_of_names(&names, "F32", "F32"), rest = entries_of_names(&names, "F32", "F32"),
            vae = entries_of_names(&names, "F32", "F32");
    entries_write(whole, &all, true);
    remove_all(&rest, VAE_NAME);
    entries_write(bare, &rest, true);
    remove_all(&vae, UNET_NAME);
    remove_all(&vae, CLIP_NAME);
    rename_all(&vae, VAE_NAME, "");
    entries_write(file, &vae, true);
    char *own = mem_format("%s/vae", folder),
         *weights = mem_format("%s/diffusion_pytorch_model.safetensors", own);
    const char *const sources[] = { whole, file, own, folder, weights };
    Messages errors = { 0 }, warnings = { 0 };
    Model m;
    float *want[2], *got[2];
    open_or_exit(whole, &m, &errors, &warnings);
    compute(&m, "its own VAE", want);
    model_close(&m);
    for (int i = 0; i < 10; i++) {
        ModelFolder opened;
        const char *base = i < 5 ? bare : folder, *source = sources[i % 5];
        bool ok = exchange_open_model(base, source, &opened, &errors, &warnings) &&
                  model_open(opened, &m, &errors, &warnings);
        test_true("a VAE from elsewhere", ok, "%s", text_of(&errors, source));
        if (!ok) continue;
        compute(&m, "a VAE from elsewhere", got);
        test_same("its pictures", got[1], want[1], 3 * 18 * 16 * sizeof(float));
        free(got[0]);
        free(got[1]);
        model_close(&m);
    }
    ModelFolder opened;
    expect_refused("no VAE there", exchange_open_model(whole, bare, &opened, &errors, &warnings), &errors,
                   "and has no VAE");
    messages_free(&warnings);
    free(want[0]);
    free(want[1]);
    free(weights);
    free(own);
    free(folder);
    free(bare);
    free(file);
    free(whole);
    free(all.at);
    free(rest.at);
    free(vae.at);
    names_free(&names);
}

/* Checks that files in other formats are refused. */
static void test_other_files(void) {
    static const struct {
        const char *name, *bytes;
        size_t size;
        const char *what;
    } files[] = {
        { "model.ckpt", "PK\3\4 and so on", 14, "its zip file is damaged" },
        { "model.pt", "\x80\2}q", 4, "its pickle is damaged: it ends early" },
        { "model.gguf", "GGUF\3", 5, "is a GGUF file" },
        { "text.safetensors", "no tensors at all", 17, "is not a safetensors file" },
        { "empty", "", 0, "0 bytes" },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = in_temporary(files[i].name);
        Messages errors = { 0 }, warnings = { 0 };
        Model m;
        if (!file_write(path, files[i].bytes, files[i].size, &errors)) exit(1);
        expect_refused(files[i].name, open_file(path, &m, &errors, &warnings), &errors, files[i].what);
        free(path);
    }
}

int main(void) {
    temporary = folder_new();
    test_full_size("sd15", "F32", "F32");
    test_full_size("sd21", "F32", "F16");
    test_both_layouts("small1");
    test_both_layouts("small2");
    test_cases();
    test_vae_from_elsewhere();
    test_other_files();
    folder_remove(temporary);
    free(temporary);
    return test_finish();
}
