/* SPDX-License-Identifier: MIT */
#include "inversion/templates.h"

#include <stdlib.h>
#include <string.h>

#include "io/file.h"
#include "io/utf8.h"

enum { LINE_MAX_BYTES = 1000, LINES_MAX = 1000000, FAULTS_TOLD = 20 };

/* The templates of diffusers' textual_inversion.py. The random choice depends on their order and number. */
static const char *const OBJECT[] = {
    "a photo of a {}",           "a rendering of a {}",
    "a cropped photo of the {}", "the photo of a {}",
    "a photo of a clean {}",     "a photo of a dirty {}",
    "a dark photo of the {}",    "a photo of my {}",
    "a photo of the cool {}",    "a close-up photo of a {}",
    "a bright photo of the {}",  "a cropped photo of a {}",
    "a photo of the {}",         "a good photo of the {}",
    "a photo of one {}",         "a close-up photo of the {}",
    "a rendition of the {}",     "a photo of the clean {}",
    "a rendition of a {}",       "a photo of a nice {}",
    "a good photo of a {}",      "a photo of the nice {}",
    "a photo of the small {}",   "a photo of the weird {}",
    "a photo of the large {}",   "a photo of a cool {}",
    "a photo of a small {}",
};

/* Two of these occur twice, as in the script. */
static const char *const STYLE[] = {
    "a painting in the style of {}",         "a rendering in the style of {}",
    "a cropped painting in the style of {}", "the painting in the style of {}",
    "a clean painting in the style of {}",   "a dirty painting in the style of {}",
    "a dark painting in the style of {}",    "a picture in the style of {}",
    "a cool painting in the style of {}",    "a close-up painting in the style of {}",
    "a bright painting in the style of {}",  "a cropped painting in the style of {}",
    "a good painting in the style of {}",    "a close-up painting in the style of {}",
    "a rendition in the style of {}",        "a nice painting in the style of {}",
    "a small painting in the style of {}",   "a weird painting in the style of {}",
    "a large painting in the style of {}",
};

static void push(Templates *t, const char *line, size_t size) {
    t->lines = mem_grow(t->lines, (size_t)(t->count + 1) * sizeof *t->lines);
    t->lines[t->count++] = mem_format("%.*s", (int)size, line);
}

/* Returns how often a text occurs in a line. */
static int occurrences(const char *line, const char *text) {
    int count = 0;
    for (const char *at = line; (at = strstr(at, text)) != NULL; at += strlen(text)) count++;
    return count;
}

/* Returns the text that stands for the word in a line: "{}", "[name]" or the word itself. NULL unless
   exactly one of them does, once. */
static const char *hole_of(const char *line, const char *word, int *count) {
    const char *holes[] = { "{}", "[name]", word }, *found = NULL;
    *count = 0;
    for (int i = 0; i < 3; i++) {
        int times = holes[i] ? occurrences(line, holes[i]) : 0;
        if (times) found = holes[i];
        *count += times;
    }
    return *count == 1 ? found : NULL;
}

/* Adds a line, in which "{}" takes the word's place. Returns NULL or what is wrong with it, as the second
   part of a message. */
static const char *push_line(Templates *t, const char *bytes, size_t size, const char *word) {
    if (t->count == LINES_MAX) return "is one too many";
    if (size > LINE_MAX_BYTES) return "is longer than 1000 bytes";
    if (memchr(bytes, 0, size)) return "has a zero byte";
    if (!utf8_valid(bytes, size)) return "is not UTF-8 text";
    char *line = mem_format("%.*s", (int)size, bytes);
    int holes;
    const char *hole = hole_of(line, word, &holes), *at = hole ? strstr(line, hole) : NULL;
    if (hole) {
        char *with = mem_format("%.*s{}%s", (int)(at - line), line, at + strlen(hole));
        push(t, with, strlen(with));
        free(with);
    }
    free(line);
    if (hole) return NULL;
    return holes ? "has {} more than once" : "has no {} where the word goes";
}

bool templates_parse(Templates *t, const char *path, const char *text, size_t size, const char *word,
                     Messages *errors) {
    *t = (Templates) { 0 };
    int64_t number = 0, faults = 0;
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) { /* the byte order mark that some editors write */
        text += 3;
        size -= 3;
    }
    for (const char *line = text, *end = text + size, *next; line < end; line = next) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        next = stop ? stop + 1 : end;
        if (!stop) stop = end;
        while (stop > line && strchr(" \t\r", stop[-1]) && stop[-1]) stop--;
        size_t length = (size_t)(stop - line);
        number++;
        if (!length || line[0] == '#') continue;
        const char *why = push_line(t, line, length, word);
        if (why && ++faults <= FAULTS_TOLD)
            messages_add(errors, "%s: line %lld %s", path, (long long)number, why);
    }
    if (faults > FAULTS_TOLD)
        messages_add(errors, "%s: %lld more such lines", path, (long long)(faults - FAULTS_TOLD));
    if (!faults && !t->count)
        messages_add(errors, "%s: holds no templates (write one on each line, such as: a photo of a {})",
                     path);
    if (!faults && t->count) return true;
    templates_free(t);
    return false;
}

/* Adds the list for objects. A line that begins with "a photo of" begins with `begins` instead, and every
   line ends with `ends`. */
static void push_objects(Templates *t, const char *begins, const char *ends) {
    static const char photo[] = "a photo of";
    for (size_t i = 0; i < sizeof OBJECT / sizeof *OBJECT; i++) {
        bool other = strncmp(OBJECT[i], photo, strlen(photo)) == 0;
        char *line = mem_format("%s%s%s", other ? begins : "", OBJECT[i] + (other ? strlen(photo) : 0), ends);
        push(t, line, strlen(line));
        free(line);
    }
}

static bool named(const char *name, const char *list) { return name && strcmp(name, list) == 0; }

bool templates_named(const char *name) {
    return named(name, "diffusers") || named(name, "paper") || named(name, "code");
}

bool templates_get(Templates *t, Kind kind, const char *name, Messages *errors) {
    *t = (Templates) { 0 };
    if (name && !templates_named(name)) {
        File file;
        if (!file_read(name, &file, errors)) return false;
        bool ok = templates_parse(t, name, (const char *)file.data, file.size, NULL, errors);
        file_close(&file);
        return ok;
    }
    if (named(name, "paper") && kind == KIND_STYLE)
        return messages_add(errors, "--templates paper: the paper prints no templates for styles");
    for (size_t i = 0; kind == KIND_STYLE && i < sizeof STYLE / sizeof *STYLE; i++)
        push(t, STYLE[i], strlen(STYLE[i]));
    if (kind == KIND_OBJECT) push_objects(t, "a photo of", named(name, "paper") ? "." : "");
    if (kind == KIND_OBJECT && named(name, "code")) {
        push_objects(t, "an illustration of", "");
        push_objects(t, "a depiction of", "");
    }
    return true;
}

void templates_free(Templates *t) {
    for (int64_t i = 0; i < t->count; i++) free(t->lines[i]);
    free(t->lines);
    *t = (Templates) { 0 };
}

char *template_fill(const char *line, const char *word) {
    const char *hole = strstr(line, "{}");
    CHECK(hole);
    return mem_format("%.*s%s%s", (int)(hole - line), line, word, hole + 2);
}
