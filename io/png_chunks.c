/* SPDX-License-Identifier: MIT */
#include "io/png_chunks.h"

#include "io/bytes.h"
#include "io/utf8.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <stb/stb_image.h>

bool is_png(const void *bytes, size_t size) {
    return size >= PNG_FIRST && memcmp(bytes, "\x89PNG\r\n\x1a\n", PNG_FIRST) == 0;
}

bool png_next_chunk(const void *bytes, size_t size, size_t *at, PngChunk *c) {
    if (size - *at < 12) return false;
    const unsigned char *p = (const unsigned char *)bytes + *at;
    *c = (PngChunk) { p + 4, p + 8, big32(p) };
    if (c->size > size - *at - 12) return false;
    *at += c->size + 12;
    return true;
}

bool png_chunk_is(const PngChunk *c, const char *type) { return memcmp(c->type, type, 4) == 0; }

/* zlib counts in unsigned ints, which a chunk with its type can exceed. */
static uint32_t checksum(const unsigned char *bytes, size_t size) {
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, size);
}

bool png_chunk_sound(const PngChunk *c) { return checksum(c->type, c->size + 4) == big32(c->data + c->size); }

/* Writing */

static void add_big32(Text *out, uint32_t n) {
    const char bytes[4] = { (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n };
    text_add_part(out, bytes, 4);
}

void png_add_chunk(Text *out, const char *type, const void *data, size_t size) {
    CHECK(size <= INT32_MAX);
    add_big32(out, (uint32_t)size);
    text_add_part(out, type, 4);
    text_add_part(out, data, size);
    add_big32(out, checksum((const unsigned char *)out->at + out->length - size - 4, size + 4));
}

/* Appends the text in Latin-1. Returns false when it has other characters. */
static bool add_latin1(Text *out, const char *utf8) {
    int32_t c;
    for (size_t size = strlen(utf8); size > 0;) {
        int n = utf8_next(utf8, size, &c);
        CHECK(n > 0);
        if (c > 0xff) return false;
        text_add_part(out, (const char[]) { (char)c }, 1);
        utf8 += n;
        size -= (size_t)n;
    }
    return true;
}

void png_add_text(Text *out, const char *key, const char *utf8) {
    Text latin1 = { 0 };
    text_add_part(&latin1, key, strlen(key) + 1);
    if (add_latin1(&latin1, utf8)) {
        png_add_chunk(out, "tEXt", latin1.at, latin1.length);
    } else {
        /* The text is not compressed, and has neither a language nor a translated key. */
        Text international = { 0 };
        text_add_part(&international, key, strlen(key) + 1);
        text_add_part(&international, "\0\0\0", 4);
        text_add(&international, utf8);
        png_add_chunk(out, "iTXt", international.at, international.length);
        free(international.at);
    }
    free(latin1.at);
}

/* Reading */

/* An iTXt chunk has four fields between the key and the text: whether the text is compressed, the method, a
   language and the translated key. Returns false when they are incomplete. */
static bool skip_international(PngText *t) {
    if (t->size < 2 || t->data[0] > 1 || t->data[1] != 0) return false;
    t->compressed = t->data[0] == 1;
    const unsigned char *p = t->data + 2, *end = t->data + t->size;
    for (int i = 0; i < 2; i++) {
        p = p < end ? memchr(p, 0, (size_t)(end - p)) : NULL;
        if (!p) return false;
        p++;
    }
    t->data = p;
    t->size = (size_t)(end - p);
    return true;
}

bool png_text(const PngChunk *c, PngText *out) {
    bool compressed = png_chunk_is(c, "zTXt"), utf8 = png_chunk_is(c, "iTXt");
    if (!compressed && !utf8 && !png_chunk_is(c, "tEXt")) return false;
    const unsigned char *end = memchr(c->data, 0, c->size);
    if (!end) return false;
    *out = (PngText) { .key = (const char *)c->data,
                       .data = end + 1,
                       .size = c->size - (size_t)(end + 1 - c->data),
                       .compressed = compressed,
                       .utf8 = utf8 };
    if (utf8) return skip_international(out);
    if (!compressed) return true;
    if (out->size == 0 || out->data[0] != 0) return false; /* the compression method, always 0 */
    out->data++;
    out->size--;
    return true;
}

unsigned char *png_text_bytes(const PngText *t, size_t *size) {
    *size = t->size;
    if (t->size > (t->compressed ? INT_MAX : PNG_TEXT_MAX)) return NULL;
    unsigned char *bytes = mem_alloc(t->compressed ? PNG_TEXT_MAX + 1 : t->size + 1);
    if (!t->compressed) {
        if (t->size) memcpy(bytes, t->data, t->size);
        return bytes;
    }
    int length = stbi_zlib_decode_buffer((char *)bytes, PNG_TEXT_MAX, (const char *)t->data, (int)t->size);
    if (length < 0) {
        free(bytes);
        return NULL;
    }
    *size = (size_t)length;
    bytes[length] = 0; /* a failed attempt of the decoder may have written there */
    return bytes;
}
