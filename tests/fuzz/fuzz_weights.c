/* SPDX-License-Identifier: MIT */
/* Fuzzing targets: safetensors files, learned embeddings, and JSON itself. */
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/latents.h"
#include "exchange/word_file.h"
#include "io/object.h"
#include "weights/store.h"

void repair_header(Input *in, Random *r) {
    size_t end = in->size; /* the end of the header, after the last '}' in the first 8 KB */
    for (size_t i = 8; i < in->size && i < 8192; i++)
        if (in->bytes[i] == '}') end = i + 1;
    if (draw(r, 2))
        while (end < in->size && in->bytes[end] == ' ') end++;
    for (int i = 0; i < 8 && in->size >= 8; i++) in->bytes[i] = (unsigned char)((end - 8) >> (8 * i));
}

void seeds_header(Seeds *s, const char *header, size_t data) {
    size_t length = strlen(header), size = 8 + length + data;
    unsigned char *bytes = mem_alloc(size);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> (8 * i));
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data; i++) bytes[8 + length + i] = (unsigned char)(i % 61);
    seeds_add(s, bytes, size);
    free(bytes);
}

/* ---- safetensors ---- */

static const char *const SAFETENSORS_WORDS[] = {
    "\"F32\"",
    "\"F16\"",
    "\"BF16\"",
    "\"I64\"",
    "\"F4\"",
    "\"F6_E2M3\"",
    "\"BOOL\"",
    "\"X\"",
    "\"dtype\"",
    "\"shape\"",
    "\"data_offsets\"",
    "\"__metadata__\"",
    "{\"format\":\"pt\"}",
    "[0,4]",
    "[4,8]",
    "[4,0]",
    "[0,0]",
    "[]",
    "[1,1,1,1,1,1,1,1]",
    "[1,1,1,1,1,1,1,1,1]",
    "[4294967296,4294967296]",
    "[9007199254740991,0]",
    "[0,9007199254740991,9007199254740991]",
    "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},",
    "\"\"",
    "null",
    "1e999",
    "-1",
    "9223372036854775807",
    "18446744073709551615",
    "{",
    "}",
    "\x1b[2J",
    "\"\\u009b\"",
    NULL
};

static void safetensors_seeds(Seeds *s) {
    seeds_file(s, "golden/files.safetensors");
    seeds_file(s, "golden/embedding.safetensors");
    seeds_header(s, "{}", 0);
    seeds_header(s, "{\"a\":{\"dtype\":\"U8\",\"shape\":[2000],\"data_offsets\":[0,2000]}}", 2000);
    seeds_header(s, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1);
    seeds_header(s, "{\"__metadata__\":[1]}", 0);
    seeds_header(s,
                 "{\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\"},"
                 "\"text_model.a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                 "\"b\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[16,22]},"
                 "\"c\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[22,24]},"
                 "\"d\":{\"dtype\":\"I64\",\"shape\":[1,1],\"data_offsets\":[24,32]},"
                 "\"e\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[32,35]},"
                 "\"f\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[35,35]},"
                 "\"g\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[35,39]}}",
                 39);
}

/* Writes the float tensors and checks that reading the file gives the same tensors. */
static void write_and_read(const Safetensors *s) {
    NamedTensor *tensors = mem_alloc((size_t)s->count * sizeof *tensors);
    int64_t count = 0;
    for (int64_t i = 0; i < s->count; i++) {
        const Weight *w = &s->tensors[i].weight;
        if (!s->tensors[i].is_float) continue;
        float *data = mem_alloc((size_t)shape_count(w->shape) * sizeof *data);
        weight_read(w, data);
        tensors[count++] = (NamedTensor) { w->name, w->shape, data };
    }
    const char *format = safetensors_metadata(s, "format");
    const char *const metadata[][2] = { { "format", format ? format : "\"\\\x1f" } };
    Messages errors = { 0 };
    Safetensors again;
    CHECK(safetensors_write(scratch_path(), tensors, count, metadata, 1, &errors));
    CHECK(safetensors_open(scratch_path(), &again, &errors));
    CHECK_EQ(again.count, count);
    CHECK(strcmp(safetensors_metadata(&again, "format"), metadata[0][1]) == 0);
    for (int64_t i = 0; i < count; i++) { /* both are sorted by name */
        const Weight *w = &again.tensors[i].weight;
        CHECK(strcmp(w->name, tensors[i].name) == 0 && shape_equal(w->shape, tensors[i].shape));
        CHECK(memcmp(w->data, tensors[i].data, again.tensors[i].size) == 0);
        free((void *)(uintptr_t)tensors[i].data);
    }
    safetensors_close(&again);
    free(tensors);
}

static void use_store(const Safetensors *s, const char *prefix, const char *optional) {
    Messages errors = { 0 };
    Store *store = store_new(s, 1, prefix, optional, &errors);
    Unused unused = { 0 };
    for (int64_t i = 0; i < s->count; i++) {
        const SafeTensor *t = &s->tensors[i];
        if (strlen(t->weight.name) > 500) continue; /* the program never asks for such long names */
        if (!*prefix) CHECK(store_has(store, "%s", t->weight.name));
        if (!*prefix && t->is_float) CHECK(store_get(store, t->weight.shape, "%s", t->weight.name));
        if (!*prefix) CHECK(shape_equal(store_shape(store, "%s", t->weight.name), t->weight.shape));
        store_get(store, shape1(3), "%s", t->weight.name);
    }
    store_get(store, shape1(3), "text_model.x");
    store_unused(store, "", &unused);
    free(unused_text(&unused));
    unused_free(&unused);
    store_fingerprint(store);
    store_free(store);
    verdict(errors.count == 0, &errors, NULL);
}

static bool try_safetensors(const unsigned char *bytes, size_t size) {
    Safetensors s;
    Messages errors = { 0 };
    if (!verdict(safetensors_parse("x", bytes, size, &s, &errors), &errors, NULL)) return false;
    for (int64_t i = 0; i < s.count; i++) {
        const SafeTensor *t = &s.tensors[i];
        CHECK(safetensors_find(&s, t->weight.name) == t);
        touch(t->weight.data, t->size);
        if (!t->is_float) continue;
        int64_t n = shape_count(t->weight.shape);
        CHECK_EQ((size_t)n * dtype_size(t->weight.dtype), t->size);
        float *all = mem_alloc((size_t)n * sizeof *all);
        weight_read(&t->weight, all);
        free(all);
    }
    use_store(&s, "", NULL);
    use_store(&s, "", "text_model.");
    use_store(&s, "text_model.", "a");
    if (one_in(bytes, size, 200)) write_and_read(&s);
    safetensors_close(&s);
    return true;
}

/* ---- learned embeddings ---- */

static const char *const EMBEDDING_WORDS[] = {
    "\"emb_params\"",   "\"*\"",    "\"weight\"",  "\"clip_l\"",  "\"clip_g\"",
    "\"<x>\"",          "\"\"",     "\"F32\"",     "\"F16\"",     "\"BF16\"",
    "\"I64\"",          "[1,4]",    "[4]",         "[]",          "[0,4]",
    "[1,1,4]",          "[4,0]",    "[1001,1]",    "PK\3\4",      "\x80\x02}q",
    "\xff\xff\xff\x7f", "\xff\x7f", "\"\\u0007\"", "\"\\u009b\"", "\"emp_params\"",
    "\"F64\"",          "\"IN01\"", NULL
};

static void embedding_seeds(Seeds *s) {
    seeds_file(s, "golden/embedding.safetensors");
    seeds_header(s, "{\"emb_params\":{\"dtype\":\"F16\",\"shape\":[2,4],\"data_offsets\":[0,16]}}", 16);
    seeds_header(s, "{\"emp_params\":{\"dtype\":\"F64\",\"shape\":[1,2],\"data_offsets\":[0,16]}}", 16);
    seeds_header(s, "{\"IN01\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    seeds_header(s,
                 "{\"<a>\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]},"
                 "\"*\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[8,16]},"
                 "\"<c>\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]}}",
                 24);
    seeds_header(s, "{\"clip_l\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4);
    seeds_header(s, "{\"<c>\":{\"dtype\":\"I64\",\"shape\":[1,1],\"data_offsets\":[0,8]}}", 8);
    seeds_header(s,
                 "{\"*\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                 "\"weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
                 8);
    seeds_header(s, "{\"<c>\":{\"dtype\":\"F32\",\"shape\":[1,1,1],\"data_offsets\":[0,4]}}", 4);
}

static void write_and_read_word(const Embedding *e) {
    Embeddings again;
    Messages errors = { 0 };
    CHECK(embedding_write(scratch_path(), e->token, e->learned, e->vectors, e->width, &errors));
    CHECK(word_file_read(scratch_path(), &again, &errors));
    CHECK(again.count == 1 && again.words[0].vectors == e->vectors && again.words[0].width == e->width);
    CHECK(again.words[0].token_from_path || strcmp(again.words[0].token, e->token) == 0);
    CHECK(memcmp(again.words[0].learned, e->learned, (size_t)(e->vectors * e->width) * sizeof(float)) == 0);
    embeddings_free(&again);
}

static bool try_embedding(const unsigned char *bytes, size_t size) {
    Embeddings all;
    Messages errors = { 0 };
    if (!verdict(word_file_parse("dir/x.safetensors", bytes, size, &all, &errors), &errors, NULL))
        return false;
    CHECK(all.count >= 1);
    for (int64_t i = 0; i < all.count; i++) {
        const Embedding *e = &all.words[i];
        CHECK(e->token[0] && e->vectors >= 1 && e->width >= 1);
        for (int64_t j = 0; j < e->vectors * e->width; j++) CHECK(isfinite(e->learned[j]));
        if (one_in(bytes, size, 200)) write_and_read_word(e);
    }
    embeddings_free(&all);
    return true;
}

/* ---- JSON ---- */

static void json_seeds(Seeds *s) {
    seeds_text(s, "{\"a\":[1,-2.5e-3,true,false,null],\"b\":{\"c\":\"\\u00e9\\n\\ud83d\\ude00\",\"\":[]}}");
    seeds_text(s, " [ 0 , 10 , \"x\" , {\"k\" : {}} ]\r\n\t");
    seeds_text(s, "{\"lambda\":-Infinity,\"s\":\"Infinity \\\" Infinity\",\"n\":123456789012345678}");
    seeds_text(s, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    seeds_text(s, "-0.0e+10");
    seeds_text(s, "{\"a\":"
                  "\"\xc3\xa9\xc3\xa9\xe2\x82\xac\xe2\x82\xac\xc3\xa9\xc3\xa9\xe2\x82\xac\xe2\x82\xac\xc3\xa9"
                  "\xc3\xa9\xe2\x82\xac"
                  "\xe2\x82\xac\xc3\xa9\xc3\xa9\xe2\x82\xac\xe2\x82\xac\xc3\xa9\xc3\xa9\xe2\x82\xac\xe2\x82"
                  "\xac\xc3\xa9\xc3\xa9\xe2\x82\xac"
                  "\xe2\x82\xac\xc3\xa9\xc3\xa9\xe2\x82\xac\xe2\x82\xac\xc3\xa9\xc3\xa9\xe2\x82\xac\xe2\x82"
                  "\xac\",\"b\":[]}"); /* longer than what messages quote */
}

/* Calls each getter for each member of an object, also for members of other types. */
static void use_getters(const unsigned char *bytes, size_t size) {
    static const char *const names[] = { "x", "true", "\xc3\xa9", NULL };
    static const JsonFixed fixed[] = { { "a", "1", "null" }, { "b", "{}", NULL } };
    JsonObject o;
    Messages errors = { 0 }, warnings = { 0 };
    bool ok = object_parse(&o, "x", bytes, size, &errors, &warnings);
    CHECK(ok || errors.count > 0);
    if (ok) {
        object_fixed(&o, fixed, 2);
        object_finish(&o);
        object_finish_strictly(&o);
        const char *key;
        json_t *m;
        json_object_foreach (o.object, key, m) {
            int64_t numbers[3];
            int64_t whole = object_int(&o, key, 5, -3, 1000);
            CHECK(-3 <= whole && whole <= 1000);
            CHECK(fabs(object_number(&o, key, 0, -1e3, 1e3)) <= 1e3);
            object_bool(&o, key, true);
            CHECK(object_string(&o, key, "absent"));
            object_choice(&o, key, 0, names);
            object_ints(&o, key, 2, 0, 9, 3, numbers);
            CHECK(object_length(&o, key, 8) <= 8);
            object_null(&o, key);
        }
        object_close(&o);
    }
    verdict(errors.count == 0, &errors, &warnings);
}

static bool try_json(const unsigned char *bytes, size_t size) {
    Messages errors = { 0 };
    json_t *whole = json_parse("x", bytes, size, true, &errors);
    verdict(whole != NULL, &errors, NULL);
    use_getters(bytes, size);
    json_t *tree = json_parse("x", bytes, size, false, &errors);
    CHECK(tree || !whole); /* allowing only whole numbers is stricter */
    json_decref(whole);
    if (!verdict(tree != NULL, &errors, NULL)) return false;
    char *text = json_text(tree, JSON_EXACT);
    json_t *again = json_parse("x", text, strlen(text), false, &errors);
    CHECK(again && json_equal(tree, again));
    free(text);
    json_decref(again);
    json_decref(tree);
    return true;
}

/* ---- initial noise ---- */

static const char *const LATENTS_WORDS[] = { "\"latents\"",  "\"F32\"",   "\"F16\"", "[1,4,2,2]", "[2,4,1,2]",
                                             "[1001,1,1,1]", "[1,4,0,4]", "[16]",    "[0,64]",    NULL };

static void latents_seeds(Seeds *s) {
    seeds_file(s, "golden/latents.safetensors");
    seeds_header(s, "{\"latents\":{\"dtype\":\"F32\",\"shape\":[1,4,2,2],\"data_offsets\":[0,64]}}", 64);
    seeds_header(s,
                 "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                 "\"latents\":{\"dtype\":\"F32\",\"shape\":[1,4,2,2],\"data_offsets\":[4,68]}}",
                 68);
}

static bool try_latents(const unsigned char *bytes, size_t size) {
    Messages errors = { 0 };
    Latents l;
    if (!verdict(latents_parse("x", bytes, size, &l, &errors), &errors, NULL)) {
        CHECK(!l.data);
        return false;
    }
    CHECK(l.shape.rank == 4 && l.shape.dim[0] >= 1 && l.shape.dim[0] <= 1000);
    for (int64_t i = 0; i < shape_count(l.shape); i++) CHECK(isfinite(l.data[i]));
    latents_free(&l);
    return true;
}

const Target WEIGHTS_TARGETS[] = {
    { "safetensors", 12, SAFETENSORS_WORDS, safetensors_seeds, repair_header, try_safetensors },
    { "embedding", 10, EMBEDDING_WORDS, embedding_seeds, repair_header, try_embedding },
    { "latents", 4, LATENTS_WORDS, latents_seeds, repair_header, try_latents },
    { "json", 14, JSON_WORDS, json_seeds, NULL, try_json },
    { .name = NULL },
};
