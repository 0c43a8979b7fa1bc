/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "tests/single_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/hash.h"
#include "tests/refusal.h"

/* Ends the field at *at with a 0 and returns it. Moves *at to the next field. */
static char *field(char **at) {
    char *start = *at, *end = start + strcspn(start, "\t\n");
    *at = end + 1;
    *end = 0;
    return start;
}

Names names_read(const char *model) {
    char *path = mem_format("golden/single/%s/names.txt", model);
    Names n = { .text = read_text(path, NULL) };
    free(path);
    for (char *at = n.text; *at;) {
        n.pairs = mem_grow(n.pairs, (size_t)(n.count + 1) * sizeof *n.pairs);
        NamePair *p = &n.pairs[n.count++];
        *p = (NamePair) { .original = field(&at), .part = field(&at), .name = field(&at) };
        for (char *number = field(&at); *number; p->shape.rank++)
            p->shape.dim[p->shape.rank] = strtoll(number, &number, 10);
        p->flag = *field(&at);
    }
    return n;
}

void names_free(Names *n) {
    free(n->pairs);
    free(n->text);
}

/* Writing safetensors files */

Entry *entries_put(Entries *e, const char *name, const char *dtype, Shape shape) {
    e->at = mem_grow(e->at, (size_t)(e->count + 1) * sizeof *e->at);
    Entry *entry = &e->at[e->count++];
    *entry = (Entry) { .dtype = dtype, .shape = shape };
    snprintf(entry->name, sizeof entry->name, "%s", name);
    return entry;
}

size_t entry_size(const char *dtype) {
    if (strncmp(dtype, "F8", 2) == 0) return 1;
    return strcmp(dtype, "I64") == 0 ? 8 : strcmp(dtype, "F32") == 0 || strcmp(dtype, "I32") == 0 ? 4 : 2;
}

static uint64_t seed_of(const NamePair *p) {
    return hash_bytes(hash_bytes(HASH_START, p->part, strlen(p->part)), p->name, strlen(p->name));
}

/* Returns the n-th number of a tensor: a whole number from -64 to 126 divided by 1024, which F32 and BF16
   represent exactly. */
static float number(uint64_t seed, int64_t n) {
    uint64_t hash = (seed ^ (uint64_t)n) * UINT64_C(0x9E3779B97F4A7C15);
    return (float)((int)(hash >> 40) % 128 - 64 + (int)(hash >> 20 & 63)) / 1024;
}

static void write_numbers(FILE *f, const Entry *e) {
    for (int i = 0; i < e->source_count; i++) {
        uint64_t seed = seed_of(&e->sources[i]);
        for (int64_t n = 0; n < shape_count(e->sources[i].shape); n++) {
            float x = number(seed, n);
            unsigned char bytes[4];
            memcpy(bytes, &x, 4);
            /* BF16 is the high half of an F32. */
            fwrite(entry_size(e->dtype) == 4 ? bytes : bytes + 2, entry_size(e->dtype), 1, f);
        }
    }
}

void entries_write(const char *path, const Entries *e, bool numbers) {
    Messages header = { 0 };
    int64_t offset = 0;
    char shape[SHAPE_TEXT];
    messages_add(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int64_t i = 0; i < e->count; i++) {
        const Entry *t = &e->at[i];
        int64_t size = shape_count(t->shape) * (int64_t)entry_size(t->dtype);
        messages_add(&header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%lld,%lld]}", t->name,
                     t->dtype, shape_text(t->shape, shape), (long long)offset, (long long)(offset + size));
        offset += size;
    }
    messages_add(&header, "}");
    FILE *f = fopen(path, "wb");
    if (!f) exit(1);
    uint64_t length = header.length;
    fwrite(&length, 8, 1, f);
    fwrite(header.text, 1, header.length, f);
    for (int64_t i = 0; i < e->count && numbers; i++) {
        const Entry *t = &e->at[i];
        if (t->sources)
            write_numbers(f, t);
        else
            for (int64_t n = 0; n < shape_count(t->shape) * (int64_t)entry_size(t->dtype); n++) fputc(0, f);
    }
    if (fclose(f) != 0) exit(1);
    if (!numbers && truncate(path, (off_t)(8 + header.length) + offset) != 0) exit(1);
    messages_free(&header);
}

Entries entries_of_names(const Names *names, const char *text_type, const char *type) {
    Entries e = { 0 };
    for (int64_t i = 0; i < names->count; i++) {
        const NamePair *p = &names->pairs[i];
        if (p->flag == 'k' || p->flag == 'v') continue;
        Entry *t =
            entries_put(&e, p->original, strcmp(p->part, "text_encoder") == 0 ? text_type : type, p->shape);
        t->sources = p;
        t->source_count = p->flag == 'q' ? 3 : 1;
        if (p->flag == 'q') t->shape.dim[0] *= 3;
        if (p->flag == '1') t->shape = shape4(p->shape.dim[0], p->shape.dim[1], 1, 1);
    }
    return e;
}

void entries_put_leftovers(Entries *e) {
    entries_put(e, "model_ema.decay", "F32", (Shape) { 0 });
    entries_put(e, "model_ema.num_updates", "I32", (Shape) { 0 });
    entries_put(e, "model_ema.diffusion_modelinput_blocks00bias", "F32", shape1(320));
    entries_put(e, "betas", "F32", shape1(1000));
    entries_put(e, "alphas_cumprod", "F32", shape1(1000));
    entries_put(e, "optimizer.state.0.exp_avg", "F32", shape1(7));
    entries_put(e, "cond_stage_model.transformer.text_model.embeddings.position_ids", "I64", shape2(1, 77));
    entries_put(e, "cond_stage_model.model.text_projection", "F32", shape2(4, 4));
    entries_put(e, "cond_stage_model.model.logit_scale", "F32", (Shape) { 0 });
    entries_put(e, "cond_stage_model.model.transformer.resblocks.23.ln_1.bias", "F32", shape1(4));
}
