#include "text/prompt.h"

#include "text/nearest.h"
#include "text/unicode.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool words_add(Words *w, Tokenizer *t, const char *token, const float *rows, int64_t n, int64_t width,
               const char *from, const char *rename, Messages *errors) {
    if (width != w->width)
        return messages_add(
            errors, "%s: \"%s\" has vectors of %lld numbers, this model's have %lld (another model family?)",
            from, token, (long long)width, (long long)w->width);
    if (n > 1000)
        return messages_add(errors, "%s: \"%s\" has %lld vectors, more than a prompt holds", from, token,
                            (long long)n);
    Messages faults = { 0 };
    bool added = tokenizer_add(t, token, (int)n, &faults) >= 0;
    for (const char *line = faults.text; line && *line; line += strcspn(line, "\n") + 1) {
        int length = (int)strcspn(line, "\n");
        messages_add(errors, "%s%s%.*s%s%s", rename ? from : "", rename ? ": " : "", length, line,
                     rename ? "; " : "", rename ? rename : "");
    }
    messages_free(&faults);
    if (!added) return false;
    w->rows = mem_grow(w->rows, (size_t)((w->vectors + n) * width) * sizeof(float));
    memcpy(w->rows + w->vectors * width, rows, (size_t)(n * width) * sizeof(float));
    w->vectors += n;
    return true;
}

void words_free(Words *w) {
    free(w->rows);
    *w = (Words) { 0 };
}

int32_t *prompt_ids(const Tokenizer *t, const char *prompt, Messages *warnings) {
    int64_t length = tokenizer_max_length(t);
    int32_t *ids = mem_alloc((size_t)length * sizeof *ids);
    char *expanded = tokenizer_expand_placeholders(t, prompt);
    int64_t tokens = tokenizer_encode(t, expanded, ids);
    if (tokens > length - 2)
        messages_add(warnings,
                     "the prompt \"%s\" has %lld tokens; the last %lld fall off the end of the window",
                     prompt, (long long)tokens, (long long)(tokens - (length - 2)));
    free(expanded);
    return ids;
}

char *token_file_name(const char *word) {
    char *name = mem_string(word);
    char *to = name;
    for (const char *c = word; *c; c++) {
        if (*c == '<' || *c == '>') continue;
        bool fine = isalnum((unsigned char)*c) || strchr("-_+", *c) || (unsigned char)*c >= 0x80 ||
                    (*c == '.' && to > name);
        *to++ = fine ? *c : '-';
    }
    *to = 0;
    if (*name) return name;
    free(name);
    return mem_string("word");
}

static char *normal_text(const char *text) {
    CodePoints raw = unicode_decode(text, strlen(text)), normal = unicode_normalize(raw.at, raw.count);
    char *out = unicode_encode(normal.at, normal.count, NULL);
    free(raw.at);
    free(normal.at);
    return out;
}

bool prompt_uses(const Tokenizer *t, const char *prompt, const char *token) {
    (void)t;
    char *text = normal_text(prompt), *word = normal_text(token);
    bool uses = strstr(text, word) != NULL;
    free(text);
    free(word);
    return uses;
}

char *prompt_nearest(const char *const prompts[], const char *token) {
    char *near = NULL, *plain = token_file_name(token);
    for (int i = 0; prompts[i] && !near; i++) {
        char *text = normal_text(prompts[i]);
        for (char *word = strtok(text, " ,.;:!?()"); word && !near; word = strtok(NULL, " ,.;:!?()")) {
            const char *name = word;
            if (nearest_name(token, &name, 1) || nearest_name(plain, &name, 1)) near = mem_string(word);
        }
        free(text);
    }
    free(plain);
    return near;
}
