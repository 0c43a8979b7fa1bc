/* SPDX-License-Identifier: MIT */
#include "tests/golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Golden {
    Safetensors file;
    Store **stores;
    int stores_count;
};

enum { NAME_MAX_LENGTH = 300 };

static void format_name(char name[NAME_MAX_LENGTH], const char *format, va_list args) {
    int n = vsnprintf(name, NAME_MAX_LENGTH, format, args);
    CHECK(n >= 0 && n < NAME_MAX_LENGTH);
}

/* Declares `name` and fills it from the arguments of a function whose last named parameter is `format`. */
#define NAME_FROM_ARGUMENTS(name, format)                                                                    \
    char name[NAME_MAX_LENGTH];                                                                              \
    va_list args;                                                                                            \
    va_start(args, format);                                                                                  \
    format_name(name, format, args);                                                                         \
    va_end(args)

Golden *golden_open(const char *path) {
    Messages errors = { 0 };
    Golden *g = mem_alloc(sizeof *g);
    if (safetensors_open(path, &g->file, &errors)) return g;
    fprintf(stderr, "%s", errors.text);
    exit(1);
}

void golden_free(Golden *g) {
    for (int i = 0; i < g->stores_count; i++) store_free(g->stores[i]);
    free(g->stores);
    safetensors_close(&g->file);
    free(g);
}

static const SafeTensor *find(const Golden *g, const char *name) {
    const SafeTensor *t = safetensors_find(&g->file, name);
    if (!t) fprintf(stderr, "%s: no tensor \"%s\"\n", g->file.path, name);
    CHECK(t != NULL);
    return t;
}

bool golden_has(const Golden *g, const char *format, ...) {
    NAME_FROM_ARGUMENTS(name, format);
    return safetensors_find(&g->file, name) != NULL;
}

static const Weight *float_weight(const Golden *g, const char *name) {
    const SafeTensor *t = find(g, name);
    CHECK(t->is_float);
    return &t->weight;
}

const Weight *golden_weight(const Golden *g, const char *format, ...) {
    NAME_FROM_ARGUMENTS(name, format);
    return float_weight(g, name);
}

float *golden_floats(const Golden *g, const char *format, ...) {
    NAME_FROM_ARGUMENTS(name, format);
    const Weight *w = float_weight(g, name);
    float *out = mem_alloc((size_t)shape_count(w->shape) * sizeof *out);
    weight_read(w, out);
    return out;
}

int32_t *golden_ints(const Golden *g, int64_t *count, const char *format, ...) {
    NAME_FROM_ARGUMENTS(name, format);
    const SafeTensor *t = find(g, name);
    bool wide = strcmp(t->dtype, "I64") == 0;
    CHECK(wide || strcmp(t->dtype, "I32") == 0);
    int64_t n = shape_count(t->weight.shape);
    /* The data may have any alignment, since the tensors before them may have any size. */
    const char *from = t->weight.data;
    int32_t *out = mem_alloc((size_t)n * sizeof *out);
    for (int64_t i = 0; i < n; i++) {
        if (wide) {
            int64_t v;
            memcpy(&v, from + i * 8, 8);
            CHECK(v >= INT32_MIN && v <= INT32_MAX);
            out[i] = (int32_t)v;
        } else {
            memcpy(&out[i], from + i * 4, 4);
        }
    }
    if (count) *count = n;
    return out;
}

double *golden_doubles(const Golden *g, const char *format, ...) {
    NAME_FROM_ARGUMENTS(name, format);
    const SafeTensor *t = find(g, name);
    CHECK(strcmp(t->dtype, "F64") == 0);
    double *out = mem_alloc(t->size);
    memcpy(out, t->weight.data, t->size);
    return out;
}

Shape golden_shape(const Golden *g, const char *format, ...) {
    NAME_FROM_ARGUMENTS(name, format);
    return find(g, name)->weight.shape;
}

const char *golden_meta(const Golden *g, const char *format, ...) {
    NAME_FROM_ARGUMENTS(name, format);
    return safetensors_metadata(&g->file, name);
}

Store *golden_store(const Golden *g, const char *format, ...) {
    NAME_FROM_ARGUMENTS(name, format);
    /* The cast removes const, since callers do not see that g keeps the store until golden_free. */
    Golden *owner = (Golden *)(uintptr_t)g;
    owner->stores = mem_grow(owner->stores, (size_t)(owner->stores_count + 1) * sizeof *owner->stores);
    return owner->stores[owner->stores_count++] = store_new(&owner->file, 1, name, NULL, NULL);
}

static void close_within(const Golden *g, const char *name, const char *label, const float *got, Shape shape,
                         double tolerance, double torch) {
    const Weight *w = golden_weight(g, "%s", name);
    char a[SHAPE_TEXT], b[SHAPE_TEXT];
    if (!shape_equal(shape, w->shape)) {
        test_true(label, false, "shape %s, and the golden has %s", shape_text(shape, a),
                  shape_text(w->shape, b));
        return;
    }
    float *want = golden_floats(g, "%s", name);
    test_close(label, got, want, shape, tolerance, torch);
    free(want);
}

void golden_close(const Golden *g, const char *name, const float *got, Shape shape, double tolerance) {
    const char *torch = golden_meta(g, "torch:%s", name);
    close_within(g, name, name, got, shape, tolerance, torch ? atof(torch) : -1);
}

void golden_close_bf16(const Golden *g, const char *name, const float *got, Shape shape, double margin) {
    const double rounding = 0x1p-9;
    const char *torch = golden_meta(g, "bf16:%s", name);
    CHECK(torch != NULL);
    double bound = margin * atof(torch);
    if (shape_count(shape) == 1 && bound < rounding) bound = rounding;
    char *label = mem_format("%s, bf16", name);
    close_within(g, name, label, got, shape, bound, atof(torch));
    free(label);
}

void golden_close_at(const Golden *g, Precision precision, const char *name, const float *got, Shape shape,
                     double tolerance) {
    if (precision == PRECISION_BF16)
        golden_close_bf16(g, name, got, shape, 1.2);
    else
        golden_close(g, name, got, shape, tolerance);
}
