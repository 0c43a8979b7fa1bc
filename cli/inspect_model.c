/* Models, in folders and single files: parts and their weights, what the configs say, what is wrong. */
#define _POSIX_C_SOURCE 200809L
#include "cli/inspect_parts.h"

#include "cli/commands.h"
#include "exchange/single.h"
#include "io/file.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TYPES_TEXT = 32 };

typedef struct {
    const char *name;
    const WeightFiles *weights;
    const char *single; /* the one file that holds all parts; NULL: a folder */
    int64_t tensors, parameters, bytes;
    int64_t unread;         /* tensors that the architecture has no use for */
    char types[TYPES_TEXT]; /* "F16" or "F16, F32", the float ones */
} Part;

/* One more among "F16, F32". (F16 is also the end of BF16.) */
static void add_type(char types[TYPES_TEXT], const char *type) {
    const char *found = strstr(types, type);
    while (found && found > types && found[-1] != ' ') found = strstr(found + 1, type);
    size_t n = strlen(types);
    if (!found) snprintf(types + n, TYPES_TEXT - n, "%s%s", n ? ", " : "", type);
}

/* Of what the architecture reads; the parts are loaded. */
static Part part_of(const char *name, const WeightFiles *weights, const Store *store) {
    Part p = { .name = name, .weights = weights };
    for (int64_t i = 0; i < weights->count; i++)
        for (int64_t k = 0; k < weights->files[i].count; k++) {
            const SafeTensor *t = &weights->files[i].tensors[k];
            if (!store_was_read(store, i, k)) {
                p.unread++;
                continue;
            }
            p.tensors++;
            p.bytes += (int64_t)t->size;
            p.parameters += shape_count(t->weight.shape);
            add_type(p.types, t->dtype);
        }
    return p;
}

static const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const char *family(const Model *m) {
    const UnetConfig *u = &m->folder.unet_config;
    if (u->levels != 4 || u->channels[0] != 320) return "a small model in the layout of Stable Diffusion";
    if (m->folder.clip.hidden_size == 768) return "Stable Diffusion 1.x";
    if (m->folder.clip.hidden_size == 1024) return "Stable Diffusion 2.x";
    return "in the layout of Stable Diffusion";
}

static const char *kind(const Model *m) { return m->folder.single ? "model file" : "model folder"; }

/* What defaults.json holds; NULL where there is none. */
static cJSON *read_defaults(const char *folder, Messages *errors) {
    char *path = mem_format("%s/defaults.json", folder);
    File file;
    cJSON *object = NULL;
    if (access(path, F_OK) == 0 && file_map(path, &file, errors)) {
        object = json_parse(path, file.data, file.size, false, errors);
        file_unmap(&file);
    }
    free(path);
    return object;
}

/* Text */

static void print_parts(const Part *parts, const Unused *unused) {
    char count[COUNT_TEXT], size[SIZE_TEXT];
    int64_t tensors = 0, parameters = 0, bytes = 0;
    printf("%-13s %-10s %7s %15s %10s  %s\n", "part", "type", "tensors", "parameters", "size", "file");
    for (int i = 0; i < 3; i++) {
        const Part *p = &parts[i];
        printf("%-13s %-10s %7lld %15s %10s  ", p->name, p->types, (long long)p->tensors,
               count_text(p->parameters, count), size_text(p->bytes, size));
        printf("%s", file_name(p->single ? p->single : p->weights->files[0].path));
        if (p->weights->count > 1) printf(", ... (%lld files)", (long long)p->weights->count);
        printf("\n");
        tensors += p->tensors;
        parameters += p->parameters;
        bytes += p->bytes;
    }
    printf("%-13s %-10s %7lld %15s %10s\n\n", "all", "", (long long)tensors, count_text(parameters, count),
           size_text(bytes, size));
    if (!unused->count) return;
    char *text = unused_text(unused), *safe = console_text(text);
    printf("ignored, as no part of the model: %s\n\n", safe);
    free(safe);
    free(text);
}

static void print_levels(const char *what, int levels, const int64_t *channels, const int *layers,
                         const bool *attends, const int *heads) {
    printf("%-13s", what);
    for (int i = 0; i < levels; i++) {
        printf("%s %lld", i ? "," : "", (long long)channels[i]);
        if (layers) printf(" x%d", layers[i]);
        if (attends && attends[i]) printf(" (%d heads)", heads[i]);
    }
    printf("\n");
}

static void print_configs(const Model *m, int64_t words) {
    const ModelFolder *f = &m->folder;
    const ClipConfig *c = &f->clip;
    const UnetConfig *u = &f->unet_config;
    const VaeConfig *v = &f->vae_config;
    const SchedulerConfig *s = &f->scheduler;
    int64_t factor = vae_factor(v), side = u->sample_size * factor;
    printf("picture       %lld x %lld, as latents %lld x %lld x %lld\n", (long long)side, (long long)side,
           (long long)u->in_channels, (long long)u->sample_size, (long long)u->sample_size);
    printf("text encoder  width %lld, layers %d, heads %d, MLP %lld (%s)\n", (long long)c->hidden_size,
           c->layers, c->heads, (long long)c->intermediate_size,
           c->activation == ACT_GELU ? "gelu" : "quick_gelu");
    char *pad = console_text(f->tokenizer.pad_token ? f->tokenizer.pad_token : "the end token");
    printf("tokenizer     %lld tokens, window %lld, padded with %s\n", (long long)words,
           (long long)f->tokenizer.model_max_length, pad);
    free(pad);
    print_levels("unet levels", u->levels, u->channels, u->layers_per_block, u->down_attends, u->heads);
    printf("unet          text width %lld, middle %s attention, %s projections, norms of %d groups\n",
           (long long)u->cross_attention_dim, u->mid_attends ? "with" : "without",
           u->linear_projection ? "linear" : "1x1", u->groups);
    print_levels("vae levels", v->levels, v->channels, NULL, NULL, NULL);
    printf("vae           %lld latent channels, factor %lld, scaling factor %g, middle %s attention\n",
           (long long)v->latent_channels, (long long)factor, (double)v->scaling_factor,
           v->mid_attention ? "with" : "without");
    printf("scheduler     %lld timesteps, ", (long long)s->train_timesteps);
    if (s->trained_betas)
        printf("betas of its own");
    else
        printf("%s betas %g to %g", s->beta_schedule == BETAS_LINEAR ? "linear" : "scaled_linear",
               s->beta_start, s->beta_end);
    printf(", the UNet predicts %s%s\n", s->prediction == PREDICT_V ? "v" : "the noise",
           f->prediction_guessed
               ? " (the file does not say: a model of 512 pixels predicts the noise, --prediction epsilon)"
               : "");
}

static void print_defaults(const cJSON *defaults) {
    const cJSON *command, *option;
    if (!cJSON_IsObject(defaults)) return;
    cJSON_ArrayForEach(command, defaults) {
        if (!cJSON_IsObject(command)) continue;
        char *name = console_text(command->string);
        printf("defaults      ti %s:", name);
        free(name);
        cJSON_ArrayForEach(option, command) {
            char *value = cJSON_PrintUnformatted(option);
            CHECK(value);
            char *line = mem_format("%s %s", option->string, value), *safe = console_text(line);
            printf(" --%s", safe);
            free(safe);
            free(line);
            cJSON_free(value);
        }
        printf("\n");
    }
}

/* JSON */

static void add_number(cJSON *object, const char *name, double value) {
    cJSON_AddNumberToObject(object, name, value);
}

static cJSON *part_json(const Part *p, bool tensors) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "part", p->name);
    cJSON_AddStringToObject(item, "types", p->types);
    add_number(item, "tensors", (double)p->tensors);
    add_number(item, "parameters", (double)p->parameters);
    add_number(item, "bytes", (double)p->bytes);
    add_number(item, "unread", (double)p->unread);
    cJSON *files = cJSON_AddArrayToObject(item, "files");
    for (int64_t k = 0; k < p->weights->count; k++) {
        cJSON *file = cJSON_CreateObject();
        cJSON_AddItemToArray(files, file);
        cJSON_AddStringToObject(file, "path", p->single ? p->single : p->weights->files[k].path);
        if (tensors) cJSON_AddItemToObject(file, "tensors", json_tensors(&p->weights->files[k]));
    }
    return item;
}

static cJSON *levels_json(int levels, const int64_t *channels) {
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < levels; i++) cJSON_AddItemToArray(list, cJSON_CreateNumber((double)channels[i]));
    return list;
}

static cJSON *configs_json(const Model *m, int64_t words) {
    const ModelFolder *f = &m->folder;
    cJSON *all = cJSON_CreateObject(), *item = cJSON_AddObjectToObject(all, "text_encoder");
    add_number(item, "layers", f->clip.layers);
    add_number(item, "width", (double)f->clip.hidden_size);
    add_number(item, "heads", f->clip.heads);
    add_number(item, "mlp_width", (double)f->clip.intermediate_size);
    item = cJSON_AddObjectToObject(all, "tokenizer");
    add_number(item, "tokens", (double)words);
    add_number(item, "window", (double)f->tokenizer.model_max_length);
    item = cJSON_AddObjectToObject(all, "unet");
    add_number(item, "sample_size", (double)f->unet_config.sample_size);
    add_number(item, "text_width", (double)f->unet_config.cross_attention_dim);
    cJSON_AddItemToObject(item, "channels", levels_json(f->unet_config.levels, f->unet_config.channels));
    item = cJSON_AddObjectToObject(all, "vae");
    add_number(item, "latent_channels", (double)f->vae_config.latent_channels);
    add_number(item, "factor", (double)vae_factor(&f->vae_config));
    add_number(item, "scaling_factor", (double)f->vae_config.scaling_factor);
    cJSON_AddItemToObject(item, "channels", levels_json(f->vae_config.levels, f->vae_config.channels));
    item = cJSON_AddObjectToObject(all, "scheduler");
    add_number(item, "timesteps", (double)f->scheduler.train_timesteps);
    cJSON_AddStringToObject(item, "prediction", f->scheduler.prediction == PREDICT_V ? "v" : "epsilon");
    return all;
}

static cJSON *unused_json(const Unused *u) {
    cJSON *item = cJSON_CreateObject(), *names = cJSON_CreateObject();
    add_number(item, "tensors", (double)u->count);
    add_number(item, "bytes", (double)u->bytes);
    cJSON_AddItemToObject(item, "names", names);
    for (int64_t i = 0; i < u->group_count; i++)
        add_number(names, u->groups[i].prefix, (double)u->groups[i].count);
    return item;
}

/* What was found, for both forms of the report. */
typedef struct {
    const char *path;
    Model *m; /* NULL: it could not be opened */
    Part parts[3];
    Unused unused;
    int64_t words;
    cJSON *defaults; /* NULL: there are none */
    bool tensors, hash;
} Report;

static cJSON *model_json(const Report *r, const Messages *faults) {
    cJSON *document = cJSON_CreateObject();
    const Model *m = r->m;
    cJSON_AddStringToObject(document, "kind", m ? kind(m) : "model");
    cJSON_AddStringToObject(document, "path", r->path);
    if (m) {
        cJSON_AddStringToObject(document, "family", family(m));
        add_number(document, "side",
                   (double)(m->folder.unet_config.sample_size * vae_factor(&m->folder.vae_config)));
        cJSON_AddItemToObject(document, "architecture", configs_json(m, r->words));
        cJSON *list = cJSON_AddArrayToObject(document, "parts");
        for (int i = 0; i < 3; i++) cJSON_AddItemToArray(list, part_json(&r->parts[i], r->tensors));
        cJSON_AddItemToObject(document, "ignored", unused_json(&r->unused));
        if (m->folder.single) {
            FileIdentity id = identify(&m->folder.single->file.file, r->hash);
            add_identity(document, &id);
        }
        if (r->defaults) cJSON_AddItemToObject(document, "defaults", cJSON_Duplicate(r->defaults, true));
    }
    cJSON_AddItemToObject(document, "faults", json_messages(faults));
    return document;
}

static void print_all_tensors(const Part *parts) {
    for (int i = 0; i < 3; i++)
        for (int64_t k = 0; k < parts[i].weights->count; k++) {
            printf("\n%s\n", parts[i].weights->files[k].path);
            print_tensors(&parts[i].weights->files[k]);
        }
}

static void print_model(const Report *r, bool faults) {
    const Model *m = r->m;
    printf("%s: %s, a %s%s\n\n", r->path, family(m), kind(m), faults ? " WITH FAULTS" : "");
    print_parts(r->parts, &r->unused);
    print_configs(m, r->words);
    print_defaults(r->defaults);
    if (r->tensors) print_all_tensors(r->parts);
    fflush(stdout);
    if (!m->folder.single) return;
    FileIdentity id = identify(&m->folder.single->file.file, r->hash);
    print_identity(&id);
}

/* Loads the parts as the commands do, for the faults that shows: r->m->folder is open. */
static void load_parts(Report *r, Messages *errors) {
    ModelFolder *f = &r->m->folder;
    model_load(r->m, errors);
    r->words = r->m->tokenizer ? tokenizer_vocab_size(r->m->tokenizer) : 0;
    r->parts[0] = part_of("text_encoder", &f->text_encoder_files, f->text_encoder);
    r->parts[1] = part_of("unet", &f->unet_files, f->unet);
    r->parts[2] = part_of("vae", &f->vae_files, f->vae);
    for (int i = 0; f->single && i < 3; i++) r->parts[i].single = f->path;
    folder_unused(f, &r->unused);
}

bool inspect_model(const char *path, bool tensors, bool hash, bool json, Messages *errors,
                   Messages *warnings) {
    int before = errors->count;
    Model m = { 0 };
    Report r = { .path = path, .tensors = tensors, .hash = hash };
    if (!exchange_open_model(path, &m.folder, errors, warnings)) {
        if (json) console_json(model_json(&r, errors));
        return false;
    }
    r.m = &m;
    load_parts(&r, errors);
    options_check_model(&TRAIN_COMMAND, path, errors);
    options_check_model(&GENERATE_COMMAND, path, errors);
    Messages unreadable = { 0 }; /* they have told */
    r.defaults = read_defaults(path, &unreadable);
    if (json)
        console_json(model_json(&r, errors));
    else
        print_model(&r, errors->count > before);
    cJSON_Delete(r.defaults);
    messages_free(&unreadable);
    unused_free(&r.unused);
    model_close(&m);
    return errors->count == before;
}
