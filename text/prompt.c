/* SPDX-License-Identifier: MIT */
#include "text/prompt.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "text/nearest.h"
#include "text/unicode.h"

bool words_add(Words *w, Tokenizer *t, const char *token, const float *learned, int64_t n, int64_t width,
               const char *from, const char *rename, Messages *errors) {
    if (width != w->width)
        return messages_add(
            errors, "%s: \"%s\" has vectors of %lld numbers, this model's have %lld (another model family?)",
            from, token, (long long)width, (long long)w->width);
    if (n > 1000)
        return messages_add(errors, "%s: \"%s\" has %lld vectors, more than a prompt can hold", from, token,
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
    w->learned = mem_grow(w->learned, (size_t)((w->vectors + n) * width) * sizeof(float));
    memcpy(w->learned + w->vectors * width, learned, (size_t)(n * width) * sizeof(float));
    w->words = mem_grow(w->words, (size_t)(w->count + 1) * sizeof *w->words);
    w->words[w->count++] = (Word) { mem_string(token), mem_string(from), w->vectors, n };
    w->vectors += n;
    return true;
}

void words_show(Words *w, Tokenizer *t, int64_t n) {
    CHECK(w->count == 1);
    w->words[0].vectors = n;
    tokenizer_show(t, n);
}

void words_free(Words *w) {
    for (int64_t i = 0; i < w->count; i++) {
        free(w->words[i].token);
        free(w->words[i].from);
    }
    free(w->words);
    free(w->learned);
    *w = (Words) { 0 };
}

int32_t *prompt_ids(const Tokenizer *t, const char *prompt, Messages *warnings) {
    int64_t length = tokenizer_max_length(t);
    int32_t *ids = mem_alloc((size_t)length * sizeof *ids);
    int64_t tokens;
    int32_t *all = tokenizer_encode_prompt(t, prompt, &tokens);
    tokenizer_window(t, all, tokens, ids);
    free(all);
    if (tokens > length - 2)
        messages_add(warnings, "the prompt \"%s\" has %lld tokens; the last %lld do not fit and are ignored",
                     prompt, (long long)tokens, (long long)(tokens - (length - 2)));
    return ids;
}

/* Whether the id belongs to one of the word's vectors: word, word_1, word_2, ... */
static bool is_vector_of(const Tokenizer *t, const char *token, int32_t id) {
    int32_t vector = tokenizer_find(t, token);
    for (int64_t i = 1; vector >= 0 && vector != id; i++) {
        char *name = mem_format("%s_%lld", token, (long long)i);
        vector = tokenizer_find(t, name);
        free(name);
    }
    return vector >= 0;
}

/* Whether the prompt has the word as ComfyUI's prompts do, embedding:name. */
static bool prompt_names(const char *prompt, const char *token) {
    char *file = token_file_name(token);
    char *names[] = { mem_format("embedding:%s", file), mem_format("embedding:%s", token) };
    bool named = strstr(prompt, names[0]) || strstr(prompt, names[1]);
    free(names[0]);
    free(names[1]);
    free(file);
    return named;
}

bool prompt_uses(const Tokenizer *t, const char *prompt, const char *token) {
    int64_t count;
    int32_t *ids = tokenizer_encode_raw(t, prompt, strlen(prompt), &count);
    bool used = false;
    for (int64_t i = 0; i < count && !used; i++) used = is_vector_of(t, token, ids[i]);
    free(ids);
    return used || prompt_names(prompt, token);
}

bool prompt_has_text(const char *prompt, const char *token) {
    char *text = unicode_normal_text(prompt), *word = unicode_normal_text(token);
    bool has = strstr(text, word) != NULL || prompt_names(prompt, token);
    free(text);
    free(word);
    return has;
}

char *prompt_text(const char *prompt, PromptSyntax syntax, const Words *words) {
    Messages errors = { 0 };
    Segments segments;
    Text joined = { 0 };
    CHECK(segments_parse(prompt, syntax, &segments, &errors));
    text_add(&joined, "");
    for (int64_t i = 0; i < segments.count; i++)
        text_add(&joined, segments.at[i].is_break ? " " : segments.at[i].text);
    segments_free(&segments);
    char *text = unicode_normal_text(joined.at);
    for (int64_t i = 0; i < words->count; i++) {
        char *word = unicode_normal_text(words->words[i].token), *at = text;
        size_t size = strlen(word);
        while (size > 0 && (at = strstr(at, word))) memmove(at, at + size, strlen(at + size) + 1);
        free(word);
    }
    free(joined.at);
    return text;
}

/* Returns the normalised text without the punctuation at its ends, so that "<Grum>," and "grum" compare
   equal. A text of punctuation alone keeps it. The caller frees the result. */
static char *bare_word(const char *text, size_t size) {
    CodePoints normal = unicode_normal_form(text, size);
    int64_t from = 0, to = normal.count;
    while (from < to && !unicode_in_word(normal.at[from])) from++;
    while (to > from && !unicode_in_word(normal.at[to - 1])) to--;
    char *bare = from < to ? unicode_encode(normal.at + from, to - from, NULL)
                           : unicode_encode(normal.at, normal.count, NULL);
    free(normal.at);
    return bare;
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Returns where the first `words` words of a text end, or NULL when the text has fewer words. */
static const char *words_end(const char *text, int words) {
    while (words-- > 0) {
        while (is_blank(*text)) text++;
        if (!*text) return NULL;
        while (*text && !is_blank(*text)) text++;
    }
    return text;
}

/* Whether a part of the prompt contains a token of any learned word. Such a part stands for that word, so it
   cannot be a misspelling of another one. */
static bool has_learned_token(const Tokenizer *t, const char *text, size_t size) {
    int64_t count;
    int32_t *ids = tokenizer_encode_raw(t, text, size, &count);
    bool learned = false;
    for (int64_t i = 0; i < count; i++) learned = learned || ids[i] >= tokenizer_first_learned_id(t);
    free(ids);
    return learned;
}

char *prompt_nearest(const Tokenizer *t, const char *prompt, const char *token) {
    /* A token such as "my cat" has several words. Every run of as many words in the prompt is a candidate. */
    int words = 1, count = 0, capacity = 0;
    while (words_end(token, words + 1)) words++;
    const char **bare = NULL, **at = NULL;
    size_t *sizes = NULL;
    for (const char *from = prompt, *end; (end = words_end(from, words)); from = words_end(from, 1)) {
        while (is_blank(*from)) from++;
        if (has_learned_token(t, from, (size_t)(end - from))) continue;
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 16;
            bare = mem_grow(bare, (size_t)capacity * sizeof *bare);
            at = mem_grow(at, (size_t)capacity * sizeof *at);
            sizes = mem_grow(sizes, (size_t)capacity * sizeof *sizes);
        }
        bare[count] = bare_word(from, (size_t)(end - from));
        at[count] = from;
        sizes[count++] = (size_t)(end - from);
    }
    char *bare_token = bare_word(token, strlen(token)), *found = NULL;
    const char *nearest = nearest_name(bare_token, bare, count);
    for (int i = 0; i < count; i++) {
        if (bare[i] == nearest) found = mem_format("%.*s", (int)sizes[i], at[i]);
        free((char *)(uintptr_t)bare[i]);
    }
    free(bare);
    free(at);
    free(sizes);
    free(bare_token);
    return found;
}

char *token_file_name(const char *token) {
    char *name = mem_string(token);
    char *to = name;
    for (const char *c = token; *c; c++) {
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
