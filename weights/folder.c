/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "weights/folder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/file.h"
#include "io/hash.h"
#include "io/object.h"

static bool exists(const char *path) {
    struct stat status;
    return stat(path, &status) == 0;
}

static bool exists_in(const char *folder, const char *name) {
    char *path = mem_format("%s/%s", folder, name);
    bool yes = exists(path);
    free(path);
    return yes;
}

/* ---- model_index.json ---- */

/* Checks that the entry of a part, ["library", "Class"], names the class, or `other` if that is not NULL. */
static void check_part(JsonObject *o, const char *key, const char *class, const char *other) {
    const char *name = json_string_value(json_array_get(object_member(o, key), 1));
    bool ok = name && (strcmp(name, class) == 0 || (other && strcmp(name, other) == 0));
    if (!ok) object_fault(o, key, "only %s is supported", class);
}

bool model_index_parse(const char *path, const void *text, size_t size, Messages *errors,
                       Messages *warnings) {
    static const char *const ignored[] = { "scheduler",     "safety_checker",          "feature_extractor",
                                           "image_encoder", "requires_safety_checker", NULL };
    /* These pipelines share the same parts, so a text-to-image model may have been saved from any of them. An
       inpainting model, whose UNet has more channels, is refused by folder_check. */
    static const char *const pipelines[] = { "StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline",
                                             "StableDiffusionInpaintPipeline",
                                             "StableDiffusionInpaintPipelineLegacy", NULL };
    int before = errors->count;
    JsonObject o;
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    const char *class = json_string_value(object_member(&o, "_class_name"));
    bool known = false;
    for (int i = 0; pipelines[i]; i++) known = known || (class && strcmp(class, pipelines[i]) == 0);
    if (!known) {
        object_fault(
            &o, "_class_name",
            "only StableDiffusionPipeline is supported: Stable Diffusion 1.x and 2.x, text to image");
    } else {
        check_part(&o, "text_encoder", "CLIPTextModel", NULL);
        check_part(&o, "tokenizer", "CLIPTokenizer", "CLIPTokenizerFast");
        check_part(&o, "unet", "UNet2DConditionModel", NULL);
        check_part(&o, "vae", "AutoencoderKL", NULL);
        object_ignore(&o, ignored);
        object_finish(&o);
    }
    object_close(&o);
    return errors->count == before;
}

/* ---- weight files ---- */

enum { SHARDS_MAX = 1000 };

/* Returns whether a shard's name is a plain file name, so that no path can lead out of the folder. */
static bool plain_name(const char *name) {
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int64_t shard_index_parse(const char *path, const void *text, size_t size, char ***names, Messages *errors) {
    JsonObject o;
    *names = NULL;
    if (!object_parse(&o, path, text, size, errors, errors)) return 0;
    json_t *map = object_member(&o, "weight_map"), *m;
    const char *key;
    bool ok = json_object_size(map) > 0; /* the size is 0 where it is not an object */
    json_object_foreach (map, key, m) { ok = ok && json_is_string(m) && plain_name(json_string_value(m)); }
    if (!ok) {
        object_fault(&o, "weight_map", "an object of tensor names and the file names of parts is needed");
        object_close(&o);
        return 0;
    }
    size_t n = 0, different = 0;
    const char **all = mem_alloc(json_object_size(map) * sizeof *all);
    json_object_foreach (map, key, m) { all[n++] = json_string_value(m); }
    qsort(all, n, sizeof *all, by_text);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(all[i], all[i - 1]) != 0) all[different++] = all[i];
    if (different <= SHARDS_MAX) {
        *names = mem_alloc(different * sizeof **names);
        for (size_t i = 0; i < different; i++) (*names)[i] = mem_string(all[i]);
    } else {
        object_fault(&o, "weight_map", "at most %d files are supported", SHARDS_MAX);
        different = 0;
    }
    free(all);
    object_close(&o);
    return (int64_t)different;
}

static bool open_one(WeightFiles *w, const char *folder, const char *name, WeightsOpener *open,
                     Messages *errors) {
    char *path = mem_format("%s/%s", folder, name);
    w->files = mem_grow(w->files, (size_t)(w->count + 1) * sizeof *w->files);
    bool ok = open(path, &w->files[w->count], errors);
    if (ok) ok = safetensors_readable(&w->files[w->count++], errors);
    free(path);
    return ok;
}

static bool open_shards(WeightFiles *w, const char *folder, const char *index, WeightsOpener *open,
                        Messages *errors) {
    char *path = mem_format("%s/%s", folder, index), **names = NULL;
    File file;
    int64_t n = 0;
    bool ok = file_read(path, &file, errors);
    if (ok) {
        n = shard_index_parse(path, file.data, file.size, &names, errors);
        file_close(&file);
        ok = n > 0;
    }
    for (int64_t i = 0; i < n; i++) {
        ok = open_one(w, folder, names[i], open, errors) && ok;
        free(names[i]);
    }
    free(names);
    free(path);
    return ok;
}

/* Opens the weights of a part from the first that exists of the plain file, its shards and the 16-bit
   variants, and then of the same as pickles. stem is "model" or "diffusion_pytorch_model"; transformers names
   the pickle of a "model" differently. */
bool weight_files_open(WeightFiles *w, const char *folder, const char *stem, WeightsOpener *open,
                       Messages *errors) {
    static const char *const suffixes[] = { ".safetensors",
                                            ".safetensors.index.json",
                                            ".fp16.safetensors",
                                            ".safetensors.index.fp16.json",
                                            ".fp16.safetensors.index.json",
                                            ".bin",
                                            ".bin.index.json",
                                            ".fp16.bin",
                                            ".bin.index.fp16.json",
                                            ".fp16.bin.index.json" };
    const char *of_pickle = strcmp(stem, "model") == 0 ? "pytorch_model" : stem;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char *name = mem_format("%s%s", strstr(suffixes[i], ".bin") ? of_pickle : stem, suffixes[i]);
        bool found = exists_in(folder, name);
        bool index = strstr(suffixes[i], ".json") != NULL;
        bool ok = found && (index ? open_shards : open_one)(w, folder, name, open, errors);
        free(name);
        if (found) return ok;
    }
    return messages_add(errors, "%s: no %s.safetensors", folder, stem);
}

void weight_files_close(WeightFiles *w) {
    for (int64_t i = 0; i < w->count; i++) safetensors_close(&w->files[i]);
    free(w->files);
    *w = (WeightFiles) { 0 };
}

/* ---- the folder ---- */

bool config_file_open(const char *folder, const char *name, ConfigFile *t, Messages *errors) {
    *t = (ConfigFile) { .path = mem_format("%s/%s", folder, name) };
    return file_read(t->path, &t->file, errors);
}

void config_file_close(ConfigFile *t) {
    free(t->path);
    file_close(&t->file);
}

static bool open_config(const ModelFolder *m, const char *name, ConfigFile *t, Messages *errors) {
    return config_file_open(m->path, name, t, errors);
}

static bool read_index(const ModelFolder *m, Messages *errors, Messages *warnings) {
    if (!exists_in(m->path, "model_index.json"))
        return messages_add(errors, "%s: is not a model folder (it has no model_index.json)", m->path);
    ConfigFile t;
    bool ok = open_config(m, "model_index.json", &t, errors) &&
              model_index_parse(t.path, t.file.data, t.file.size, errors, warnings);
    config_file_close(&t);
    return ok;
}

static void read_tokenizer_config(const char *folder, int64_t positions, int64_t rows, TokenizerConfig *c,
                                  Messages *errors, Messages *warnings) {
    ConfigFile config, map = { 0 }, added;
    bool has_map = exists_in(folder, "special_tokens_map.json");
    if (has_map) has_map = config_file_open(folder, "special_tokens_map.json", &map, errors);
    bool ok =
        config_file_open(folder, "tokenizer_config.json", &config, errors) &&
        tokenizer_config_parse(config.path, config.file.data, config.file.size,
                               has_map ? map.file.data : NULL, map.file.size, positions, c, errors, warnings);
    config_file_close(&config);
    config_file_close(&map);
    if (ok && exists_in(folder, "added_tokens.json")) {
        if (config_file_open(folder, "added_tokens.json", &added, errors))
            tokenizer_config_added(c, added.path, added.file.data, added.file.size, errors);
        config_file_close(&added);
    }
    c->rows = rows;
}

/* If there is a tokenizer.json, transformers reads it and ignores vocab.json and merges.txt. */
void tokenizer_files_read(const char *folder, int64_t positions, int64_t rows, TokenizerConfig *c,
                          char **vocab_path, char **merges_path, Messages *errors, Messages *warnings) {
    read_tokenizer_config(folder, positions, rows, c, errors, warnings);
    *merges_path = NULL;
    *vocab_path = mem_format("%s/tokenizer.json", folder);
    if (exists(*vocab_path)) return;
    free(*vocab_path);
    *vocab_path = mem_format("%s/vocab.json", folder);
    *merges_path = mem_format("%s/merges.txt", folder);
    if (!exists(*vocab_path)) messages_add(errors, "%s: is missing", *vocab_path);
    if (!exists(*merges_path)) messages_add(errors, "%s: is missing", *merges_path);
}

void folder_check(const ModelFolder *m, bool has_clip, bool has_unet, bool has_vae, Messages *errors) {
    const UnetConfig *u = &m->unet_config;
    if (has_clip && has_unet && u->cross_attention_dim != m->clip.hidden_size)
        messages_add(errors,
                     "%s: the UNet's cross_attention_dim %lld is not the text encoder's hidden_size %lld",
                     m->path, (long long)u->cross_attention_dim, (long long)m->clip.hidden_size);
    if (has_unet && u->in_channels != u->out_channels)
        messages_add(
            errors,
            "%s/unet/config.json: in_channels %lld, out_channels %lld: only a text-to-image model is "
            "supported, where they are the same (9 and 4: inpainting; 8 and 4: pix2pix)",
            m->path, (long long)u->in_channels, (long long)u->out_channels);
    else if (has_unet && has_vae && u->in_channels != m->vae_config.latent_channels)
        messages_add(errors, "%s: the UNet's in_channels %lld are not the VAE's latent_channels %lld",
                     m->path, (long long)u->in_channels, (long long)m->vae_config.latent_channels);
}

static bool read_vae_config(const char *folder, ModelFolder *m, Messages *errors, Messages *warnings) {
    ConfigFile t;
    bool ok = config_file_open(folder, "config.json", &t, errors) &&
              vae_config_parse(t.path, t.file.data, t.file.size, &m->vae_config, errors, warnings);
    config_file_close(&t);
    return ok;
}

static void read_configs(ModelFolder *m, bool own_vae, Messages *errors, Messages *warnings) {
    ConfigFile t;
    bool clip = open_config(m, "text_encoder/config.json", &t, errors) &&
                clip_config_parse(t.path, t.file.data, t.file.size, &m->clip, errors, warnings);
    config_file_close(&t);
    bool unet = open_config(m, "unet/config.json", &t, errors) &&
                unet_config_parse(t.path, t.file.data, t.file.size, &m->unet_config, errors, warnings);
    config_file_close(&t);
    char *vae_folder = mem_format("%s/vae", m->path);
    bool vae = own_vae && read_vae_config(vae_folder, m, errors, warnings);
    free(vae_folder);
    if (open_config(m, "scheduler/scheduler_config.json", &t, errors))
        scheduler_config_parse(t.path, t.file.data, t.file.size, &m->scheduler, errors, warnings);
    config_file_close(&t);
    char *tokenizer = mem_format("%s/tokenizer", m->path);
    tokenizer_files_read(tokenizer, clip ? m->clip.positions : 4096, clip ? m->clip.vocab_size : 0,
                         &m->tokenizer, &m->vocab_path, &m->merges_path, errors, warnings);
    free(tokenizer);
    folder_check(m, clip, unet, vae, errors);
}

static void open_part(const ModelFolder *m, const char *part, const char *stem, const char *optional,
                      WeightsOpener *open, WeightFiles *files, Store **store, Messages *errors) {
    char *folder = mem_format("%s/%s", m->path, part);
    if (weight_files_open(files, folder, stem, open, errors))
        *store = store_new(files->files, files->count, "", optional, errors);
    free(folder);
}

bool folder_open(const char *path, bool own_vae, WeightsOpener *open, ModelFolder *m, Messages *errors,
                 Messages *warnings) {
    int before = errors->count;
    *m = (ModelFolder) { .path = mem_string(path) };
    if (!exists(path)) {
        messages_add(errors, "%s: there is no such folder or file", path);
    } else if (read_index(m, errors, warnings)) { /* without it further messages would not help */
        read_configs(m, own_vae, errors, warnings);
        open_part(m, "text_encoder", "model", "text_model.", open, &m->text_encoder_files, &m->text_encoder,
                  errors);
        open_part(m, "unet", "diffusion_pytorch_model", NULL, open, &m->unet_files, &m->unet, errors);
        if (own_vae)
            open_part(m, "vae", "diffusion_pytorch_model", NULL, open, &m->vae_files, &m->vae, errors);
    }
    if (errors->count == before) return true;
    folder_close(m);
    return false;
}

bool folder_open_vae(const char *folder, WeightsOpener *open, ModelFolder *m, Messages *errors,
                     Messages *warnings) {
    int before = errors->count;
    read_vae_config(folder, m, errors, warnings);
    if (weight_files_open(&m->vae_files, folder, "diffusion_pytorch_model", open, errors))
        m->vae = store_new(m->vae_files.files, m->vae_files.count, "", NULL, errors);
    return errors->count == before;
}

void folder_set_vae(ModelFolder *m, Safetensors file, Messages *errors) {
    m->vae_files = (WeightFiles) { mem_alloc(sizeof file), 1 };
    m->vae_files.files[0] = file;
    m->vae = store_new(m->vae_files.files, 1, "", NULL, errors);
}

void single_file_close(SingleFile *s) {
    for (int p = 0; p < PART_COUNT; p++) free(s->sources[p]);
    free(s->names);
    safetensors_close(&s->file);
}

void folder_close(ModelFolder *m) {
    store_free(m->text_encoder);
    store_free(m->unet);
    store_free(m->vae);
    weight_files_close(&m->text_encoder_files);
    weight_files_close(&m->unet_files);
    weight_files_close(&m->vae_files);
    if (m->single) single_file_close(m->single);
    if (m->vae_single) single_file_close(m->vae_single);
    free(m->single);
    free(m->vae_single);
    free(m->scheduler.trained_betas);
    tokenizer_config_free(&m->tokenizer);
    free(m->vocab_path);
    free(m->merges_path);
    free(m->path);
    *m = (ModelFolder) { 0 };
}

/* Returns the index-th of the model's mapped files, or NULL after the last one. The views of a single file
   count as files, too, but have no bytes of their own. */
static const Safetensors *mapped_file(const ModelFolder *m, int64_t index) {
    const WeightFiles groups[] = {
        { m->single ? &m->single->file : NULL, m->single != NULL },
        { m->vae_single ? &m->vae_single->file : NULL, m->vae_single != NULL },
        m->text_encoder_files,
        m->unet_files,
        m->vae_files,
    };
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (index < groups[i].count) return &groups[i].files[index];
        index -= groups[i].count;
    }
    return NULL;
}

void folder_release_pages(const ModelFolder *m) {
    const Safetensors *s;
    for (int64_t i = 0; (s = mapped_file(m, i)); i++) file_release_pages(&s->file);
}

bool folder_unchanged(const ModelFolder *m, Messages *errors) {
    const Safetensors *s;
    bool same = true;
    for (int64_t i = 0; (s = mapped_file(m, i)); i++)
        if (!file_unchanged(&s->file))
            same = messages_add(
                errors,
                "%s: was written to while it was in use, so what was computed with it since is not kept",
                s->path);
    return same;
}

/* Adds the unused tensors of a model in one file. A tensor is used when a loader has read a view of it. */
static void single_unused(const ModelFolder *m, Unused *u) {
    const Store *const stores[PART_COUNT] = { m->text_encoder, m->unet, m->vae };
    const WeightFiles *const parts[PART_COUNT] = { &m->text_encoder_files, &m->unet_files, &m->vae_files };
    const SingleFile *s = m->single;
    bool *used = mem_alloc((size_t)s->file.count * sizeof *used);
    for (int p = 0; p < PART_COUNT; p++)
        for (int64_t i = 0; s->sources[p] && i < parts[p]->files[0].count; i++)
            if (store_was_read(stores[p], 0, i)) used[s->sources[p][i]] = true;
    for (int64_t i = 0; i < s->file.count; i++)
        if (!used[i]) unused_add(u, "", &s->file.tensors[i]);
    free(used);
}

bool folder_fingerprint(const ModelFolder *m, uint64_t *fingerprint, Messages *errors) {
    static const char *const names[] = { "model_index.json", "scheduler/scheduler_config.json",
                                         "text_encoder/config.json", "unet/config.json" };
    const uint64_t weights[] = { store_fingerprint(m->text_encoder), store_fingerprint(m->unet),
                                 store_fingerprint(m->vae) };
    uint64_t hash = hash_bytes(HASH_START, weights, sizeof weights);
    hash = hash_bytes(hash, &m->vae_config.scaling_factor, sizeof m->vae_config.scaling_factor);
    enum { COUNT = sizeof names / sizeof *names };
    bool ok = true;
    for (int i = 0; i < COUNT + 2; i++) {
        const char *tokenizer = i == COUNT ? m->vocab_path : m->merges_path;
        char *path =
            i < COUNT ? mem_format("%s/%s", m->path, names[i]) : mem_string(tokenizer ? tokenizer : "");
        File file = { 0 };
        ok = (!path_is_file(path) || file_read(path, &file, errors)) && ok;
        hash = hash_bytes(hash, file.data, file.size);
        file_close(&file);
        free(path);
    }
    *fingerprint = hash;
    return ok;
}

void folder_unused(const ModelFolder *m, Unused *u) {
    if (m->single) {
        single_unused(m, u);
        return;
    }
    store_unused(m->text_encoder, "text_encoder/", u);
    store_unused(m->unet, "unet/", u);
    if (!m->vae_single) store_unused(m->vae, "vae/", u);
}
