#include "inversion/templates.h"

#include <stdlib.h>
#include <string.h>

#include "io/file.h"
#include "io/utf8.h"

enum { LINE_MAX_BYTES = 1000, LINES_MAX = 1000000, FAULTS_TOLD = 20 };

/* The templates of diffusers' textual_inversion.py, in its order, on which the random choice depends. */
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

static const char *const STYLE[] = {
    "a painting in the style of {}",
    "a rendering in the style of {}",
    "a cropped painting in the style of {}",
    "the painting in the style of {}",
    "a clean painting in the style of {}",
    "a dirty painting in the style of {}",
    "a dark painting in the style of {}",
    "a picture in the style of {}",
    "a cool painting in the style of {}",
    "a close-up painting in the style of {}",
    "a bright painting in the style of {}",
    "a cropped painting in the style of {}",
    "a good painting in the style of {}",
    "a close-up painting in the style of {}", /* twice, as in the script: every draw depends on the number */
    "a rendition in the style of {}",
    "a nice painting in the style of {}",
    "a small painting in the style of {}",
    "a weird painting in the style of {}",
    "a large painting in the style of {}",
};

static void push(Templates *t, const char *line, size_t size) {
    t->lines = mem_grow(t->lines, (size_t)(t->count + 1) * sizeof *t->lines);
    t->lines[t->count++] = mem_format("%.*s", (int)size, line);
}

/* Returns what is wrong with a line, as the rest of a message, or NULL. */
static const char *line_fault(const char *line, size_t size) {
    if (size > LINE_MAX_BYTES) return "is longer than 1000 bytes";
    int holes = 0;
    for (size_t i = 0; i + 1 < size; i++) holes += line[i] == '{' && line[i + 1] == '}';
    if (holes != 1) return holes ? "has {} more than once" : "has no {} for the word to go";
    if (memchr(line, 0, size)) return "has a zero byte";
    return utf8_valid(line, size) ? NULL : "is not UTF-8 text";
}

bool templates_parse(Templates *t, const char *path, const char *text, size_t size, Messages *errors) {
    *t = (Templates) { 0 };
    int64_t number = 0, faults = 0;
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) { /* the byte order mark of some editors */
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
        const char *why = t->count == LINES_MAX ? "is one too many" : line_fault(line, length);
        if (!why) push(t, line, length);
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

bool templates_get(Templates *t, Kind kind, const char *path, Messages *errors) {
    *t = (Templates) { 0 };
    if (path) {
        File file;
        if (!file_read(path, &file, errors)) return false;
        bool ok = templates_parse(t, path, (const char *)file.data, file.size, errors);
        file_close(&file);
        return ok;
    }
    const char *const *lines = kind == KIND_STYLE ? STYLE : OBJECT;
    size_t count = kind == KIND_STYLE ? sizeof STYLE / sizeof *STYLE : sizeof OBJECT / sizeof *OBJECT;
    for (size_t i = 0; i < count; i++) push(t, lines[i], strlen(lines[i]));
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

int32_t *templates_encode(const Templates *t, const Tokenizer *tokenizer, const char *word,
                          int64_t *longest) {
    int64_t length = tokenizer_max_length(tokenizer);
    int32_t *ids = mem_alloc((size_t)(t->count * length) * sizeof *ids);
    char *placeholder = tokenizer_placeholder(tokenizer, word);
    *longest = 0;
    for (int64_t i = 0; i < t->count; i++) {
        char *prompt = template_fill(t->lines[i], placeholder);
        *longest = max_i64(*longest, tokenizer_encode(tokenizer, prompt, ids + i * length));
        free(prompt);
    }
    free(placeholder);
    return ids;
}
