/* SPDX-License-Identifier: MIT */
#include "weights/neighbours.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

Vocabulary vocabulary_new(const Weight *table, int64_t count, int64_t nearest) {
    Vocabulary v = { .table = table, .count = count, .width = table->shape.dim[1], .nearest = nearest };
    v.norms = mem_alloc((size_t)count * sizeof *v.norms);
    return v;
}

void vocabulary_free(Vocabulary *v) {
    free(v->norms);
    *v = (Vocabulary) { 0 };
}

double vocabulary_median(const Vocabulary *v) {
    return (v->norms[(v->count - 1) / 2] + v->norms[v->count / 2]) / 2;
}

/* Inserts a token into the list of the nearest tokens, if it is nearer than one of them or the list is not
   full. */
static void insert_near(Neighbours *r, int64_t nearest, Near token) {
    int64_t i = r->found;
    while (i > 0 && r->near[i - 1].cosine < token.cosine) i--;
    if (i >= nearest) return;
    if (r->found < nearest) r->found++;
    memmove(&r->near[i + 1], &r->near[i], (size_t)(r->found - 1 - i) * sizeof *r->near);
    r->near[i] = token;
}

static void compare(Vocabulary *v, const float *learned, int64_t n, Neighbours *reports) {
    float *workspace = mem_alloc((size_t)v->width * sizeof *workspace);
    for (int64_t id = 0; id < v->count; id++) {
        const float *known = weight_panel(v->table, id, 1, 0, v->width, workspace).data;
        v->norms[id] = sqrt(dot_product(known, known, v->width));
        for (int64_t k = 0; k < n && v->nearest > 0; k++) {
            double lengths = v->norms[id] * reports[k].norm;
            if (lengths > 0)
                insert_near(
                    &reports[k], v->nearest,
                    (Near) { (int32_t)id, dot_product(known, learned + k * v->width, v->width) / lengths });
        }
    }
    free(workspace);
    qsort(v->norms, (size_t)v->count, sizeof *v->norms, compare_doubles);
    for (int64_t k = 0; k < n; k++) {
        int64_t below = 0;
        while (below < v->count && v->norms[below] < reports[k].norm) below++;
        reports[k].shorter = (double)below / (double)v->count;
    }
}

Neighbours *neighbours_of(Vocabulary *v, const float *learned, int64_t n, int64_t width) {
    Neighbours *reports = mem_alloc((size_t)n * sizeof *reports);
    for (int64_t k = 0; k < n; k++) {
        reports[k].norm = sqrt(dot_product(learned + k * width, learned + k * width, width));
        reports[k].near = mem_alloc((size_t)(v->nearest + 1) * sizeof(Near));
    }
    if (v->table) compare(v, learned, n, reports);
    return reports;
}

void neighbours_free(Neighbours *neighbours, int64_t n) {
    for (int64_t k = 0; k < n; k++) free(neighbours[k].near);
    free(neighbours);
}

/* Returns the vocabulary with its rows' norms. */
static Vocabulary with_norms(const Weight *table, int64_t count) {
    Vocabulary v = vocabulary_new(table, count, 0);
    neighbours_free(neighbours_of(&v, NULL, 0, v.width), 0);
    return v;
}

double vocabulary_median_norm(const Weight *table, int64_t count) {
    Vocabulary v = with_norms(table, count);
    double median = vocabulary_median(&v);
    vocabulary_free(&v);
    return median;
}

double vocabulary_mean_norm(const Weight *table, int64_t count) {
    Vocabulary v = with_norms(table, count);
    double sum = 0;
    int64_t counted = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += v.norms[i];
        counted += v.norms[i] > 0;
    }
    vocabulary_free(&v);
    return sum / (double)max_i64(counted, 1);
}
