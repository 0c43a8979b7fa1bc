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

uint64_t training_prompts_hash(const TrainingPrompts *p, int64_t pictures) {
    uint64_t hash = hash_bytes(HASH_START, p->ids, (size_t)(p->rows * p->tokens) * sizeof *p->ids);
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
        while (end > text && strchr(" \t\r\n", end[-1]) && end[-1]) end--;
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

/* Appends the prompts of the templates. */
static void add_rows(TrainingPrompts *p, const Templates *lines, const Tokenizer *t, const char *placeholder,
                     const char *words) {
    p->ids = mem_grow(p->ids, (size_t)((p->rows + lines->count) * p->tokens) * sizeof *p->ids);
    for (int64_t i = 0; i < lines->count; i++) {
        char *filled = template_fill(lines->lines[i], placeholder), *prompt = with_file_words(filled, words);
        p->longest = max_i64(p->longest, tokenizer_encode(t, prompt, p->ids + p->rows++ * p->tokens));
        free(prompt);
        free(filled);
    }
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

/* Adds the prompts of one picture, whose lines are its captions or the templates. */
static bool add_picture(TrainingPrompts *p, const PromptSource *s, const Templates *templates,
                        const Tokenizer *t, const char *word, const char *placeholder, const char *picture,
                        Messages *errors) {
    Templates own = { 0 };
    char *words = s->captions ? mem_string("") : file_words(picture, errors);
    bool ok = words && (!s->captions || read_captions(&own, picture, word, errors));
    if (ok) add_rows(p, s->captions ? &own : templates, t, placeholder, words);
    templates_free(&own);
    free(words);
    return ok;
}

bool training_prompts_read(TrainingPrompts *p, const PromptSource *s, const Tokenizer *t, const char *word,
                           char *const paths[], int64_t pictures, Messages *errors) {
    Templates templates = { 0 };
    *p = (TrainingPrompts) { .tokens = tokenizer_max_length(t) };
    if (!s->captions && !templates_get(&templates, s->kind, s->templates, errors)) return false;
    char *tokens = tokenizer_placeholder(t, word);
    char *placeholder = s->class ? mem_format("%s %s", s->class, tokens) : mem_string(tokens);
    bool ok = true;
    if (s->captions || has_file_words(&templates)) {
        p->first = mem_alloc((size_t)(pictures + 1) * sizeof *p->first);
        for (int64_t i = 0; i < pictures; i++) {
            ok = add_picture(p, s, &templates, t, word, placeholder, paths[i], errors) && ok;
            p->first[i + 1] = p->rows;
        }
    } else {
        add_rows(p, &templates, t, placeholder, "");
    }
    free(placeholder);
    free(tokens);
    templates_free(&templates);
    return ok;
}
