/* Learned words: how long their vectors are, and which known words they lie near. */
#include "cli/inspect_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int32_t id;
    double cosine;
} Near;

/* A learned vector beside the vocabulary. */
typedef struct {
    double norm, shorter; /* shorter: the part of the vocabulary whose vectors are */
    Near *near;           /* [nearest], the nearest first */
    int64_t found;
} RowReport;

/* The vocabulary's rows of the token embedding. */
typedef struct {
    const Weight *table;
    int64_t count, width, nearest;
    double *norms; /* [count], sorted once all rows are done */
    float *row;    /* [width]: workspace */
} Vocabulary;

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static const float *row_of(Vocabulary *v, int64_t id) {
    return weight_panel(v->table, id, 1, 0, v->width, v->row).data;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Puts a word in its place among the nearest. */
static void consider(RowReport *r, int64_t nearest, Near word) {
    int64_t i = r->found;
    while (i > 0 && r->near[i - 1].cosine < word.cosine) i--;
    if (i >= nearest) return;
    if (r->found < nearest) r->found++;
    memmove(&r->near[i + 1], &r->near[i], (size_t)(r->found - 1 - i) * sizeof *r->near);
    r->near[i] = word;
}

/* All rows [n, width] in one pass over the vocabulary. */
static void compare(Vocabulary *v, const float *rows, int64_t n, RowReport *reports) {
    for (int64_t id = 0; id < v->count; id++) {
        const float *known = row_of(v, id);
        v->norms[id] = sqrt(dot(known, known, v->width));
        for (int64_t k = 0; k < n && v->nearest > 0; k++) {
            RowReport *r = &reports[k];
            double lengths = v->norms[id] * r->norm;
            if (lengths > 0)
                consider(r, v->nearest,
                         (Near) { (int32_t)id, dot(known, rows + k * v->width, v->width) / lengths });
        }
    }
    qsort(v->norms, (size_t)v->count, sizeof *v->norms, by_value);
    for (int64_t k = 0; k < n; k++) {
        int64_t below = 0;
        while (below < v->count && v->norms[below] < reports[k].norm) below++;
        reports[k].shorter = (double)below / (double)v->count;
    }
}

static double median(const Vocabulary *v) {
    return (v->norms[(v->count - 1) / 2] + v->norms[v->count / 2]) / 2;
}

/* Reports */

static void print_row(const RowReport *r, int64_t k, const Model *m) {
    printf("%6lld  %8.4f", (long long)k + 1, r->norm);
    if (m) printf("  %6.1f %%", 100 * r->shorter);
    for (int64_t i = 0; i < r->found; i++) {
        char *token = console_text(tokenizer_token(m->tokenizer, r->near[i].id));
        printf("%s%s %.3f", i ? ", " : "  ", token, r->near[i].cosine);
        free(token);
    }
    printf("\n");
}

static void print_word(const Embedding *e, const RowReport *reports, const Vocabulary *v, const Model *m) {
    char *token = console_text(e->token);
    printf("\n\"%s\"%s: %lld vector%s of %lld numbers\n", token,
           e->token_from_path ? " (by the file's name; the file itself doesn't say)" : "",
           (long long)e->vectors, e->vectors == 1 ? "" : "s", (long long)e->width);
    free(token);
    if (m)
        printf("the vocabulary's %lld words: norms %.4f to %.4f, median %.4f\n", (long long)v->count,
               v->norms[0], v->norms[v->count - 1], median(v));
    printf("%6s  %8s%s%s\n", "vector", "norm", m ? "  longer than" : "",
           v->nearest ? "  nearest words, by cosine" : "");
    for (int64_t k = 0; k < e->vectors; k++) print_row(&reports[k], k, m);
}

static json_t *row_json(const RowReport *r, const Model *m) {
    if (!m) return json_pack("{s:o}", "norm", json_double(r->norm));
    json_t *list = json_array();
    for (int64_t i = 0; i < r->found; i++)
        json_array_append_new(list, json_pack("{s:i, s:s, s:o}", "id", r->near[i].id, "token",
                                              tokenizer_token(m->tokenizer, r->near[i].id), "cosine",
                                              json_double(r->near[i].cosine)));
    return json_pack("{s:o, s:f, s:o}", "norm", json_double(r->norm), "longer_than", r->shorter, "nearest",
                     list);
}

static json_t *word_json(const Embedding *e, const RowReport *reports, const Model *m) {
    json_t *rows = json_array();
    for (int64_t k = 0; k < e->vectors; k++) json_array_append_new(rows, row_json(&reports[k], m));
    return json_pack("{s:s, s:b, s:I, s:I, s:o}", "token", e->token, "token_from_path", e->token_from_path,
                     "vectors", e->vectors, "width", e->width, "rows", rows);
}

/* One word: its report as text, or into list. */
static void report_word(const Embedding *e, Vocabulary *v, const Model *m, json_t *list) {
    RowReport *reports = mem_alloc((size_t)e->vectors * sizeof *reports);
    for (int64_t k = 0; k < e->vectors; k++) {
        const float *row = e->rows + k * e->width;
        reports[k].norm = sqrt(dot(row, row, e->width));
        reports[k].near = mem_alloc((size_t)(v->nearest + 1) * sizeof(Near));
    }
    if (m) compare(v, e->rows, e->vectors, reports);
    if (list)
        json_array_append_new(list, word_json(e, reports, m));
    else
        print_word(e, reports, v, m);
    for (int64_t k = 0; k < e->vectors; k++) free(reports[k].near);
    free(reports);
}

bool inspect_words(const char *path, const Embeddings *e, const Model *m, int64_t nearest, bool json,
                   Messages *errors) {
    Vocabulary v = { .nearest = nearest };
    if (m) {
        v.table = m->clip.token_embedding;
        v.width = m->clip.config.hidden_size;
        v.count = tokenizer_vocab_size(m->tokenizer); /* the table may have more rows than that */
        v.norms = mem_alloc((size_t)v.count * sizeof *v.norms);
        v.row = mem_alloc((size_t)v.width * sizeof *v.row);
    }
    bool ok = true;
    for (int64_t i = 0; m && i < e->count; i++)
        if (e->words[i].width != v.width)
            ok = messages_add(
                errors,
                "%s: \"%s\" has vectors of %lld numbers, the model's have %lld (another model family?)", path,
                e->words[i].token, (long long)e->words[i].width, (long long)v.width);
    json_t *list = ok && json ? json_array() : NULL;
    if (ok && !json) printf("%s: %s\n", path, e->count == 1 ? "a learned word" : "learned words");
    for (int64_t i = 0; ok && i < e->count; i++) report_word(&e->words[i], &v, m, list);
    if (list)
        console_json(json_pack(
            "{s:s, s:s, s:o, s:o*}", "kind", "learned words", "path", path, "words", list, "vocabulary",
            m ? json_pack("{s:I, s:o}", "words", v.count, "median_norm", json_double(median(&v))) : NULL));
    else if (ok && !m)
        printf("\n--model FOLDER shows the vocabulary's norms and nearest words beside them.\n");
    free(v.norms);
    free(v.row);
    return ok;
}
