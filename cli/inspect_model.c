/* SPDX-License-Identifier: MIT */
/* The report on a model, in a folder or a single file: its parts and their weights, what its configs say, and
   what is wrong with it. */
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
    const char *single;                 /* the file when one file holds several parts, else NULL */
    int64_t tensors, parameters, bytes; /* of the tensors that the architecture uses */
    int64_t unread;                     /* number of tensors that the architecture does not use */
    char types[TYPES_TEXT];             /* the types of the tensors: "F16" or "F16, F32" */
} Part;

/* Adds a type to a list such as "F16, F32" unless it is there already. "F16" within "BF16" does not count. */
static void add_type(char types[TYPES_TEXT], const char *type) {
    const char *found = strstr(types, type);
    while (found && found > types && found[-1] != ' ') found = strstr(found + 1, type);
    size_t n = strlen(types);
    if (!found) snprintf(types + n, TYPES_TEXT - n, "%s%s", n ? ", " : "", type);
}

/* Counts the tensors of a part, which must have been loaded, so that the store knows which ones were used. */
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

/* Returns the content of the folder's defaults.json, or NULL when there is none or it cannot be parsed. */
static json_t *read_defaults(const char *folder, Messages *errors) {
    char *path = mem_format("%s/defaults.json", folder);
    File file;
    json_t *object = NULL;
    if (access(path, F_OK) == 0 && file_read(path, &file, errors)) {
        object = json_parse(path, file.data, file.size, false, errors);
        file_close(&file);
    }
    free(path);
    return object;
}

/* Reads that file and checks what it says about each command. What is wrong with the whole file is said
   once. */
static void check_defaults(const char *folder, json_t **defaults, Messages *errors) {
    static const Command *const commands[] = { &TRAIN_COMMAND, &GENERATE_COMMAND, &EVALUATE_COMMAND };
    *defaults = read_defaults(folder, errors);
    int checks = json_is_object(*defaults) ? 3 : *defaults ? 1 : 0;
    for (int i = 0; i < checks; i++) options_check_model(commands[i], folder, errors);
}

/* Text */

static void print_parts(const Part *parts, const Unused *unused) {
    char count[COUNT_TEXT], size[SIZE_TEXT];
    int64_t tensors = 0, parameters = 0, bytes = 0;
    printf("%-13s %-10s %7s %15s %10s  %s\n", "part", "type", "tensors", "parameters", "size", "file");
    for (int i = 0; i < 3; i++) {
        const Part *p = &parts[i];
        char *more = p->weights->count > 1 ? mem_format(", ... (%lld files)", (long long)p->weights->count)
                                           : mem_string("");
        console_line(stdout, "%-13s %-10s %7lld %15s %10s  %s%s", p->name, p->types, (long long)p->tensors,
                     count_text(p->parameters, count), size_text(p->bytes, size),
                     file_name(p->single ? p->single : p->weights->files[0].path), more);
        free(more);
        tensors += p->tensors;
        parameters += p->parameters;
        bytes += p->bytes;
    }
    printf("%-13s %-10s %7lld %15s %10s\n\n", "all", "", (long long)tensors, count_text(parameters, count),
           size_text(bytes, size));
    if (!unused->count) return;
    char *text = unused_text(unused);
    console_line(stdout, "ignored, since they are no part of the model: %s", text);
    printf("\n");
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

static void print_scheduler(const SchedulerConfig *s, bool guessed) {
    static const char *const predicted[] = {
        [PREDICT_EPSILON] = "the noise", [PREDICT_V] = "v", [PREDICT_SAMPLE] = "the picture"
    };
    printf("scheduler     %lld timesteps, ", (long long)s->train_timesteps);
    if (s->spacing != SPACING_LEADING) printf("spacing %s, ", SPACING_NAMES[s->spacing]);
    if (s->trained_betas)
        printf("betas of its own");
    else if (s->beta_schedule == BETAS_COSINE)
        printf("%s betas", BETA_SCHEDULE_NAMES[s->beta_schedule]);
    else
        printf("%s betas %g to %g", BETA_SCHEDULE_NAMES[s->beta_schedule], s->beta_start, s->beta_end);
    printf("%s, the UNet predicts %s%s\n", s->zero_snr ? " rescaled to end in pure noise" : "",
           predicted[s->prediction],
           guessed
               ? " (the file does not say: a model of 512 pixels predicts the noise, --prediction epsilon)"
               : "");
}

static void print_configs(const Model *m, int64_t words) {
    const ModelFolder *f = &m->folder;
    const ClipConfig *c = &f->clip;
    const UnetConfig *u = &f->unet_config;
    const VaeConfig *v = &f->vae_config;
    int64_t factor = vae_factor(v), side = u->sample_size * factor;
    printf("picture       %lld x %lld, as latents %lld x %lld x %lld\n", (long long)side, (long long)side,
           (long long)u->in_channels, (long long)u->sample_size, (long long)u->sample_size);
    printf("text encoder  width %lld, layers %d, heads %d, MLP %lld (%s)\n", (long long)c->hidden_size,
           c->layers, c->heads, (long long)c->intermediate_size,
           c->activation == ACT_GELU ? "gelu" : "quick_gelu");
    char *pad = console_text(f->tokenizer.pad_token ? f->tokenizer.pad_token : "the end token");
    console_line(stdout, "tokenizer     %lld tokens, window %lld, padded with %s", (long long)words,
                 (long long)f->tokenizer.model_max_length, pad);
    free(pad);
    print_levels("unet levels", u->levels, u->channels, u->layers_per_block, u->down_attends, u->heads);
    printf("unet          text width %lld, middle %s attention, %s projections, norms of %d groups\n",
           (long long)u->cross_attention_dim, u->mid_attends ? "with" : "without",
           u->linear_projection ? "linear" : "1x1", u->groups);
    if (u->time_cond_proj_dim)
        printf(
            "unet          takes the guidance scale as an embedding of %lld numbers (latent consistency)\n",
            (long long)u->time_cond_proj_dim);
    print_levels("vae levels", v->levels, v->channels, NULL, NULL, NULL);
    printf("vae           %lld latent channels, factor %lld, scaling factor %g, middle %s attention\n",
           (long long)v->latent_channels, (long long)factor, (double)v->scaling_factor,
           v->mid_attention ? "with" : "without");
    print_scheduler(&f->scheduler, f->prediction_guessed);
}

static void print_defaults(json_t *defaults) {
    const char *command, *name;
    json_t *options, *value;
    json_object_foreach (defaults, command, options) {
        if (!json_is_object(options)) continue;
        char *whose = console_text(command);
        Text line = { 0 };
        text_format(&line, "defaults      ti %s:", whose);
        free(whose);
        json_object_foreach (options, name, value) {
            char *text = json_text(value, 0), *option = mem_format("%s %s", name, text);
            char *shown = console_text(option);
            text_format(&line, " --%s", shown);
            free(shown);
            free(option);
            free(text);
        }
        console_line(stdout, "%s", line.at);
        free(line.at);
    }
}

/* JSON */

static json_t *part_json(const Part *p, bool tensors) {
    json_t *files = json_array();
    for (int64_t k = 0; k < p->weights->count; k++) {
        const Safetensors *s = &p->weights->files[k];
        json_array_append_new(files, json_pack("{s:s, s:o*}", "path", p->single ? p->single : s->path,
                                               "tensors", tensors ? json_tensors(s) : NULL));
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "part", p->name, "types", p->types, "tensors",
                     p->tensors, "parameters", p->parameters, "bytes", p->bytes, "unread", p->unread, "files",
                     files);
}

static json_t *configs_json(const Model *m, int64_t words) {
    const ClipConfig *c = &m->folder.clip;
    const UnetConfig *u = &m->folder.unet_config;
    const VaeConfig *v = &m->folder.vae_config;
    const SchedulerConfig *s = &m->folder.scheduler;
    return json_pack("{s:{s:i, s:I, s:i, s:I}, s:{s:I, s:I}, s:{s:I, s:I, s:o}, s:{s:I, s:I, s:f, s:o}, "
                     "s:{s:I, s:s, s:s, s:b}}",
                     "text_encoder", "layers", c->layers, "width", c->hidden_size, "heads", c->heads,
                     "mlp_width", c->intermediate_size, "tokenizer", "tokens", words, "window",
                     m->folder.tokenizer.model_max_length, "unet", "sample_size", u->sample_size,
                     "text_width", u->cross_attention_dim, "channels", json_integers(u->channels, u->levels),
                     "vae", "latent_channels", v->latent_channels, "factor", (int64_t)vae_factor(v),
                     "scaling_factor", (double)v->scaling_factor, "channels",
                     json_integers(v->channels, v->levels), "scheduler", "timesteps", s->train_timesteps,
                     "prediction", s->prediction == PREDICT_V ? "v" : PREDICTION_NAMES[s->prediction],
                     "spacing", SPACING_NAMES[s->spacing], "zero_snr", s->zero_snr);
}

static json_t *unused_json(const Unused *u) {
    json_t *names = json_object();
    for (int64_t i = 0; i < u->group_count; i++)
        json_object_set_new(names, u->groups[i].prefix, json_integer(u->groups[i].count));
    return json_pack("{s:I, s:I, s:o}", "tensors", u->count, "bytes", u->bytes, "names", names);
}

/* What is known about a model, from which the report is printed as text or as JSON. */
typedef struct {
    const char *path;
    Model *m; /* NULL when the model could not be opened */
    Part parts[3];
    Unused unused;
    int64_t words;
    json_t *defaults; /* the content of defaults.json, or NULL */
    bool tensors, hash;
} Report;

static json_t *model_json(const Report *r, const Messages *faults) {
    const Model *m = r->m;
    json_t *document = json_pack("{s:s, s:s}", "kind", m ? kind(m) : "model", "path", r->path);
    if (m) {
        json_t *parts = json_array(), *more;
        for (int i = 0; i < 3; i++) json_array_append_new(parts, part_json(&r->parts[i], r->tensors));
        int64_t side = m->folder.unet_config.sample_size * vae_factor(&m->folder.vae_config);
        more = json_pack("{s:s, s:I, s:o, s:o, s:o}", "family", family(m), "side", side, "architecture",
                         configs_json(m, r->words), "parts", parts, "ignored", unused_json(&r->unused));
        json_object_update(document, more);
        json_decref(more);
        if (m->folder.single) {
            FileIdentity id = identify(&m->folder.single->file.file, r->hash);
            add_identity(document, &id);
        }
        if (r->defaults) json_object_set(document, "defaults", r->defaults);
    }
    json_object_set_new(document, "faults", json_messages(faults));
    return document;
}

static void print_all_tensors(const Part *parts) {
    for (int i = 0; i < 3; i++)
        for (int64_t k = 0; k < parts[i].weights->count; k++) {
            printf("\n");
            console_line(stdout, "%s", parts[i].weights->files[k].path);
            print_tensors(&parts[i].weights->files[k]);
        }
}

static void print_model(const Report *r, bool faults) {
    const Model *m = r->m;
    console_line(stdout, "%s: %s, a %s%s", r->path, family(m), kind(m), faults ? " WITH FAULTS" : "");
    printf("\n");
    print_parts(r->parts, &r->unused);
    print_configs(m, r->words);
    print_defaults(r->defaults);
    if (r->tensors) print_all_tensors(r->parts);
    fflush(stdout);
    if (!m->folder.single) return;
    FileIdentity id = identify(&m->folder.single->file.file, r->hash);
    print_identity(&id);
}

/* Loads the parts of the model as the other commands do, which adds a message for each fault, and fills the
   report. r->m->folder must be open. */
static void load_parts(Report *r, Messages *errors) {
    ModelFolder *f = &r->m->folder;
    model_load(r->m, errors);
    r->words = r->m->tokenizer ? tokenizer_vocab_size(r->m->tokenizer) : 0;
    r->parts[0] = part_of("text_encoder", &f->text_encoder_files, f->text_encoder);
    r->parts[1] = part_of("unet", &f->unet_files, f->unet);
    r->parts[2] = part_of("vae", &f->vae_files, f->vae);
    for (int i = 0; f->single && i < 3; i++)
        if (i < 2 || f->single->sources[PART_VAE]) r->parts[i].single = f->path;
    if (f->vae_single) r->parts[2].single = f->vae_single->file.path;
    folder_unused(f, &r->unused);
}

bool inspect_model(const char *path, const char *vae, bool tensors, bool hash, bool json, Messages *errors,
                   Messages *warnings) {
    int before = errors->count;
    Model m = { 0 };
    Report r = { .path = path, .tensors = tensors, .hash = hash };
    if (!exchange_open_model(path, vae, &m.folder, errors, warnings)) {
        if (json) console_json(model_json(&r, errors));
        return false;
    }
    r.m = &m;
    load_parts(&r, errors);
    check_defaults(path, &r.defaults, errors);
    if (json)
        console_json(model_json(&r, errors));
    else
        print_model(&r, errors->count > before);
    json_decref(r.defaults);
    unused_free(&r.unused);
    model_close(&m);
    return errors->count == before;
}
