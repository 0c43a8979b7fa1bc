/* SPDX-License-Identifier: MIT */
/* options.json, the record of a training run: its text, and what of it tells one run from another. It is read
   in train_options.c. */
#include "cli/train.h"

#include "cli/common.h"
#include "cli/run_folder.h"
#include "io/file.h"
#include "io/hash.h"
#include "io/json.h"

#include <stdlib.h>
#include <string.h>

/* Parses an options.json that is known to be valid, and returns the options in the document. */
static json_t *options_of(const char *text, size_t size, json_t **document) {
    *document = json_loadb(text, size, JSON_DECODE_INT_AS_REAL, NULL);
    CHECK(*document);
    return json_object_get(*document, TRAIN_COMMAND.name);
}

uint64_t train_options_identity(const char *text, size_t size) {
    json_t *document, *options = options_of(text, size, &document);
    for (int i = 0; i < TRAIN_COMMAND.count; i++) {
        const Option *option = &TRAIN_COMMAND.options[i];
        if (option->may_differ || option->once) json_object_del(options, option->name);
    }
    static const char *const others[] = { "steps", "stop", "stop-threshold", "stop-window" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) json_object_del(options, others[i]);
    char *rest = json_text(options, 0);
    uint64_t hash = hash_bytes(HASH_START, rest, strlen(rest));
    free(rest);
    json_decref(document);
    return hash;
}

/* The record of a run that is resumed: the old text, whichever version of ti wrote it, with the number of
   steps, --stop and the paths of the inputs as they are now. (The contents of the inputs are compared through
   the state.) free() it. */
static char *updated_record(const File *was, const char *now) {
    static const char *const movable[] = { "steps", "images", "templates", "model", "vae" };
    json_t *old, *new, *kept = options_of((const char *)was->data, was->size, &old);
    const json_t *options = options_of(now, strlen(now), &new);
    for (size_t i = 0; i < sizeof movable / sizeof *movable; i++)
        json_object_set(kept, movable[i], json_object_get(options, movable[i]));
    if (json_object_get(kept, "stop")) json_object_set(kept, "stop", json_object_get(options, "stop"));
    Text text = { 0 };
    json_write(&text, old, JSON_LINES | JSON_EXACT);
    text_add(&text, "\n");
    json_decref(old);
    json_decref(new);
    return text.at;
}

/* Returns the text of options.json; free() it. */
static char *record_of(const TrainOptions *o) {
    TrainOptions record = *o;
    record.images = path_absolute(o->images);
    record.templates = templates_named(o->templates) ? mem_string(o->templates) : path_absolute(o->templates);
    record.model = path_absolute(o->model);
    record.vae = path_absolute(o->vae);
    char *init = o->init_is_file ? path_absolute(o->init.items[0]) : NULL;
    if (init) record.init = (StringList) { &init, 1 };
    char *text = options_to_json(&TRAIN_COMMAND, &record);
    free(record.images);
    free(record.templates);
    free(record.model);
    free(record.vae);
    free(init);
    return text;
}

uint64_t train_options_hash(const TrainOptions *o) {
    char *text = record_of(o);
    uint64_t hash = train_options_identity(text, strlen(text));
    free(text);
    return hash_bytes(hash, &o->steps, sizeof o->steps);
}

bool train_options_save(TrainOptions *o, const char *folder, Messages *errors) {
    char *path = mem_format("%s/%s", folder, RUN_OPTIONS), *text = record_of(o);
    File was = { 0 };
    bool ok = !o->resume || file_read(path, &was, errors), same = false;
    if (ok && o->resume) {
        char *updated = updated_record(&was, text);
        free(text);
        text = updated;
        same = was.size == strlen(text) && memcmp(was.data, text, was.size) == 0;
    }
    file_close(&was);
    o->identity = train_options_identity(text, strlen(text));
    ok = ok && (same || file_write(path, text, strlen(text), errors));
    free(text);
    free(path);
    return ok;
}
