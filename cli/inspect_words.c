/* SPDX-License-Identifier: MIT */
/* The report on learned words: the norms of their vectors and, with a model, the nearest words of
   its vocabulary. */
#include "cli/inspect_parts.h"
#include "weights/neighbours.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Vectors that are this many times as long as the vocabulary's median are said to drown the rest of a prompt.
   */
static const double LONG_WORD = 3;

static void print_vector(const Neighbours *r, int64_t k, double median, const Model *m) {
    Text line = { 0 };
    text_format(&line, "%6lld  %8.4f", (long long)k + 1, r->norm);
    if (m) text_format(&line, "  %8.2f  %6.1f %%", r->norm / median, 100 * r->shorter);
    for (int64_t i = 0; i < r->found; i++) {
        char *token = console_text(tokenizer_token(m->tokenizer, r->near[i].id));
        text_format(&line, "%s%s %.3f", i ? ", " : "  ", token, r->near[i].cosine);
        free(token);
    }
    console_line(stdout, "%s", line.at);
    free(line.at);
}

static void print_word(const Embedding *e, const Neighbours *reports, const Vocabulary *v, const Model *m) {
    char *token = console_text(e->token);
    printf("\n");
    console_line(stdout, "\"%s\"%s: %lld vector%s of %lld numbers", token,
                 e->token_from_path ? " (the file's name, since the file does not name the word)" : "",
                 (long long)e->vectors, e->vectors == 1 ? "" : "s", (long long)e->width);
    free(token);
    if (m)
        printf("the vocabulary's %lld words: norms %.4f to %.4f, median %.4f\n", (long long)v->count,
               v->norms[0], v->norms[v->count - 1], vocabulary_median(v));
    double median = m ? vocabulary_median(v) : 1, most = 0;
    printf("%6s  %8s%s%s\n", "vector", "norm", m ? "  / median  longer than" : "",
           v->nearest ? "  nearest words, by cosine" : "");
    for (int64_t k = 0; k < e->vectors; k++) {
        print_vector(&reports[k], k, median, m);
        most = fmax(most, reports[k].norm / median);
    }
    if (m && most > LONG_WORD)
        console_line(
            stdout,
            "a vector %.1f times as long as the vocabulary's median: such a word may drown the rest of "
            "a prompt; ti mix --norm median makes it as long as other words",
            most);
}

static json_t *vector_json(const Neighbours *r, double median, const Model *m) {
    if (!m) return json_pack("{s:o}", "norm", json_double(r->norm));
    json_t *list = json_array();
    for (int64_t i = 0; i < r->found; i++)
        json_array_append_new(list, json_pack("{s:i, s:s, s:o}", "id", r->near[i].id, "token",
                                              tokenizer_token(m->tokenizer, r->near[i].id), "cosine",
                                              json_double(r->near[i].cosine)));
    return json_pack("{s:o, s:o, s:f, s:o}", "norm", json_double(r->norm), "norm_by_median",
                     json_double(r->norm / median), "longer_than", r->shorter, "nearest", list);
}

static json_t *word_json(const Embedding *e, const Neighbours *reports, double median, const Model *m) {
    json_t *vectors = json_array();
    for (int64_t k = 0; k < e->vectors; k++)
        json_array_append_new(vectors, vector_json(&reports[k], median, m));
    return json_pack("{s:s, s:b, s:I, s:I, s:o}", "token", e->token, "token_from_path", e->token_from_path,
                     "vectors", e->vectors, "width", e->width, "rows", vectors);
}

/* Prints the report on one word or, when list is not NULL, appends it to that list. */
static void report_word(const Embedding *e, Vocabulary *v, const Model *m, json_t *list) {
    Neighbours *reports = neighbours_of(v, e->learned, e->vectors, e->width);
    if (list)
        json_array_append_new(list, word_json(e, reports, m ? vocabulary_median(v) : 1, m));
    else
        print_word(e, reports, v, m);
    neighbours_free(reports, e->vectors);
}

bool inspect_words(const char *path, const Embeddings *e, const Model *m, int64_t nearest, bool json,
                   Messages *errors) {
    Vocabulary v = { 0 };
    if (m) /* The embedding table may have more rows than the vocabulary has tokens. */
        v = vocabulary_new(m->clip.token_embedding, tokenizer_vocab_size(m->tokenizer), nearest);
    bool ok = true;
    for (int64_t i = 0; m && i < e->count; i++)
        if (e->words[i].width != v.width)
            ok = messages_add(
                errors,
                "%s: \"%s\" has vectors of %lld numbers, the model's have %lld (another model family?)", path,
                e->words[i].token, (long long)e->words[i].width, (long long)v.width);
    json_t *list = ok && json ? json_array() : NULL;
    if (ok && !json) console_line(stdout, "%s: %s", path, e->count == 1 ? "a learned word" : "learned words");
    for (int64_t i = 0; ok && i < e->count; i++) report_word(&e->words[i], &v, m, list);
    if (list)
        console_json(json_pack(
            "{s:s, s:s, s:o, s:o*}", "kind", "learned words", "path", path, "words", list, "vocabulary",
            m ? json_pack("{s:I, s:o}", "words", v.count, "median_norm", json_double(vocabulary_median(&v)))
              : NULL));
    else if (ok && !m)
        printf("\n--model PATH compares the vectors with the vocabulary of a model.\n");
    vocabulary_free(&v);
    return ok;
}
