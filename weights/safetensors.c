/* SPDX-License-Identifier: MIT */
#include "weights/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"

static const uint64_t HEADER_MAX = 100000000;

typedef struct {
    const char *name;
    unsigned bits;
} TypeSize;

static const TypeSize TYPES[] = {
    { "BOOL", 8 },    { "U8", 8 },      { "I8", 8 },          { "I16", 16 },        { "U16", 16 },
    { "F16", 16 },    { "BF16", 16 },   { "I32", 32 },        { "U32", 32 },        { "F32", 32 },
    { "I64", 64 },    { "U64", 64 },    { "F64", 64 },        { "C64", 64 },        { "F8_E4M3", 8 },
    { "F8_E5M2", 8 }, { "F8_E8M0", 8 }, { "F8_E4M3FNUZ", 8 }, { "F8_E5M2FNUZ", 8 }, { "F6_E2M3", 6 },
    { "F6_E3M2", 6 }, { "F4", 4 },
};

static unsigned type_bits(const char *name) {
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (strcmp(TYPES[i].name, name) == 0) return TYPES[i].bits;
    return 0;
}

/* Returns the size in bytes of a tensor whose elements have `bits` bits each, or -1 when that overflows or is
   not a whole number of bytes. */
static int64_t byte_count(Shape shape, unsigned bits) {
    int64_t n = 1;
    for (int i = 0; i < shape.rank; i++)
        if (__builtin_mul_overflow(n, shape.dim[i], &n)) return -1;
    if (__builtin_mul_overflow(n, (int64_t)bits, &n) || n % 8 != 0) return -1;
    return n / 8;
}

/* Parses the header's entry of one tensor and checks it without regard to the others. data [data_size] are
   the bytes after the header. */
static bool parse_tensor(const Safetensors *s, const char *name, const json_t *entry,
                         const unsigned char *data, uint64_t data_size, SafeTensor *t, Messages *errors) {
    *t = (SafeTensor) { .weight.name = name };
    const json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    t->dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!t->dtype || !json_is_array(shape) || json_array_size(offsets) != 2)
        return messages_add(errors,
                            "%s: tensor \"%s\": its entry in the header is not {dtype, shape, data_offsets}",
                            s->path, name);
    unsigned bits = type_bits(t->dtype);
    if (!bits) return messages_add(errors, "%s: tensor \"%s\": unknown type \"%s\"", s->path, name, t->dtype);
    for (size_t i = 0; i < json_array_size(shape); i++) {
        int64_t d = json_whole(json_array_get(shape, i));
        if (t->weight.shape.rank == SHAPE_MAX)
            return messages_add(errors, "%s: tensor \"%s\" has more than %d dimensions", s->path, name,
                                SHAPE_MAX);
        if (d < 0)
            return messages_add(errors, "%s: tensor \"%s\": its shape is not a list of whole numbers",
                                s->path, name);
        t->weight.shape.dim[t->weight.shape.rank++] = d;
    }
    int64_t begin = json_whole(json_array_get(offsets, 0)), end = json_whole(json_array_get(offsets, 1));
    if (begin < 0 || end < begin || (uint64_t)end > data_size)
        return messages_add(errors,
                            "%s: tensor \"%s\": its data_offsets lie outside the file (is it truncated?)",
                            s->path, name);
    char text[SHAPE_TEXT];
    if (byte_count(t->weight.shape, bits) != end - begin)
        return messages_add(errors, "%s: tensor \"%s\": its %lld bytes do not fit %s %s", s->path, name,
                            (long long)(end - begin), t->dtype, shape_text(t->weight.shape, text));
    static const DType FLOATS[] = { F32, F16, BF16 };
    for (int i = 0; i < 3; i++)
        if (strcmp(t->dtype, dtype_name(FLOATS[i])) == 0) {
            t->is_float = true;
            t->weight.dtype = FLOATS[i];
        }
    t->weight.data = data + begin;
    t->size = (size_t)(end - begin);
    return true;
}

/* Orders tensors by where their data begin. Empty tensors come before another one at the same place. */
static int by_place(const void *a, const void *b) {
    const SafeTensor *s = a, *t = b;
    const char *p = s->weight.data, *q = t->weight.data;
    return p != q ? (p > q) - (p < q) : (s->size > t->size) - (s->size < t->size);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const SafeTensor *)a)->weight.name, ((const SafeTensor *)b)->weight.name);
}

/* Checks that the tensors' bytes follow each other from the first byte after the header to the last, and
   leaves the tensors in the order of their names. */
static bool check_places(Safetensors *s, const unsigned char *data, uint64_t data_size, Messages *errors) {
    const unsigned char *expected = data;
    if (s->count) qsort(s->tensors, (size_t)s->count, sizeof *s->tensors, by_place);
    for (int64_t i = 0; i < s->count; i++) {
        const unsigned char *begin = s->tensors[i].weight.data;
        if (begin != expected)
            return messages_add(errors, "%s: tensor \"%s\": its bytes %s", s->path, s->tensors[i].weight.name,
                                begin < expected ? "overlap another tensor's" : "leave a gap before them");
        expected = begin + s->tensors[i].size;
    }
    if (expected != data + data_size)
        return messages_add(errors, "%s: %llu bytes at the end belong to no tensor", s->path,
                            (unsigned long long)(data + data_size - expected));
    if (s->count) qsort(s->tensors, (size_t)s->count, sizeof *s->tensors, by_name);
    return true;
}

static bool parse_header(Safetensors *s, const unsigned char *data, uint64_t data_size, Messages *errors) {
    const char *name;
    json_t *metadata = json_object_get(s->header, "__metadata__"), *m;
    if (metadata && !json_is_null(metadata) && !json_is_object(metadata))
        return messages_add(errors, "%s: \"__metadata__\" is not an object", s->path);
    json_object_foreach (metadata, name, m) {
        if (!json_is_string(m))
            return messages_add(errors, "%s: metadata \"%s\" is not a string", s->path, name);
    }
    s->tensors = mem_alloc(json_object_size(s->header) * sizeof *s->tensors);
    json_object_foreach (s->header, name, m) {
        if (strcmp(name, "__metadata__") != 0 &&
            !parse_tensor(s, name, m, data, data_size, &s->tensors[s->count++], errors))
            return false;
    }
    return check_places(s, data, data_size, errors);
}

bool safetensors_parse(const char *path, const void *bytes, size_t size, Safetensors *s, Messages *errors) {
    *s = (Safetensors) { .path = mem_string(path) };
    const unsigned char *p = bytes;
    if (size < 8) {
        messages_add(errors, "%s: %zu bytes are too few for a safetensors file", path, size);
        safetensors_close(s);
        return false;
    }
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | p[i];
    bool ok = true;
    if (length > HEADER_MAX)
        ok = messages_add(errors, "%s: is not a safetensors file (a header of %llu bytes)", path,
                          (unsigned long long)length);
    else if (length > size - 8)
        ok = messages_add(errors, "%s: its header of %llu bytes ends after the file (is it truncated?)", path,
                          (unsigned long long)length);
    else if (length == 0 || p[8] != '{')
        ok = messages_add(errors, "%s: is not a safetensors file (its header does not begin with '{')", path);
    if (ok) s->header = json_parse(path, p + 8, (size_t)length, true, errors);
    ok = ok && s->header && parse_header(s, p + 8 + length, size - 8 - length, errors);
    if (!ok) safetensors_close(s);
    return ok;
}

bool safetensors_open(const char *path, Safetensors *s, Messages *errors) {
    *s = (Safetensors) { 0 };
    File file;
    if (!file_map(path, &file, errors)) return false;
    if (!safetensors_parse(path, file.data, file.size, s, errors)) {
        file_close(&file);
        return false;
    }
    s->file = file;
    return true;
}

void safetensors_close(Safetensors *s) {
    free(s->path);
    free(s->tensors);
    json_decref(s->header);
    for (int64_t i = 0; i < s->renamed_count; i++) free(s->renamed[i]);
    free(s->renamed);
    file_close(&s->file);
    *s = (Safetensors) { 0 };
}

Safetensors safetensors_view(const Safetensors *s) {
    Safetensors view = { .path = mem_string(s->path), .count = s->count };
    view.tensors = mem_alloc((size_t)s->count * sizeof *view.tensors);
    if (s->count) memcpy(view.tensors, s->tensors, (size_t)s->count * sizeof *view.tensors);
    return view;
}

void safetensors_rename(Safetensors *s, char *(*rename)(const char *name)) {
    s->renamed = mem_grow(s->renamed, (size_t)(s->renamed_count + s->count) * sizeof *s->renamed);
    for (int64_t i = 0; i < s->count; i++) {
        char *name = rename(s->tensors[i].weight.name);
        if (name) s->tensors[i].weight.name = s->renamed[s->renamed_count++] = name;
    }
    if (s->count) qsort(s->tensors, (size_t)s->count, sizeof *s->tensors, by_name);
}

bool safetensors_readable(const Safetensors *s, Messages *errors) {
    for (int64_t i = 0; i < s->count; i++) {
        const char *type = s->tensors[i].dtype;
        if (strncmp(type, "F8_", 3) == 0 || strncmp(type, "F6_", 3) == 0 || strcmp(type, "F4") == 0)
            return messages_add(
                errors,
                "%s: has weights of type %s, but only F32, F16 and BF16 can be read: save it as F16 "
                "with the program that made it",
                s->path, type);
    }
    return true;
}

const SafeTensor *safetensors_find(const Safetensors *s, const char *name) {
    SafeTensor key = { .weight.name = name };
    return s->count ? bsearch(&key, s->tensors, (size_t)s->count, sizeof key, by_name) : NULL;
}

const char *safetensors_metadata(const Safetensors *s, const char *key) {
    return json_string_value(json_object_get(json_object_get(s->header, "__metadata__"), key));
}

/* Adds the header's size and the header. The tensors' bytes have to follow in the order of this list. */
static void add_header(Text *out, const SafeTensor *tensors, int64_t count, const char *const (*metadata)[2],
                       int64_t pairs) {
    Text t = { 0 };
    text_add(&t, "{");
    if (pairs) text_add(&t, "\"__metadata__\":{");
    for (int64_t i = 0; i < pairs; i++) {
        if (i) text_add(&t, ",");
        json_quote(&t, metadata[i][0]);
        text_add(&t, ":");
        json_quote(&t, metadata[i][1]);
    }
    if (pairs) text_add(&t, count ? "}," : "}");
    size_t offset = 0;
    for (int64_t i = 0; i < count; i++) {
        Shape shape = tensors[i].weight.shape;
        if (i) text_add(&t, ",");
        json_quote(&t, tensors[i].weight.name);
        text_format(&t, ":{\"dtype\":\"%s\",\"shape\":[", tensors[i].dtype);
        for (int d = 0; d < shape.rank; d++) text_format(&t, d ? ",%lld" : "%lld", (long long)shape.dim[d]);
        text_format(&t, "],\"data_offsets\":[%zu,%zu]}", offset, offset + tensors[i].size);
        offset += tensors[i].size;
    }
    text_add(&t, "}");
    while (t.length % 8) text_add(&t, " ");
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)t.length >> (8 * i));
    text_add_part(out, (const char *)length, sizeof length);
    text_add_part(out, t.at, t.length);
    free(t.at);
}

/* Returns a copy of the list, sorted by name, which the caller frees. No name may occur twice. */
static SafeTensor *in_order(const SafeTensor *tensors, int64_t count) {
    SafeTensor *order = mem_alloc((size_t)count * sizeof *order);
    if (count) memcpy(order, tensors, (size_t)count * sizeof *order);
    if (count) qsort(order, (size_t)count, sizeof *order, by_name);
    for (int64_t i = 1; i < count; i++) CHECK(strcmp(order[i - 1].weight.name, order[i].weight.name) != 0);
    return order;
}

Text safetensors_bytes(const SafeTensor *tensors, int64_t count, const char *const (*metadata)[2],
                       int64_t pairs) {
    SafeTensor *order = in_order(tensors, count);
    Text bytes = { 0 };
    add_header(&bytes, order, count, metadata, pairs);
    for (int64_t i = 0; i < count; i++) text_add_part(&bytes, order[i].weight.data, order[i].size);
    free(order);
    return bytes;
}

/* Returns the tensors as a list of F32 SafeTensors, which the caller frees. */
static SafeTensor *as_f32(const NamedTensor *tensors, int64_t count) {
    SafeTensor *list = mem_alloc((size_t)count * sizeof *list);
    for (int64_t i = 0; i < count; i++) {
        const NamedTensor *t = &tensors[i];
        list[i] = (SafeTensor) { .weight = { .name = t->name, .shape = t->shape, .data = t->data },
                                 .dtype = "F32",
                                 .size = (size_t)shape_count(t->shape) * sizeof(float) };
    }
    return list;
}

/* Opens the output and writes the header to it. */
static void write_header(Output *out, const char *path, const SafeTensor *tensors, int64_t count,
                         const char *const (*metadata)[2], int64_t pairs) {
    Text header = { 0 };
    add_header(&header, tensors, count, metadata, pairs);
    output_open(out, path);
    output_write(out, header.at, header.length);
    free(header.at);
}

void safetensors_begin(Output *out, const char *path, const NamedTensor *tensors, int64_t count,
                       const char *const (*metadata)[2], int64_t pairs) {
    SafeTensor *list = as_f32(tensors, count);
    write_header(out, path, list, count, metadata, pairs);
    free(list);
}

bool safetensors_write(const char *path, const NamedTensor *tensors, int64_t count,
                       const char *const (*metadata)[2], int64_t pairs, Messages *errors) {
    SafeTensor *list = as_f32(tensors, count), *order = in_order(list, count);
    Output out;
    write_header(&out, path, order, count, metadata, pairs);
    for (int64_t i = 0; i < count; i++) output_write(&out, order[i].weight.data, order[i].size);
    free(order);
    free(list);
    return output_commit(&out, errors);
}

const char *safetensors_unknown(const Safetensors *s, const char *const names[], int64_t count) {
    const char *name;
    json_t *members[2] = { s->header, json_object_get(s->header, "__metadata__") }, *item;
    for (int k = 0; k < 2; k++)
        json_object_foreach (members[k], name, item) {
            bool known = strcmp(name, "__metadata__") == 0;
            for (int64_t i = 0; i < count && !known; i++) known = strcmp(name, names[i]) == 0;
            if (!known) return name;
        }
    return NULL;
}
