/* SPDX-License-Identifier: MIT */
/* Version 2 of a run's state, which is read but no longer written. The file consists of MAGIC, the fields in
   the order of fields() as they lie in memory, and the hash of all these bytes. */
#include "inversion/state.h"

#include "io/hash.h"

#include <string.h>

static const char MAGIC[16] = "ti run state 2\n";
enum { NAME_LENGTH = 13 }; /* the bytes of MAGIC before its number, common to all versions of this kind */

typedef struct {
    const unsigned char *bytes;
    size_t size, at;
    bool wrong; /* whether bytes were missing, or a value was one that is never written */
} Cursor;

static void field(Cursor *c, void *data, size_t size) {
    if (size <= c->size - c->at) {
        memcpy(data, c->bytes + c->at, size);
        c->at += size;
    } else {
        c->wrong = true;
        memset(data, 0, size);
    }
}

/* Reads an array of count elements. It is allocated only after checking that the file is long enough. */
static void *array(Cursor *c, int64_t count, size_t element) {
    bool fits = count >= 0 && (uint64_t)count <= (c->size - c->at) / element;
    c->wrong = c->wrong || !fits;
    if (!fits) return NULL;
    void *data = mem_alloc((size_t)count * element);
    field(c, data, (size_t)count * element);
    return data;
}

static void fields(Cursor *c, RunState *s) {
    RunIdentity *i = &s->identity;
    uint64_t finished;
    field(c, &i->options, sizeof i->options);
    field(c, &i->prompts, sizeof i->prompts);
    field(c, &i->text_encoder, sizeof i->text_encoder);
    field(c, &i->unet, sizeof i->unet);
    field(c, &i->vae, sizeof i->vae);
    field(c, &i->picture_count, sizeof i->picture_count);
    i->pictures = array(c, i->picture_count, sizeof *i->pictures);
    field(c, &finished, sizeof finished);
    s->finished = finished != 0;
    c->wrong = c->wrong || finished > 1;
    field(c, &s->step, sizeof s->step);
    field(c, &s->taken, sizeof s->taken);
    field(c, &s->torch, sizeof s->torch);
    field(c, &s->python, sizeof s->python);
    field(c, &s->gathered, sizeof s->gathered);
    field(c, &s->count, sizeof s->count);
    s->learned = array(c, s->count, sizeof *s->learned);
    s->m = array(c, s->count, sizeof *s->m);
    s->v = array(c, s->count, sizeof *s->v);
    s->accumulated = array(c, s->count, sizeof *s->accumulated);
    field(c, &s->records, sizeof s->records);
    field(c, &s->losses_bytes, sizeof s->losses_bytes);
    field(c, &s->points, sizeof s->points);
    s->grid = array(c, s->points, 2 * sizeof *s->grid);
    field(c, &s->first_loss, sizeof s->first_loss);
}

int state_version(const unsigned char *bytes, size_t size) {
    bool named = size >= sizeof MAGIC + sizeof(uint64_t) && memcmp(bytes, MAGIC, NAME_LENGTH) == 0;
    return named ? bytes[NAME_LENGTH] - '0' : 0;
}

bool state_parse_2(const unsigned char *bytes, size_t size, RunState *s) {
    uint64_t hash;
    CHECK_EQ(state_version(bytes, size), 2);
    memcpy(&hash, bytes + size - sizeof hash, sizeof hash);
    Cursor c = { .bytes = bytes, .size = size - sizeof hash, .at = sizeof MAGIC };
    if (hash != hash_bytes(HASH_START, bytes, c.size)) return false;
    fields(&c, s);
    return !c.wrong && c.at == c.size;
}
