/* SPDX-License-Identifier: MIT */
#include "weights/store.h"

#include "io/hash.h"
#include "io/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAULTS_MAX = 10, GROUPS_MAX = 100 };

struct Store {
    const Safetensors *files;
    int64_t count;
    char *prefix, *optional; /* optional may be NULL */
    Messages *errors;
    int faults;
    bool **read; /* [file][tensor], whether store_get has found it */
};

Store *store_new(const Safetensors *files, int64_t count, const char *prefix, const char *optional,
                 Messages *errors) {
    Store *s = mem_alloc(sizeof *s);
    *s = (Store) { .files = files, .count = count, .prefix = mem_string(prefix), .errors = errors };
    if (optional) s->optional = mem_string(optional);
    s->read = mem_alloc((size_t)count * sizeof *s->read);
    for (int64_t i = 0; i < count; i++) s->read[i] = mem_alloc((size_t)files[i].count);
    return s;
}

void store_free(Store *s) {
    if (!s) return;
    for (int64_t i = 0; i < s->count; i++) free(s->read[i]);
    free(s->read);
    free(s->prefix);
    free(s->optional);
    free(s);
}

static const SafeTensor *find_full(const Store *s, const char *full) {
    for (int64_t i = 0; i < s->count; i++) {
        const SafeTensor *t = safetensors_find(&s->files[i], full);
        if (t) return t;
    }
    return NULL;
}

/* Finds the name, or else the name with the optional prefix added or removed. */
static const SafeTensor *find(const Store *s, const char *name) {
    char *full = mem_format("%s%s", s->prefix, name);
    const SafeTensor *t = find_full(s, full);
    free(full);
    if (t || !s->optional) return t;
    size_t n = strlen(s->optional);
    if (strncmp(name, s->optional, n) == 0)
        full = mem_format("%s%s", s->prefix, name + n);
    else
        full = mem_format("%s%s%s", s->prefix, s->optional, name);
    t = find_full(s, full);
    free(full);
    return t;
}

static char *name_of(const char *format, va_list args) {
    char name[1000];
    int n = vsnprintf(name, sizeof name, format, args);
    CHECK(n >= 0 && (size_t)n < sizeof name);
    return mem_string(name);
}

static void fault(Store *s, const char *message) {
    if (!s->errors) check_failed(__FILE__, __LINE__, message);
    const char *path = store_path(s);
    if (s->faults < FAULTS_MAX) messages_add(s->errors, "%s", message);
    if (s->faults++ == FAULTS_MAX)
        messages_add(s->errors, "%s: further tensors that are missing or do not fit are not listed", path);
}

const Weight *store_get(Store *s, Shape shape, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *name = name_of(format, args), *message = NULL;
    va_end(args);
    const SafeTensor *t = find(s, name);
    const char *path = store_path(s);
    for (int64_t i = 0; t && i < s->count; i++) {
        const Safetensors *file = &s->files[i];
        if (safetensors_find(file, t->weight.name) != t) continue;
        path = file->path;
        s->read[i][t - file->tensors] = true;
    }
    char want[SHAPE_TEXT], have[SHAPE_TEXT];
    shape_text(shape, want);
    if (!t)
        message = mem_format("%s%s: no tensor \"%s%s\" %s", path, s->count > 1 ? " and its other parts" : "",
                             s->prefix, name, want);
    else if (!shape_equal(t->weight.shape, shape))
        message = mem_format("%s: tensor \"%s\" has the shape %s, but the config says %s", path,
                             t->weight.name, shape_text(t->weight.shape, have), want);
    else if (!t->is_float)
        message = mem_format("%s: tensor \"%s\" is of type %s (F32, F16 and BF16 are supported)", path,
                             t->weight.name, t->dtype);
    if (message) fault(s, message);
    bool ok = !message;
    free(message);
    free(name);
    return ok ? &t->weight : NULL;
}

bool store_has(const Store *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *name = name_of(format, args);
    va_end(args);
    bool has = find(s, name) != NULL;
    free(name);
    return has;
}

Shape store_shape(const Store *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *name = name_of(format, args);
    va_end(args);
    const SafeTensor *t = find(s, name);
    free(name);
    return t ? t->weight.shape : (Shape) { 0 };
}

bool store_was_read(const Store *s, int64_t file, int64_t tensor) { return s->read[file][tensor]; }

void store_unused(const Store *s, const char *part, Unused *u) {
    for (int64_t i = 0; i < s->count; i++)
        for (int64_t j = 0; j < s->files[i].count; j++) {
            const SafeTensor *t = &s->files[i].tensors[j];
            bool ours = strncmp(t->weight.name, s->prefix, strlen(s->prefix)) == 0;
            if (ours && !s->read[i][j]) unused_add(u, part, t);
        }
}

void unused_add(Unused *u, const char *part, const SafeTensor *t) {
    const char *name = t->weight.name, *dot = strchr(name, '.'), *last = strrchr(name, '.');
    if (strcmp(last ? last + 1 : name, "position_ids") == 0) return;
    char *prefix = mem_format("%s%.*s", part, dot ? (int)(dot - name) + 1 : (int)strlen(name), name);
    u->count++;
    u->bytes += (int64_t)t->size;
    int64_t i = 0;
    while (i < u->group_count && strcmp(u->groups[i].prefix, prefix) != 0) i++;
    if (i == GROUPS_MAX) i--; /* the last group counts all further ones */
    if (i == u->group_count) {
        u->groups = mem_grow(u->groups, (size_t)++u->group_count * sizeof *u->groups);
        u->groups[i] = (UnusedGroup) { mem_string(prefix), 0 };
    }
    u->groups[i].count++;
    free(prefix);
}

char *unused_text(const Unused *u) {
    enum { SHOWN = 6 };
    Text text = { 0 };
    text_format(&text, "%lld tensor%s (%.1f MB):", (long long)u->count, u->count == 1 ? "" : "s",
                (double)u->bytes / 1e6);
    for (int64_t i = 0; i < u->group_count && i < SHOWN; i++) {
        text_format(&text, "%s %.*s", i ? "," : "", text_cut(u->groups[i].prefix, 60), u->groups[i].prefix);
        if (u->groups[i].count > 1) text_format(&text, " (%lld)", (long long)u->groups[i].count);
    }
    if (u->group_count > SHOWN) text_add(&text, ", ...");
    return text.at;
}

void unused_free(Unused *u) {
    for (int64_t i = 0; i < u->group_count; i++) free(u->groups[i].prefix);
    free(u->groups);
    *u = (Unused) { 0 };
}

const char *store_path(const Store *s) { return s->count ? s->files[0].path : ""; }

/* Hashes names, types and shapes whole. Of the bytes of a large tensor it hashes only SAMPLES pieces of
   SAMPLE bytes: the first, the last and some between them. */
uint64_t store_fingerprint(const Store *s) {
    enum { SAMPLES = 16, SAMPLE = 64 };
    uint64_t hash = HASH_START;
    for (int64_t i = 0; i < s->count; i++)
        for (int64_t j = 0; j < s->files[i].count; j++) {
            const SafeTensor *t = &s->files[i].tensors[j];
            const unsigned char *bytes = t->weight.data;
            hash = hash_bytes(hash, t->weight.name, strlen(t->weight.name) + 1);
            hash = hash_bytes(hash, t->dtype, strlen(t->dtype) + 1);
            for (int d = 0; d < t->weight.shape.rank; d++)
                hash = hash_bytes(hash, &t->weight.shape.dim[d], sizeof t->weight.shape.dim[d]);
            if (t->size <= SAMPLES * SAMPLE) hash = hash_bytes(hash, bytes, t->size);
            for (size_t k = 0; k < SAMPLES && t->size > SAMPLES * SAMPLE; k++)
                hash = hash_bytes(hash, bytes + (t->size - SAMPLE) / (SAMPLES - 1) * k, SAMPLE);
        }
    return hash;
}
