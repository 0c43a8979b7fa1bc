/* What the tests of files share: texts to read, and files that must be refused with a line that says why. */
#ifndef TI_REFUSAL_H
#define TI_REFUSAL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"
#include "io/json.h"
#include "tests/test.h"

/* The whole text of a file of the repository */
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

/* A JSON object with one member set to the JSON text value, which may be none, or taken out (NULL). free()
   it. */
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

/* The messages in one line, or what there is to say without any */
static inline const char *text_of(Messages *m, const char *none) {
    if (!m->text) return none;
    for (char *c = m->text; *c; c++)
        if (*c == '\n') *c = c[1] ? ';' : ' ';
    return m->text;
}

/* Refused, and some line says what. */
static inline void expect_refused(const char *name, bool ok, Messages *errors, const char *what) {
    bool said = errors->text && strstr(errors->text, what);
    test_true(name, !ok && said, "%s%s", ok ? "accepted " : "", text_of(errors, ""));
    messages_free(errors);
}

/* The lines of golden/files.txt, a case each, without their ends; *text is to be freed as well. */
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
