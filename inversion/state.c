#include "inversion/state.h"

#include "io/file.h"
#include "io/hash.h"

#include <stdlib.h>
#include <string.h>

/* A file is MAGIC, the fields below one after the other as they lie in memory (little-endian machines only),
   then the hash of all that. The version counts the formats. */
static const char MAGIC[16] = "ti run state 2\n";
enum { NAME_LENGTH = 13 }; /* of MAGIC, what all versions begin with */

/* Reading and writing go through the same list of fields: a field is copied from memory to bytes, or back. */
typedef struct {
    unsigned char *bytes;
    size_t size, at;
    bool writing;
    bool wrong; /* short of bytes, or a value that is never written */
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
        c->wrong = true;
        memset(data, 0, size);
    }
}

/* count elements; allocated when reading, once it is known that they can be there. */
static void array(Cursor *c, void *data_pointer, int64_t count, size_t element) {
    void *data;
    memcpy(&data, data_pointer, sizeof data);
    if (!c->writing) {
        bool fits = count >= 0 && (uint64_t)count <= (c->size - c->at) / element;
        c->wrong = c->wrong || !fits;
        data = fits ? mem_alloc((size_t)count * element) : NULL;
        memcpy(data_pointer, &data, sizeof data);
    }
    if (data) field(c, data, (size_t)count * element);
}

static void fields(Cursor *c, RunState *s) {
    RunIdentity *i = &s->identity;
    uint64_t finished = s->finished;
    field(c, &i->options, sizeof i->options);
    field(c, &i->prompts, sizeof i->prompts);
    field(c, &i->text_encoder, sizeof i->text_encoder);
    field(c, &i->unet, sizeof i->unet);
    field(c, &i->vae, sizeof i->vae);
    field(c, &i->picture_count, sizeof i->picture_count);
    array(c, &i->pictures, i->picture_count, sizeof *i->pictures);
    field(c, &finished, sizeof finished);
    s->finished = finished != 0;
    c->wrong = c->wrong || finished > 1;
    field(c, &s->step, sizeof s->step);
    field(c, &s->taken, sizeof s->taken);
    field(c, &s->torch, sizeof s->torch);
    field(c, &s->python, sizeof s->python);
    field(c, &s->gathered, sizeof s->gathered);
    field(c, &s->count, sizeof s->count);
    array(c, &s->rows, s->count, sizeof *s->rows);
    array(c, &s->m, s->count, sizeof *s->m);
    array(c, &s->v, s->count, sizeof *s->v);
    array(c, &s->accumulated, s->count, sizeof *s->accumulated);
    field(c, &s->records, sizeof s->records);
    field(c, &s->losses_bytes, sizeof s->losses_bytes);
    field(c, &s->points, sizeof s->points);
    array(c, &s->grid, s->points, 2 * sizeof *s->grid);
    field(c, &s->first_loss, sizeof s->first_loss);
}

RunState state_of(const Loop *l) {
    return (RunState) {
        .step = l->step,
        .taken = l->dataset.taken,
        .torch = l->dataset.epoch_torch,
        .python = l->dataset.epoch_python,
        .gathered = l->gathered,
        .count = l->adamw.count,
        .rows = l->data.rows,
        .m = l->adamw.m,
        .v = l->adamw.v,
        .accumulated = l->accumulated,
    };
}

static bool damaged(const char *path, Messages *errors) {
    return messages_add(
        errors,
        "%s: is damaged, so the run cannot go on from it (without this file it begins with its first step)",
        path);
}

bool state_fits(const RunState *s, const Loop *l, const char *path, Messages *errors) {
    return (s->count == l->adamw.count && s->taken <= dataset_batches(&l->dataset) &&
            s->step <= l->options.steps && s->gathered < l->options.accumulate) ||
           damaged(path, errors);
}

void state_restore(const RunState *s, Loop *l) {
    CHECK_EQ(s->count, l->adamw.count);
    size_t bytes = (size_t)s->count * sizeof(float);
    memcpy(l->data.rows, s->rows, bytes);
    memcpy(l->adamw.m, s->m, bytes);
    memcpy(l->adamw.v, s->v, bytes);
    memcpy(l->accumulated, s->accumulated, bytes);
    l->adamw.step = s->step;
    l->gathered = s->gathered;
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
    return s->step >= 0 && s->taken >= 0 && s->gathered >= 0 && s->count > 0 && s->records >= 0 &&
           s->losses_bytes >= 0 && generator_valid(&s->torch) && twister_valid(&s->python);
}

bool state_parse(const char *path, const unsigned char *bytes, size_t size, RunState *s, Messages *errors) {
    *s = (RunState) { 0 };
    uint64_t hash;
    if (size < sizeof MAGIC + sizeof hash || memcmp(bytes, MAGIC, NAME_LENGTH) != 0)
        return damaged(path, errors);
    if (memcmp(bytes, MAGIC, sizeof MAGIC) != 0)
        return messages_add(errors, "%s: was written by another version of ti, which alone can go on from it",
                            path);
    memcpy(&hash, bytes + size - sizeof hash, sizeof hash);
    Cursor c = { .bytes = (unsigned char *)(uintptr_t)bytes, .size = size - sizeof hash, .at = sizeof MAGIC };
    bool ok = hash == hash_bytes(HASH_START, bytes, c.size);
    if (ok) {
        fields(&c, s);
        ok = !c.wrong && c.at == c.size && plausible(s);
    }
    if (ok) return true;
    state_free(s);
    return damaged(path, errors);
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
    free(s->identity.pictures);
    free(s->rows);
    free(s->m);
    free(s->v);
    free(s->accumulated);
    free(s->grid);
    *s = (RunState) { 0 };
}
