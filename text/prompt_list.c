/* SPDX-License-Identifier: MIT */
#include "text/prompt_list.h"

#include <stdlib.h>
#include <string.h>

#include "io/file.h"
#include "io/utf8.h"

enum { PROMPTS_MAX = 1000 };

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Returns a copy of the text without white space at its ends. */
static char *trimmed(const char *text, size_t size) {
    while (size > 0 && is_blank(text[size - 1])) size--;
    while (size > 0 && is_blank(*text)) text++, size--;
    return mem_format("%.*s", (int)size, text);
}

static bool add_line(PromptList *l, const char *path, int64_t number, const char *line, size_t size,
                     Messages *errors) {
    const char *tab = memchr(line, '\t', size);
    size_t before = tab ? (size_t)(tab - line) : size, after = tab ? size - before - 1 : 0;
    PromptLine p = { trimmed(line, before), tab ? trimmed(tab + 1, after) : NULL };
    bool blank = !*p.prompt && !(p.negative && *p.negative), skip = *line == '#' || blank;
    const char *fault = skip                                  ? NULL
                        : tab && memchr(tab + 1, '\t', after) ? "has more than one tab"
                        : !*p.prompt                          ? "has no prompt before its tab"
                        : l->count == PROMPTS_MAX             ? "is one prompt too many (1000 are read)"
                                                              : NULL;
    if (skip || fault) {
        free(p.prompt);
        free(p.negative);
    } else {
        l->lines = mem_grow(l->lines, (size_t)(l->count + 1) * sizeof *l->lines);
        l->lines[l->count++] = p;
    }
    return !fault || messages_add(errors, "%s: line %lld %s", path, (long long)number, fault);
}

bool prompt_list_parse(const char *path, const void *bytes, size_t size, PromptList *l, Messages *errors) {
    *l = (PromptList) { 0 };
    const char *text = bytes;
    if (size > 0 && (!utf8_valid(text, size) || memchr(text, 0, size)))
        return messages_add(errors, "%s: is not UTF-8 text", path);
    bool ok = true, mark = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0; /* a byte order mark */
    int64_t number = 1;
    for (size_t at = mark ? 3 : 0; at < size && ok; number++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end ? (size_t)(end - text) - at : size - at;
        ok = length == 0 || add_line(l, path, number, text + at, length, errors);
        at += length + 1;
    }
    if (ok && l->count == 0)
        ok = messages_add(errors, "%s: holds no prompt (write one on each line; lines with # are skipped)",
                          path);
    if (!ok) prompt_list_free(l);
    return ok;
}

bool prompt_list_read(const char *path, PromptList *l, Messages *errors) {
    File file;
    *l = (PromptList) { 0 };
    if (!file_read(path, &file, errors)) return false;
    bool ok = prompt_list_parse(path, file.data, file.size, l, errors);
    file_close(&file);
    return ok;
}

void prompt_list_free(PromptList *l) {
    for (int64_t i = 0; i < l->count; i++) {
        free(l->lines[i].prompt);
        free(l->lines[i].negative);
    }
    free(l->lines);
    *l = (PromptList) { 0 };
}
