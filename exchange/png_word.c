/* SPDX-License-Identifier: MIT */
#include "exchange/png_word.h"

#include <stdlib.h>
#include <string.h>

#include "io/json.h"

static const char KEYWORD[] = "sd-ti-embedding"; /* The chunk has it with its 0, then the text. */

static bool is_word(const PngChunk *c) {
    return png_chunk_is(c, "tEXt") && c->size > sizeof KEYWORD &&
           memcmp(c->data, KEYWORD, sizeof KEYWORD) == 0;
}

static bool find_word(const void *bytes, size_t size, PngChunk *c) {
    size_t at = PNG_FIRST;
    if (!is_png(bytes, size)) return false;
    while (png_next_chunk(bytes, size, &at, c))
        if (is_word(c)) return true;
    return false;
}

bool png_has_word(const void *bytes, size_t size) {
    PngChunk c;
    return find_word(bytes, size, &c);
}

/* ---- base64 ---- */

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Decodes text[0..size), in which line ends count for nothing. Returns the number of bytes in out, which has
   room for size bytes, or -1 when the text is not base64. */
static int64_t decode(const unsigned char *text, size_t size, unsigned char *out) {
    uint32_t bits = 0;
    int have = 0;
    int64_t count = 0;
    while (size && (text[size - 1] == '=' || text[size - 1] == '\n' || text[size - 1] == '\r')) size--;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n' || text[i] == '\r') continue;
        const char *digit = text[i] ? strchr(DIGITS, text[i]) : NULL;
        if (!digit) return -1;
        bits = (bits << 6 | (uint32_t)(digit - DIGITS)) & 0xffffff;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        out[count++] = (unsigned char)(bits >> have);
    }
    return count;
}

static void encode(Text *out, const unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size; i += 3) {
        size_t n = size - i < 3 ? size - i : 3;
        uint32_t bits = 0;
        char digits[4] = "====";
        for (size_t k = 0; k < 3; k++) bits = bits << 8 | (k < n ? bytes[i + k] : 0);
        for (size_t k = 0; k <= n; k++) digits[k] = DIGITS[bits >> (18 - 6 * k) & 63];
        text_add_part(out, digits, 4);
    }
}

/* ---- the data ---- */

static bool damaged(const char *path, Messages *errors) {
    return messages_add(errors, "%s: the word in the picture is damaged", path);
}

/* Returns the only member of an object, or NULL. */
static json_t *only_member(json_t *object) {
    void *first = json_object_size(object) == 1 ? json_object_iter(object) : NULL;
    return first ? json_object_iter_value(first) : NULL;
}

/* Copies a list of lists of numbers. Returns them [rows, width], which the caller frees, or NULL when it is
   none. */
static float *read_rows(const json_t *rows, Shape *shape) {
    size_t count = json_array_size(rows), width = json_array_size(json_array_get(rows, 0));
    if (!count || !width) return NULL;
    /* No row has other numbers than those that were parsed, so that this memory is in proportion to the text.
       */
    for (size_t i = 0; i < count; i++)
        if (json_array_size(json_array_get(rows, i)) != width) return NULL;
    float *data = mem_alloc(count * width * sizeof *data);
    for (size_t i = 0; i < count * width; i++) {
        const json_t *x = json_array_get(json_array_get(rows, i / width), i % width);
        if (!json_is_number(x)) {
            free(data);
            return NULL;
        }
        data[i] = (float)json_number_value(x);
    }
    *shape = shape2((int64_t)count, (int64_t)width);
    return data;
}

static bool read_document(const char *path, json_t *document, Safetensors *s, Messages *errors) {
    json_t *params = json_object_get(document, "string_to_param");
    const char *name = json_string_value(json_object_get(document, "name"));
    Shape shape = { 0 };
    float *data = read_rows(json_object_get(only_member(params), "TORCHTENSOR"), &shape);
    if (!data) return damaged(path, errors);
    *s = (Safetensors) { .path = mem_string(path), .count = 1, .renamed_count = 2 };
    s->tensors = mem_alloc(sizeof *s->tensors);
    s->renamed = mem_alloc(2 * sizeof *s->renamed);
    s->renamed[0] = mem_string(name && *name ? name : "*");
    s->renamed[1] = (char *)data;
    s->tensors[0] =
        (SafeTensor) { .weight = { .name = s->renamed[0], .dtype = F32, .shape = shape, .data = data },
                       .dtype = "F32",
                       .is_float = true,
                       .size = (size_t)shape_count(shape) * sizeof *data };
    return true;
}

bool png_word_tensors(const char *path, const void *bytes, size_t size, Safetensors *s, Messages *errors) {
    PngChunk c;
    *s = (Safetensors) { 0 };
    if (!find_word(bytes, size, &c))
        return messages_add(errors, "%s: is a picture without a learned word in it (no text %s)", path,
                            KEYWORD);
    const unsigned char *text = c.data + sizeof KEYWORD;
    unsigned char *json = mem_alloc(c.size);
    int64_t length = decode(text, c.size - sizeof KEYWORD, json);
    json_t *document = length < 0 ? NULL : json_parse(path, json, (size_t)length, false, errors);
    bool ok = length < 0 ? damaged(path, errors) : document && read_document(path, document, s, errors);
    json_decref(document);
    free(json);
    return ok;
}

Text png_with_word(const void *png, size_t size, const char *json) {
    Text out = { 0 }, text = { 0 };
    PngChunk c;
    text_add_part(&out, png, PNG_FIRST);
    text_add_part(&text, KEYWORD, sizeof KEYWORD);
    encode(&text, (const unsigned char *)json, strlen(json));
    for (size_t at = PNG_FIRST; png_next_chunk(png, size, &at, &c);) {
        if (png_chunk_is(&c, "IEND")) png_add_chunk(&out, "tEXt", text.at, text.length);
        if (!is_word(&c)) text_add_part(&out, (const char *)c.type - 4, c.size + 12);
    }
    free(text.at);
    return out;
}
