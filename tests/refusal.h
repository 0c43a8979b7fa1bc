/* SPDX-License-Identifier: MIT */
/* Helpers of the tests that read files. They check that a file is refused with the right message, and they
   read and edit the text of files. */
#ifndef TI_REFUSAL_H
#define TI_REFUSAL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"
#include "io/json.h"
#include "tests/test.h"

/* Returns the whole text of a file of the repository; free() it. size may be NULL. Exits with status 1 when
   the file cannot be read. */
static inline char *read_text(const char *path, size_t *size) {
    Messages errors = { 0 };
    File file;
    if (!file_map(path, &file, &errors)) {
        fprintf(stderr, "%s", errors.text);
        exit(1);
    }
    char *text = mem_alloc(file.size + 1);
    memcpy(text, file.data, file.size);
    if (size) *size = file.size;
    file_close(&file);
    return text;
}

/* Returns the text of the JSON object `base` with the member `key` set to the text `value`, which need not be
   valid JSON, or removed when value is NULL; free() it. */
static inline char *edited_object(const char *base, const char *key, const char *value) {
    json_t *root = json_loads(base, JSON_DECODE_INT_AS_REAL, NULL), *member;
    Text text = { 0 };
    const char *other;
    json_object_del(root, key);
    json_object_foreach (root, other, member) {
        text_format(&text, "%s\"%s\": ", text.at ? ",\n" : "{\n", other);
        json_write(&text, member, 0);
    }
    if (value) text_format(&text, "%s\"%s\": %s", text.at ? ",\n" : "{\n", key, value);
    text_add(&text, text.at ? "\n}\n" : "{}");
    json_decref(root);
    return text.at;
}

/* Returns the messages joined into one line, or the text `none` when there are none. */
static inline const char *text_of(Messages *m, const char *none) {
    if (!m->text) return none;
    for (char *c = m->text; *c; c++)
        if (*c == '\n') *c = c[1] ? ';' : ' ';
    return m->text;
}

/* Checks that something was refused (!ok) and that `what` occurs in the messages, and frees the messages. */
static inline void expect_refused(const char *name, bool ok, Messages *errors, const char *what) {
    bool said = errors->text && strstr(errors->text, what);
    test_true(name, !ok && said, "%s%s", ok ? "accepted " : "", text_of(errors, ""));
    messages_free(errors);
}

/* Returns the lines of golden/files.txt, each of which is one case, without their line breaks. Free both the
   result and *text. */
static inline char **read_cases(char **text, int *count) {
    char **lines = NULL;
    *text = read_text("golden/files.txt", NULL);
    *count = 0;
    for (char *line = *text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        lines = mem_grow(lines, (size_t)(*count + 1) * sizeof *lines);
        lines[(*count)++] = line;
    }
    return lines;
}

#endif
