/* SPDX-License-Identifier: MIT */
#include "cli/picture_record.h"

#include "cli/console.h"
#include "cli/help.h"
#include "exchange/parameters.h"
#include "io/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The inputs */

static char *vectors_hash(const Words *words, const Word *w) {
    char *hash = mem_alloc(SHA256_TEXT);
    size_t bytes = (size_t)(w->vectors * words->width) * sizeof *words->learned;
    sha256_text(words->learned + w->first * words->width, bytes, hash);
    return hash;
}

/* Starts the inputs with the hashes of the model and of the words. Returns false and adds a message when a
   file of the model cannot be read. */
static bool hash_model_and_words(const Model *m, const Words *words, PictureInputs *in, Messages *errors) {
    uint64_t fingerprint;
    bool ok = folder_fingerprint(&m->folder, &fingerprint, errors);
    char *model = mem_format("%016" PRIx64, fingerprint);
    folder_release_pages(&m->folder);
    json_t *of_words = json_object();
    for (int64_t i = 0; i < words->count; i++) {
        char *hash = vectors_hash(words, &words->words[i]);
        json_object_set_new(of_words, words->words[i].token, json_string(hash));
        free(hash);
    }
    *in = (PictureInputs) { .model = m, .words = words };
    in->hashes = json_pack("{s:s, s:o}", "model", model, "words", of_words);
    free(model);
    return ok;
}

static bool add_file(json_t *files, const char *option, const char *path, Messages *errors) {
    char hash[SHA256_TEXT];
    if (!path) return true;
    if (!sha256_file(path, hash, errors)) return false;
    json_object_set_new(files, option, json_string(hash));
    return true;
}

/* Sets in->word_files, for which A1111 takes the first 12 digits of the files' hashes. */
static bool hash_word_files(const Words *words, PictureInputs *in, Messages *errors) {
    Text text = { 0 };
    bool ok = true;
    for (int64_t i = 0; i < words->count && ok; i++) {
        char hash[SHA256_TEXT];
        ok = sha256_file(words->words[i].from, hash, errors);
        if (ok) text_format(&text, "%s%s: %.12s", i ? ", " : "", words->words[i].token, hash);
    }
    in->word_files = text.at;
    return ok;
}

static bool hash_model(const Model *m, PictureInputs *in, Messages *errors) {
    const SingleFile *single = m->folder.single;
    if (!single) return true;
    if (single->file.file.size > 100000000)
        console_line(stderr, "ti: hashing %s for the text in the pictures (--no-metadata leaves it out)",
                     m->folder.path);
    return sha256_file(m->folder.path, in->model_sha256, errors);
}

bool picture_inputs_read(const GenerateOptions *o, const Model *m, const Words *words, PictureInputs *in,
                         Messages *errors) {
    json_t *files = json_object();
    bool ok = hash_model_and_words(m, words, in, errors);
    json_object_set_new(in->hashes, "files", files);
    return ok && add_file(files, "latents", o->latents, errors) &&
           add_file(files, "init-image", o->init_image, errors) && add_file(files, "mask", o->mask, errors) &&
           (o->no_metadata || (hash_word_files(words, in, errors) && hash_model(m, in, errors)));
}

void picture_inputs_free(PictureInputs *in) {
    json_decref(in->hashes);
    free(in->word_files);
    *in = (PictureInputs) { 0 };
}

/* The texts */

static ScheduleType schedule_type(const SamplerOptions *s, const SchedulerConfig *c) {
    bool own = s->karras == KARRAS_AS_CONFIG && s->sampler->has_karras;
    if (s->steps == STEPS_ALIGN_YOUR_STEPS) return SCHEDULE_ALIGN_YOUR_STEPS;
    if (s->karras == KARRAS_ON || (own && c->karras_sigmas)) return SCHEDULE_KARRAS;
    if (own && c->exponential_sigmas) return SCHEDULE_EXPONENTIAL;
    return own && c->beta_sigmas ? SCHEDULE_BETA : SCHEDULE_UNIFORM;
}

/* Returns the model's name: the last part of its path, without the ending of a file. */
static char *model_name(const ModelFolder *m) {
    char *path = mem_string(m->path);
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--) path[n - 1] = 0;
    char *slash = strrchr(path, '/'), *name = mem_string(slash && slash[1] ? slash + 1 : path);
    char *dot = m->single ? strrchr(name, '.') : NULL;
    if (dot && dot > name) *dot = 0;
    free(path);
    return name;
}

static char *parameters(const GenerateOptions *o, const PictureInputs *in, const SamplingOptions *sampling) {
    const SamplerOptions *s = &sampling->sampler;
    bool alone = o->rng == 1; /* each picture has a generator of its own */
    int64_t number = o->picture ? o->picture - 1 : 0;
    char *name = model_name(&in->model->folder);
    char *text = parameters_text(&(Parameters) {
        .prompt = o->prompt,
        .negative = o->negative,
        .steps = s->steps == STEPS_ALIGN_YOUR_STEPS ? 10 : s->steps,
        .sampler = s->sampler->name,
        .schedule = schedule_type(s, &in->model->noise_schedule.config),
        .guidance = o->guidance,
        .seed = o->seed + (alone ? number : 0),
        .width = sampling->width,
        .height = sampling->height,
        .model = name,
        .model_hash = in->model_sha256[0] ? in->model_sha256 : NULL,
        .strength = s->strength,
        .clip_skip = o->clip_skip,
        .eta = o->sampler.eta,
        .rescale = o->rescale,
        .gpu_noise = alone,
        .batch = alone ? 1 : o->count,
        .number = number,
        .words = in->word_files,
        .version = TI_VERSION,
    });
    free(name);
    return text;
}

/* Returns the texts of a picture that these options draw, with more members of the record, which it releases.
   */
static PictureText texts_of(const GenerateOptions *o, const PictureInputs *in,
                            const SamplingOptions *sampling, json_t *more) {
    json_t *options = options_to_object(&GENERATE_COMMAND, o);
    if (!o->init_image) json_object_del(options, "strength");
    json_t *record = json_pack("{s:s, s:o}", "version", TI_VERSION, "generate", options);
    json_object_update(record, in->hashes);
    static const char *const objects[] = { "words", "files" };
    for (int k = 0; k < 2; k++)
        if (!json_object_size(json_object_get(record, objects[k]))) json_object_del(record, objects[k]);
    if (more) json_object_update(record, more);
    PictureText text = { .parameters = parameters(o, in, sampling), .ti = json_text(record, JSON_EXACT) };
    json_decref(record);
    json_decref(more);
    return text;
}

PictureText picture_record(const GenerateOptions *o, const PictureInputs *in, const SamplingOptions *sampling,
                           const char *prompt, const char *negative, int64_t i, json_t *more) {
    GenerateOptions line = *o;
    line.prompt = (char *)prompt;
    line.negative = *negative ? (char *)negative : NULL;
    line.prompts = NULL;
    line.sampler.steps = sampling->sampler.steps;
    if (o->picture == 0 && o->count > 1 && i >= 0) line.picture = i + 1;
    return texts_of(&line, in, sampling, i < 0 ? json_pack("{s:b}", "grid", true) : more);
}

bool validation_record(const TrainOptions *o, const Model *m, const Words *words,
                       const SamplingOptions *sampling, int64_t step, const char *word_file,
                       PictureText *text, Messages *errors) {
    GenerateOptions g = {
        .given = { mem_alloc((size_t)GENERATE_COMMAND.count * sizeof(bool)) },
        .prompt = o->validation_prompt,
        .negative = o->negative,
        .model = path_absolute(o->model), /* as in options.json, so that a resumed run writes the same */
        .vae = path_absolute(o->vae),
        .prediction = o->prediction,
        .count = 1,
        .width = sampling->width,
        .height = sampling->height,
        .seed = o->seed,
        .sampler = o->sampler,
        .guidance = o->guidance,
        .rescale = o->rescale,
        .clip_skip = o->clip_skip,
        .prompt_syntax = o->prompt_syntax,
        .long_prompts = o->long_prompts,
        .precision = o->precision,
    };
    g.sampler.steps = sampling->sampler.steps;
    PictureInputs in;
    bool ok = hash_model_and_words(m, words, &in, errors);
    *text = texts_of(&g, &in, sampling, json_pack("{s:I, s:s}", "step", (json_int_t)step, "word", word_file));
    picture_inputs_free(&in);
    free(g.model);
    free(g.vae);
    free(g.given.by_user);
    return ok;
}

PictureText sheet_record(json_t *options) {
    json_t *record = json_pack("{s:s, s:o}", "version", TI_VERSION, "sheet", options);
    PictureText text = { .ti = json_text(record, JSON_EXACT) };
    json_decref(record);
    return text;
}
