#include "cli/state.h"

#include "tensor/file.h"
#include "tensor/hash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A file is MAGIC, the fields below one after the other as they lie in memory (little-endian machines only), then the
   hash of all that. */
static const char MAGIC[16] = "ti run state 1\n";

/* Reading and writing go through the same list of fields: a field is copied from memory to bytes, or back. */
typedef struct {
    unsigned char *bytes;
    size_t size, at;
    bool writing, short_of_bytes;
} Cursor;

static void field(Cursor *c, void *data, size_t size) {
    if (c->writing) {
        c->bytes = mem_grow(c->bytes, c->at + size);
        memcpy(c->bytes + c->at, data, size);
        c->at += size;
    } else if (size <= c->size - c->at) {
        memcpy(data, c->bytes + c->at, size);
        c->at += size;
    } else {
        c->short_of_bytes = true;
        memset(data, 0, size);
    }
}

static void fields(Cursor *c, RunState *s) {
    field(c, &s->identity, sizeof s->identity);
    field(c, &s->step, sizeof s->step);
    field(c, &s->taken, sizeof s->taken);
    field(c, &s->records, sizeof s->records);
    field(c, &s->losses_bytes, sizeof s->losses_bytes);
    field(c, &s->grid_before, sizeof s->grid_before);
    field(c, &s->torch, sizeof s->torch);
    field(c, &s->python, sizeof s->python);
    field(c, &s->count, sizeof s->count);
    if (!c->writing) {
        bool fits = s->count > 0 && (uint64_t)s->count <= (c->size - c->at) / (3 * sizeof(float));
        if (!fits) {
            c->short_of_bytes = true;
            return;
        }
        size_t bytes = (size_t)s->count * sizeof(float);
        s->rows = mem_alloc(bytes);
        s->m = mem_alloc(bytes);
        s->v = mem_alloc(bytes);
    }
    size_t bytes = (size_t)s->count * sizeof(float);
    field(c, s->rows, bytes);
    field(c, s->m, bytes);
    field(c, s->v, bytes);
}

RunState state_of(const Loop *l, RunIdentity identity) {
    return (RunState) {
        .identity = identity,
        .step = l->step,
        .taken = l->dataset.taken,
        .torch = l->dataset.epoch_torch,
        .python = l->dataset.epoch_python,
        .count = l->adamw.count,
        .rows = l->data.rows,
        .m = l->adamw.m,
        .v = l->adamw.v,
    };
}

void state_restore(const RunState *s, Loop *l) {
    CHECK_EQ(s->count, l->adamw.count);
    size_t bytes = (size_t)s->count * sizeof(float);
    memcpy(l->data.rows, s->rows, bytes);
    memcpy(l->adamw.m, s->m, bytes);
    memcpy(l->adamw.v, s->v, bytes);
    l->adamw.step = s->step;
    loop_resume(l, &s->torch, &s->python, s->taken, s->step);
}

bool state_write(const char *path, const RunState *s, Messages *errors) {
    Cursor c = { .writing = true };
    RunState copy = *s;
    field(&c, (void *)(uintptr_t)MAGIC, sizeof MAGIC);
    fields(&c, &copy);
    uint64_t hash = hash_bytes(HASH_START, c.bytes, c.at);
    field(&c, &hash, sizeof hash);
    bool ok = file_write(path, c.bytes, c.at, errors);
    free(c.bytes);
    return ok;
}

static bool plausible(const RunState *s) {
    return s->step >= 0 && s->taken >= 0 && s->records >= 0 && s->losses_bytes >= 0 &&
           generator_valid(&s->torch) && twister_valid(&s->python);
}

bool state_parse(const char *path, const unsigned char *bytes, size_t size, RunState *s, Messages *errors) {
    *s = (RunState) { 0 };
    uint64_t hash;
    if (size < sizeof MAGIC + sizeof hash || memcmp(bytes, MAGIC, sizeof MAGIC) != 0)
        return messages_add(errors, "%s: is not the state of a run (of this version of ti)", path);
    memcpy(&hash, bytes + size - sizeof hash, sizeof hash);
    Cursor c = { .bytes = (unsigned char *)(uintptr_t)bytes, .size = size - sizeof hash, .at = sizeof MAGIC };
    bool ok = hash == hash_bytes(HASH_START, bytes, c.size);
    if (ok) {
        fields(&c, s);
        ok = !c.short_of_bytes && c.at == c.size && plausible(s);
    }
    if (ok) return true;
    state_free(s);
    return messages_add(
        errors, "%s: is damaged (its checksum or contents are wrong): the run cannot go on from it", path);
}

bool state_read(const char *path, RunState *s, Messages *errors) {
    File file;
    *s = (RunState) { 0 };
    if (!file_map(path, &file, errors)) return false;
    bool ok = state_parse(path, file.data, file.size, s, errors);
    file_unmap(&file);
    return ok;
}

void state_free(RunState *s) {
    free(s->rows);
    free(s->m);
    free(s->v);
    *s = (RunState) { 0 };
}
