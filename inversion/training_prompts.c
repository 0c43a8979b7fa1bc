/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* access */
#include "inversion/training_prompts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inversion/pictures.h"
#include "io/file.h"
#include "io/hash.h"
#include "io/text.h"
#include "io/utf8.h"

static const char FILE_WORDS[] = "[filewords]";
enum { FILE_WORDS_MAX = 1000 };

void training_prompts_free(TrainingPrompts *p) {
    free(p->ids);
    free(p->first);
    *p = (TrainingPrompts) { 0 };
}

int64_t training_prompts_first(const TrainingPrompts *p, int64_t picture) {
    return p->first ? p->first[picture] : 0;
}

int64_t training_prompts_count(const TrainingPrompts *p, int64_t picture) {
    return p->first ? p->first[picture + 1] - p->first[picture] : p->rows;
}

const int32_t *training_prompts_ids(const TrainingPrompts *p, int64_t row, int64_t vectors, bool own) {
    int64_t form = (p->sizes > 1 ? vectors - 1 : 0) + (own ? p->sizes : 0);
    CHECK(form >= 0 && form < p->forms);
    return p->ids + (row * p->forms + form) * p->tokens;
}

uint64_t training_prompts_hash(const TrainingPrompts *p, int64_t pictures) {
    uint64_t hash = hash_bytes(HASH_START, p->ids, (size_t)(p->rows * p->forms * p->tokens) * sizeof *p->ids);
    return p->first ? hash_bytes(hash, p->first, (size_t)(pictures + 1) * sizeof *p->first) : hash;
}

/* Returns what [filewords] stands for: the text beside the picture, or else the picture's name without its
   ending and without the digits, dashes and spaces at its beginning. Returns NULL after adding a message. */
static char *file_words(const char *picture, Messages *errors) {
    char *path = file_beside(picture, ".txt"), *words = NULL;
    File file = { 0 };
    if (access(path, F_OK) != 0) {
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        size_t number = strspn(name, "-0123456789");
        if (number) number += strspn(name + number, " ");
        words = mem_format("%.*s", (int)(strlen(name) - number - 4), name + number);
    } else if (file_read(path, &file, errors)) {
        const char *text = (const char *)file.data, *end = text + file.size;
        while (end > text && strchr(" \t\r\n", end[-1])) end--;
        words = mem_format("%.*s", (int)min_i64(end - text, FILE_WORDS_MAX + 1), text);
    }
    if (words && (strlen(words) > FILE_WORDS_MAX || !utf8_valid(words, strlen(words)))) {
        messages_add(errors, "%s: %s", path,
                     strlen(words) > FILE_WORDS_MAX ? "is longer than 1000 bytes" : "is not UTF-8 text");
        free(words);
        words = NULL;
    }
    file_close(&file);
    free(path);
    return words;
}

/* Returns the text with the words in each place of [filewords]; free() it. */
static char *with_file_words(const char *text, const char *words) {
    Text out = { 0 };
    text_add(&out, "");
    for (const char *at; (at = strstr(text, FILE_WORDS)) != NULL; text = at + strlen(FILE_WORDS)) {
        text_add_part(&out, text, (size_t)(at - text));
        text_add(&out, words);
    }
    text_add(&out, text);
    return out.at;
}

/* What the prompts of a word are made of. */
typedef struct {
    const PromptSource *source;
    Tokenizer *tokenizer;
    const char *word;
} Maker;

static int64_t count_id(const int32_t *ids, int64_t tokens, int32_t id) {
    int64_t count = 0;
    for (int64_t i = 0; i < tokens; i++) count += ids[i] == id;
    return count;
}

/* Encodes the prompt with "with S_i" behind it, or before the full stop at its end, for picture i. The word's
   first token is put in the place of S_i, where it occurs once more than in `plain`, the ids of the prompt
   itself. There S_i's id replaces it, unless the window ends before. Returns the number of tokens. */
static int64_t encode_own(const Maker *m, const char *prompt, const int32_t *plain, int64_t picture,
                          int32_t *ids) {
    size_t length = strlen(prompt), stop = length > 0 && prompt[length - 1] == '.';
    char *longer = mem_format("%.*s with %s%s", (int)(length - stop), prompt, m->word, stop ? "." : "");
    int64_t tokens = tokenizer_max_length(m->tokenizer), count = tokenizer_encode(m->tokenizer, longer, ids);
    int32_t first = tokenizer_first_learned_id(m->tokenizer);
    int64_t before = count_id(plain, tokens, first);
    for (int64_t i = 0; i < tokens; i++)
        if (ids[i] == first && before-- == 0) ids[i] = first + (int32_t)(m->source->vectors + picture);
    free(longer);
    return count;
}

/* Returns what stands in the word's place in the form with so many of its vectors; free() it. */
static char *placeholder_of(const Maker *m, int64_t vectors) {
    tokenizer_show(m->tokenizer, vectors);
    char *names = tokenizer_placeholder(m->tokenizer, m->word);
    if (!m->source->class) return names;
    char *all = mem_format("%s %s", m->source->class, names);
    free(names);
    return all;
}

/* Appends the prompts of a picture, or of all of them if they have the same. */
static void add_rows(TrainingPrompts *p, const Maker *m, const Templates *lines, const char *words,
                     int64_t picture) {
    int64_t row = p->forms * p->tokens;
    p->ids = mem_grow(p->ids, (size_t)((p->rows + lines->count) * row) * sizeof *p->ids);
    for (int64_t k = 0; k < p->sizes; k++) {
        char *placeholder = placeholder_of(m, p->sizes > 1 ? k + 1 : m->source->vectors);
        for (int64_t i = 0; i < lines->count; i++) {
            int32_t *ids = p->ids + (p->rows + i) * row + k * p->tokens, *own = ids + p->sizes * p->tokens;
            char *filled = template_fill(lines->lines[i], placeholder),
                 *prompt = with_file_words(filled, words);
            p->longest = max_i64(p->longest, tokenizer_encode(m->tokenizer, prompt, ids));
            if (m->source->per_image)
                p->longest = max_i64(p->longest, encode_own(m, prompt, ids, picture, own));
            free(prompt);
            free(filled);
        }
        free(placeholder);
    }
    p->rows += lines->count;
}

static bool read_captions(Templates *lines, const char *picture, const char *word, Messages *errors) {
    char *path = file_beside(picture, ".txt");
    File file = { 0 };
    *lines = (Templates) { 0 };
    bool ok = access(path, F_OK) == 0
                  ? file_read(path, &file, errors) &&
                        templates_parse(lines, path, (const char *)file.data, file.size, word, errors)
                  : messages_add(errors, "%s: has no captions: %s is missing", picture, path);
    file_close(&file);
    free(path);
    return ok;
}

static bool has_file_words(const Templates *t) {
    for (int64_t i = 0; i < t->count; i++)
        if (strstr(t->lines[i], FILE_WORDS)) return true;
    return false;
}

/* Adds the prompts of one picture, whose lines are its captions or the templates, or else a message. */
static void add_picture(TrainingPrompts *p, const Maker *m, const Templates *templates, const char *path,
                        int64_t picture, Messages *errors) {
    Templates own = { 0 };
    bool captions = m->source->captions, named = !captions && has_file_words(templates);
    char *words = named ? file_words(path, errors) : mem_string("");
    if (words && (!captions || read_captions(&own, path, m->word, errors)))
        add_rows(p, m, captions ? &own : templates, words, picture);
    templates_free(&own);
    free(words);
}

bool training_prompts_read(TrainingPrompts *p, const PromptSource *s, Tokenizer *t, const char *word,
                           char *const paths[], int64_t pictures, Messages *errors) {
    Templates templates = { 0 };
    Maker maker = { s, t, word };
    *p = (TrainingPrompts) { .tokens = tokenizer_max_length(t), .sizes = s->progressive ? s->vectors : 1 };
    p->forms = p->sizes * (s->per_image ? 2 : 1);
    if (!s->captions && !templates_get(&templates, s->kind, s->templates, errors)) return false;
    int before = errors->count;
    if (s->captions || s->per_image || has_file_words(&templates)) {
        p->first = mem_alloc((size_t)(pictures + 1) * sizeof *p->first);
        for (int64_t i = 0; i < pictures; i++) {
            add_picture(p, &maker, &templates, paths[i], i, errors);
            p->first[i + 1] = p->rows;
        }
    } else {
        add_rows(p, &maker, &templates, "", 0);
    }
    tokenizer_show(t, s->vectors);
    templates_free(&templates);
    return errors->count == before;
}
