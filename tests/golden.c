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

static const char *name_of(char name[NAME_MAX_LENGTH], const char *format, va_list args) {
    int n = vsnprintf(name, NAME_MAX_LENGTH, format, args);
    CHECK(n >= 0 && n < NAME_MAX_LENGTH);
    return name;
}

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
    char name[NAME_MAX_LENGTH];
    va_list args;
    va_start(args, format);
    name_of(name, format, args);
    va_end(args);
    return safetensors_find(&g->file, name) != NULL;
}

static const Weight *float_weight(const Golden *g, const char *name) {
    const SafeTensor *t = find(g, name);
    CHECK(t->is_float);
    return &t->weight;
}

const Weight *golden_weight(const Golden *g, const char *format, ...) {
    char name[NAME_MAX_LENGTH];
    va_list args;
    va_start(args, format);
    name_of(name, format, args);
    va_end(args);
    return float_weight(g, name);
}

float *golden_floats(const Golden *g, const char *format, ...) {
    char name[NAME_MAX_LENGTH];
    va_list args;
    va_start(args, format);
    name_of(name, format, args);
    va_end(args);
    const Weight *w = float_weight(g, name);
    float *out = mem_alloc((size_t)shape_count(w->shape) * sizeof *out);
    weight_read(w, out);
    return out;
}

int32_t *golden_ints(const Golden *g, int64_t *count, const char *format, ...) {
    char name[NAME_MAX_LENGTH];
    va_list args;
    va_start(args, format);
    name_of(name, format, args);
    va_end(args);
    const SafeTensor *t = find(g, name);
    bool wide = strcmp(t->dtype, "I64") == 0;
    CHECK(wide || strcmp(t->dtype, "I32") == 0);
    int64_t n = shape_count(t->weight.shape);
    const char *from = t->weight.data; /* of any alignment, which depends on the tensors before it */
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
    char name[NAME_MAX_LENGTH];
    va_list args;
    va_start(args, format);
    name_of(name, format, args);
    va_end(args);
    const SafeTensor *t = find(g, name);
    CHECK(strcmp(t->dtype, "F64") == 0);
    double *out = mem_alloc(t->size);
    memcpy(out, t->weight.data, t->size);
    return out;
}

Shape golden_shape(const Golden *g, const char *format, ...) {
    char name[NAME_MAX_LENGTH];
    va_list args;
    va_start(args, format);
    name_of(name, format, args);
    va_end(args);
    return find(g, name)->weight.shape;
}

const char *golden_meta(const Golden *g, const char *format, ...) {
    char name[NAME_MAX_LENGTH];
    va_list args;
    va_start(args, format);
    name_of(name, format, args);
    va_end(args);
    return safetensors_metadata(&g->file, name);
}

Store *golden_store(const Golden *g, const char *format, ...) {
    char name[NAME_MAX_LENGTH];
    va_list args;
    va_start(args, format);
    name_of(name, format, args);
    va_end(args);
    Golden *owner = (Golden *)(uintptr_t)g; /* which frees the store in golden_free */
    owner->stores = mem_grow(owner->stores, (size_t)(owner->stores_count + 1) * sizeof *owner->stores);
    return owner->stores[owner->stores_count++] = store_new(&owner->file, 1, name, NULL, NULL);
}

void golden_close(const Golden *g, const char *name, const float *got, Shape shape, double tolerance) {
    const Weight *w = golden_weight(g, "%s", name);
    char a[SHAPE_TEXT], b[SHAPE_TEXT];
    if (!shape_equal(shape, w->shape)) {
        test_true(name, false, "shape %s, and the golden has %s", shape_text(shape, a),
                  shape_text(w->shape, b));
        return;
    }
    float *want = golden_floats(g, "%s", name);
    const char *torch = golden_meta(g, "torch:%s", name);
    test_close(name, got, want, shape, tolerance, torch ? atof(torch) : -1);
    free(want);
}
