/* SPDX-License-Identifier: MIT */
/* `ti generate --like`: reads from a picture how it was drawn. */
#include "cli/console.h"
#include "cli/inspect_parts.h"
#include "cli/picture_record.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool given(const GenerateOptions *o, const char *name) {
    return options_given(&GENERATE_COMMAND, o, name);
}

/* A member that marks a record whose prompt the user replaces. */
static const char OTHER_PROMPT[] = "other prompt";

/* Options of the record that do not hold when the user gives another one. */
static const struct {
    const char *user, *replaced[8];
} REPLACED[] = {
    { "prompts", { "prompt" } },
    { "count", { "picture" } },
    { "latents", { "count", "picture", "width", "height", "init-image", "mask", "strength", "no-paste" } },
    { "init-image", { "latents" } },
    { "sampler", { "karras", "no-karras", "eta" } },
    { "karras", { "no-karras" } },
    { "no-karras", { "karras" } },
};

/* Removes from the record what the user replaces: options, and the hashes of inputs. */
static void remove_replaced(const GenerateOptions *o, json_t *record) {
    json_t *options = json_object_get(record, "generate"), *files = json_object_get(record, "files");
    for (size_t i = 0; i < sizeof REPLACED / sizeof *REPLACED; i++)
        for (size_t k = 0; k < 8 && REPLACED[i].replaced[k] && given(o, REPLACED[i].user); k++) {
            json_object_del(options, REPLACED[i].replaced[k]);
            json_object_del(files, REPLACED[i].replaced[k]);
        }
    static const char *const inputs[] = { "latents", "init-image", "mask" };
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (given(o, inputs[i])) json_object_del(files, inputs[i]);
    if (given(o, "model") || given(o, "vae")) json_object_del(record, "model");
    if (given(o, "embedding")) json_object_del(record, "words");
    if (given(o, "prompt") || given(o, "prompts")) json_object_set_new(record, OTHER_PROMPT, json_true());
    for (int i = 0; i < GENERATE_COMMAND.count; i++) {
        const Option *option = &GENERATE_COMMAND.options[i];
        if (option->once || !given(o, option->name)) continue;
        json_object_del(record, "score"); /* of --keep, which only the very same picture has */
        json_object_del(record, "rank");
    }
}

/* For a validation picture: makes its word, whose file lies beside the picture, the learned word. */
static bool find_word(const GenerateOptions *o, json_t *record, Messages *errors) {
    json_t *options = json_object_get(record, "generate");
    const char *name = json_string_value(json_object_get(record, "word"));
    const char *slash = strrchr(o->like, '/');
    if (!name || given(o, "embedding")) return true;
    char *path = mem_format("%.*s%s", slash ? (int)(slash + 1 - o->like) : 0, o->like, name);
    bool ok = !strchr(name, '/') && path_is_file(path);
    if (ok)
        json_object_set_new(options, "embedding", json_pack("[s]", path));
    else
        messages_add(
            errors,
            "%s: is a validation picture of step %.0f, and the word of that step is not there: %s (ti train "
            "--checkpoint-every keeps words; --embedding takes another)",
            o->like, json_number_value(json_object_get(record, "step")), path);
    free(path);
    return ok;
}

/* Adds a message for a picture without a record, and prints the parameters of another program. */
static bool refuse(const char *path, const PictureText *text, Messages *errors) {
    return inspect_picture(path, text, false, errors) &&
           messages_add(errors, "%s: is a picture of another program, which --like does not draw again",
                        path);
}

/* Returns the record of a picture that can be drawn again, or NULL after adding a message. */
static json_t *record_of(const char *path, const PictureText *text, Messages *errors) {
    if (!text->ti) {
        refuse(path, text, errors);
        return NULL;
    }
    json_t *record = json_parse(path, text->ti, strlen(text->ti), false, errors);
    if (!record) return NULL;
    bool drawn = json_is_object(json_object_get(record, "generate"));
    bool sheet = json_object_get(record, "sheet") || json_object_get(record, "grid");
    if (drawn && !sheet) return record;
    messages_add(errors,
                 sheet ? "%s: is a sheet of pictures; --like takes one of the pictures"
                       : "%s: does not say how it was drawn",
                 path);
    json_decref(record);
    return NULL;
}

bool like_read(GenerateOptions *o, json_t **record, Messages *errors, Messages *warnings) {
    File file;
    PictureText text;
    *record = NULL;
    if (!file_map(o->like, &file, errors)) return false;
    picture_text_read(o->like, file.data, file.size, &text, warnings);
    file_close(&file);
    *record = record_of(o->like, &text, errors);
    picture_text_free(&text);
    if (!*record) return false;
    remove_replaced(o, *record);
    if (!find_word(o, *record, errors) ||
        !options_from_object(&GENERATE_COMMAND, o->like, json_object_get(*record, "generate"), o, errors))
        return false;
    return o->prompt || o->prompts ||
           messages_add(errors, "%s: does not say with which prompt it was drawn", o->like);
}

/* Returns whether the record has no such hash, or the same one. */
static bool same_hash(const json_t *record, const json_t *now) { return !record || json_equal(record, now); }

/* A word that another prompt need not have is not missed. */
static void check_word(const GenerateOptions *o, const json_t *record, const PictureInputs *now,
                       const char *token, const json_t *then, Messages *errors) {
    static const char anyway[] = "(--embedding takes others all the same)";
    const Word *w = NULL;
    for (int64_t i = 0; i < now->words->count; i++)
        if (strcmp(now->words->words[i].token, token) == 0) w = &now->words->words[i];
    if (!w && !json_object_get(record, OTHER_PROMPT))
        messages_add(errors, "%s: was drawn with the word \"%s\", which is not loaded now %s", o->like, token,
                     anyway);
    if (w && !same_hash(then, json_object_get(json_object_get(now->hashes, "words"), token)))
        messages_add(errors, "%s: holds another word \"%s\" than that with which %s was drawn %s", w->from,
                     token, o->like, anyway);
}

bool like_check(const GenerateOptions *o, const json_t *record, const PictureInputs *now, Messages *errors) {
    int before = errors->count;
    const json_t *files = json_object_get(now->hashes, "files");
    if (!same_hash(json_object_get(record, "model"), json_object_get(now->hashes, "model")))
        messages_add(errors,
                     "%s: is another model than that with which %s was drawn (--model takes it all the same)",
                     now->model->folder.path, o->like);
    const char *name;
    json_t *then;
    json_object_foreach (json_object_get(record, "words"), name, then)
        check_word(o, record, now, name, then, errors);
    json_object_foreach (json_object_get(record, "files"), name, then)
        if (!same_hash(then, json_object_get(files, name)))
            messages_add(
                errors,
                "--%s: is another file than that with which %s was drawn (--%s takes it all the same)", name,
                o->like, name);
    return errors->count == before;
}
