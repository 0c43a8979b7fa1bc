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

static cJSON *row_json(const RowReport *r, const Model *m) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "norm", r->norm);
    if (!m) return item;
    cJSON_AddNumberToObject(item, "longer_than", r->shorter);
    cJSON *list = cJSON_AddArrayToObject(item, "nearest");
    for (int64_t i = 0; i < r->found; i++) {
        cJSON *near = cJSON_CreateObject();
        cJSON_AddItemToArray(list, near);
        cJSON_AddNumberToObject(near, "id", r->near[i].id);
        cJSON_AddStringToObject(near, "token", tokenizer_token(m->tokenizer, r->near[i].id));
        cJSON_AddNumberToObject(near, "cosine", r->near[i].cosine);
    }
    return item;
}

static cJSON *word_json(const Embedding *e, const RowReport *reports, const Model *m) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "token", e->token);
    cJSON_AddBoolToObject(item, "token_from_path", e->token_from_path);
    cJSON_AddNumberToObject(item, "vectors", (double)e->vectors);
    cJSON_AddNumberToObject(item, "width", (double)e->width);
    cJSON *rows = cJSON_AddArrayToObject(item, "rows");
    for (int64_t k = 0; k < e->vectors; k++) cJSON_AddItemToArray(rows, row_json(&reports[k], m));
    return item;
}

/* One word: its report as text, or into list. */
static void report_word(const Embedding *e, Vocabulary *v, const Model *m, cJSON *list) {
    RowReport *reports = mem_alloc((size_t)e->vectors * sizeof *reports);
    for (int64_t k = 0; k < e->vectors; k++) {
        const float *row = e->rows + k * e->width;
        reports[k].norm = sqrt(dot(row, row, e->width));
        reports[k].near = mem_alloc((size_t)(v->nearest + 1) * sizeof(Near));
    }
    if (m) compare(v, e->rows, e->vectors, reports);
    if (list)
        cJSON_AddItemToArray(list, word_json(e, reports, m));
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
    cJSON *document = ok && json ? cJSON_CreateObject() : NULL, *list = NULL;
    if (document) {
        cJSON_AddStringToObject(document, "kind", "learned words");
        cJSON_AddStringToObject(document, "path", path);
        list = cJSON_AddArrayToObject(document, "words");
    } else if (ok) {
        printf("%s: %s\n", path, e->count == 1 ? "a learned word" : "learned words");
    }
    for (int64_t i = 0; ok && i < e->count; i++) report_word(&e->words[i], &v, m, list);
    if (document) {
        cJSON *vocabulary = m ? cJSON_AddObjectToObject(document, "vocabulary") : NULL;
        if (m) cJSON_AddNumberToObject(vocabulary, "words", (double)v.count);
        if (m) cJSON_AddNumberToObject(vocabulary, "median_norm", median(&v));
        console_json(document);
    } else if (ok && !m) {
        printf("\n--model FOLDER shows the vocabulary's norms and nearest words beside them.\n");
    }
    free(v.norms);
    free(v.row);
    return ok;
}
