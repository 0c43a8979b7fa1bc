/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* scandir, alphasort, strcasecmp */
#include "exchange/word_file.h"

#include "exchange/png_word.h"
#include "exchange/torch_file.h"
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

bool word_file_parse(const char *path, const void *bytes, size_t size, Embeddings *e, Messages *errors) {
    *e = (Embeddings) { 0 };
    Safetensors s;
    TorchFile t = { 0 };
    bool ok;
    if (is_png(bytes, size))
        ok = png_word_tensors(path, bytes, size, &s, errors);
    else if (is_pickle(bytes, size))
        ok = torch_parse(path, bytes, size, true, &t, errors) && torch_tensors(&t, path, true, &s, errors);
    else
        return embeddings_parse(path, bytes, size, e, errors);
    if (ok) {
        ok = embeddings_of(path, &s, e, errors);
        safetensors_close(&s);
    }
    torch_close(&t);
    return ok;
}

bool word_file_read(const char *path, Embeddings *e, Messages *errors) {
    *e = (Embeddings) { 0 };
    File file;
    if (!file_read(path, &file, errors)) return false;
    bool ok = word_file_parse(path, file.data, file.size, e, errors);
    file_close(&file);
    for (int64_t i = 0; i < e->count; i++) e->words[i].path = mem_string(path);
    return ok;
}

static bool read_renamed(const char *name, const char *path, Embeddings *e, Messages *errors) {
    if (!word_file_read(path, e, errors)) return false;
    if (e->count > 1) {
        embeddings_free(e);
        return messages_add(errors, "%s: holds several words, and \"%s\" can be the name of only one", path,
                            name);
    }
    e->words[0].name_in_file = e->words[0].token;
    e->words[0].token = mem_string(name);
    return true;
}

/* Appends the words of one of the folder's files to e as optional words. Adds a warning when the file has
   none. */
static void add_file(const char *path, Embeddings *e, Messages *warnings) {
    Embeddings file;
    Messages faults = { 0 };
    if (word_file_read(path, &file, &faults)) {
        for (int64_t i = 0; i < file.count; i++) file.words[i].optional = true;
        embeddings_append(e, &file);
    } else {
        messages_add(warnings, "skipped: %.*s", (int)strcspn(faults.text, "\n"), faults.text);
    }
    messages_free(&faults);
}

/* Whether a file of a folder is read: one with the ending of a word's file, and a picture that has a word in
   it. */
static bool may_hold_words(const char *path, const char *ending) {
    static const char *const endings[] = { ".safetensors", ".pt", ".bin" };
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(ending, endings[i]) == 0) return true;
    File file;
    Messages errors = { 0 };
    bool has = strcasecmp(ending, ".png") == 0 && file_map(path, &file, &errors);
    if (has) {
        has = png_has_word(file.data, file.size);
        file_close(&file);
    }
    messages_free(&errors);
    return has;
}

static bool read_folder(const char *path, Embeddings *e, Messages *errors, Messages *warnings) {
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) return messages_add(errors, "%s: cannot be read: %s", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name, *dot = strrchr(name, '.');
        char *file = mem_format("%s/%s", path, name);
        if (dot && may_hold_words(file, dot)) add_file(file, e, warnings);
        free(file);
        free(entries[i]);
    }
    free(entries);
    return e->count > 0 ||
           messages_add(errors, "%s: holds no learned word (a .safetensors, .pt, .bin or .png file)", path);
}

bool words_read(const char *source, Embeddings *e, Messages *errors, Messages *warnings) {
    *e = (Embeddings) { 0 };
    const char *equals = strchr(source, '=');
    if (path_is_folder(source)) return read_folder(source, e, errors, warnings);
    if (!equals || access(source, F_OK) == 0) return word_file_read(source, e, errors);
    char *name = mem_format("%.*s", (int)(equals - source), source);
    bool ok = *name ? read_renamed(name, equals + 1, e, errors)
                    : messages_add(errors, "%s: has no name before the =", source);
    free(name);
    return ok;
}
