/* SPDX-License-Identifier: MIT */
#include "io/picture_text.h"

#include "io/bytes.h"
#include "io/exif.h"
#include "io/png_chunks.h"
#include "io/utf8.h"

#include <stdlib.h>
#include <string.h>

static const char PARAMETERS[] = "parameters", TI[] = "ti", COMMENT[] = "ti ";

enum { JPEG_APP0 = 0xe0, JPEG_APP1 = 0xe1, JPEG_COM = 0xfe, JPEG_SCAN = 0xda, SEGMENT_MAX = 65533 };

void picture_text_free(PictureText *t) {
    free(t->parameters);
    free(t->ti);
    free(t->others);
    *t = (PictureText) { 0 };
}

static bool is_jpeg(const void *bytes, size_t size) {
    return size >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0;
}

/* ---- JPEG ---- */

/* A segment: FF, its marker, 2 bytes with the size of what follows, themselves included, and its data. */
typedef struct {
    int marker;
    const unsigned char *data;
    size_t size;
} Segment;

/* Reads the segment at *at, which it moves to the next one. Returns false at the first scan, which has the
   pixels, and where the file is cut off or damaged. */
static bool next_segment(const void *bytes, size_t size, size_t *at, Segment *s) {
    const unsigned char *p = (const unsigned char *)bytes + *at;
    if (size - *at < 4 || p[0] != 0xff || p[1] < 0xc0 || p[1] == JPEG_SCAN) return false;
    size_t length = big16(p + 2);
    if (length < 2 || length > size - *at - 2) return false;
    *s = (Segment) { p[1], p + 4, length - 2 };
    *at += length + 2;
    return true;
}

static void add_segment(Text *out, int marker, const Text *data) {
    if (data->length > SEGMENT_MAX) return;
    size_t length = data->length + 2;
    const char head[4] = { (char)0xff, (char)marker, (char)(length >> 8), (char)length };
    text_add_part(out, head, 4);
    text_add_part(out, data->at, data->length);
}

static void add_utf16(Text *out, uint32_t unit) {
    const char bytes[2] = { (char)(unit >> 8), (char)unit };
    text_add_part(out, bytes, 2);
}

static void add_utf16_text(Text *out, const char *utf8) {
    int32_t c;
    for (size_t size = strlen(utf8); size > 0;) {
        int n = utf8_next(utf8, size, &c);
        CHECK(n > 0);
        if (c > 0xffff) {
            add_utf16(out, 0xd800 + ((uint32_t)(c - 0x10000) >> 10));
            add_utf16(out, 0xdc00 + ((uint32_t)(c - 0x10000) & 0x3ff));
        } else {
            add_utf16(out, (uint32_t)c);
        }
        utf8 += n;
        size -= (size_t)n;
    }
}

/* Returns the content of an APP1 segment with the UserComment: the first directory has only a pointer to the
   Exif directory, which has only this entry. All numbers are big-endian. */
static Text exif_with_comment(const char *utf8) {
    Text comment = { 0 }, exif = { 0 };
    text_add_part(&comment, "UNICODE", 8); /* with its 0 */
    add_utf16_text(&comment, utf8);
    static const unsigned char head[] = {
        'E', 'x', 'i',  'f',  0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8,  /* the first directory is at 8 */
        0,   1,   0x87, 0x69, 0, 4, 0,   0,   0, 1,  0, 0, 0, 26, /* LONG: the Exif directory is at 26 */
        0,   0,   0,    0,                                        /* no further directory */
        0,   1,   0x92, 0x86, 0, 7                                /* the UserComment is of UNDEFINED bytes */
    };
    text_add_part(&exif, (const char *)head, sizeof head);
    add_utf16(&exif, (uint32_t)(comment.length >> 16));
    add_utf16(&exif, (uint32_t)comment.length & 0xffff);
    text_add_part(&exif, "\0\0\0\x2c\0\0\0\0", 8); /* which lie at 44; no further directory */
    text_add_part(&exif, comment.at, comment.length);
    free(comment.at);
    return exif;
}

static Text command_comment(const char *ti) {
    Text comment = { 0 };
    text_format(&comment, "%s%s", COMMENT, ti);
    return comment;
}

bool picture_text_fits_jpeg(const PictureText *t) {
    Text exif = exif_with_comment(t->parameters ? t->parameters : ""),
         comment = command_comment(t->ti ? t->ti : "");
    bool fits = exif.length <= SEGMENT_MAX && comment.length <= SEGMENT_MAX;
    free(exif.at);
    free(comment.at);
    return fits;
}

/* JFIF's own segment has to remain the first. */
static void add_jpeg_text(Text *out, const unsigned char *bytes, size_t size, const PictureText *t) {
    size_t at = 2;
    Segment first;
    if (!next_segment(bytes, size, &at, &first) || first.marker != JPEG_APP0) at = 2;
    text_add_part(out, (const char *)bytes, at);
    if (t->parameters) {
        Text exif = exif_with_comment(t->parameters);
        add_segment(out, JPEG_APP1, &exif);
        free(exif.at);
    }
    if (t->ti) {
        Text comment = command_comment(t->ti);
        add_segment(out, JPEG_COM, &comment);
        free(comment.at);
    }
    text_add_part(out, (const char *)bytes + at, size - at);
}

Text picture_with_text(const void *bytes, size_t size, const PictureText *t) {
    Text out = { 0 };
    if (!is_png(bytes, size)) {
        CHECK(is_jpeg(bytes, size));
        add_jpeg_text(&out, bytes, size, t);
        return out;
    }
    size_t at = PNG_FIRST;
    PngChunk header;
    CHECK(png_next_chunk(bytes, size, &at, &header));
    text_add_part(&out, bytes, at);
    if (t->parameters) png_add_text(&out, PARAMETERS, t->parameters);
    if (t->ti) png_add_text(&out, TI, t->ti);
    text_add_part(&out, (const char *)bytes + at, size - at);
    return out;
}

/* ---- reading ---- */

static void add_utf8(Text *out, uint32_t c) {
    char bytes[4];
    int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char heads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (int i = n - 1; i > 0; i--, c >>= 6) bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(heads[n] | c);
    text_add_part(out, bytes, (size_t)n);
}

/* Returns the text in UTF-8, or NULL when it is not valid or has the character 0. The caller frees it. */
static char *from_bytes(const unsigned char *bytes, size_t size, bool utf8) {
    if (memchr(bytes, 0, size) || (utf8 && !utf8_valid((const char *)bytes, size))) return NULL;
    Text out = { 0 };
    text_add(&out, "");
    if (utf8) text_add_part(&out, (const char *)bytes, size);
    for (size_t i = 0; i < size && !utf8; i++) add_utf8(&out, bytes[i]);
    return out.at;
}

/* Does the same for UTF-16. The byte order is that in which more characters have a high byte of 0, as nearly
   all have in such a text: the standard leaves it open, A1111 writes big-endian, and other programs the
   byte order of the Exif header, or that of the machine. */
static char *from_utf16(const unsigned char *bytes, size_t size) {
    size_t big = 0, little = 0;
    for (size_t i = 0; i + 1 < size; i += 2) {
        big += bytes[i] == 0;
        little += bytes[i + 1] == 0;
    }
    uint32_t (*get16)(const unsigned char *) = little > big ? little16 : big16;
    Text out = { 0 };
    text_add(&out, "");
    bool ok = size % 2 == 0;
    for (size_t i = 0; ok && i + 1 < size; i += 2) {
        uint32_t c = get16(bytes + i), low = i + 3 < size ? get16(bytes + i + 2) : 0;
        if (0xd800 <= c && c < 0xdc00 && 0xdc00 <= low && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i += 2;
        }
        ok = c != 0 && (c < 0xd800 || c > 0xdfff);
        if (ok && !(i == 0 && c == 0xfeff)) add_utf8(&out, c);
    }
    if (ok) return out.at;
    free(out.at);
    return NULL;
}

/* Returns the text, and adds a warning when it is NULL. */
static char *checked(char *text, const char *path, const char *key, Messages *warnings) {
    if (!text)
        messages_add(warnings, "%s: its text \"%s\" is damaged or longer than %d bytes and is ignored", path,
                     key, PNG_TEXT_MAX);
    return text;
}

/* Adds the key to a list, which is cut off where it becomes long. */
static void add_key(char **list, const char *key) {
    char *utf8 = from_bytes((const unsigned char *)key, strlen(key), false);
    char *longer = !*list ? mem_string(utf8) : strlen(*list) < 200 ? mem_format("%s, %s", *list, utf8) : NULL;
    free(utf8);
    if (!longer) return;
    free(*list);
    *list = longer;
}

static char *text_of_chunk(const char *path, const PngChunk *c, Messages *warnings) {
    PngText text;
    if (!c->type || !png_text(c, &text)) return NULL;
    size_t size;
    unsigned char *bytes = png_chunk_sound(c) ? png_text_bytes(&text, &size) : NULL;
    char *utf8 = bytes ? from_bytes(bytes, size, text.utf8) : NULL;
    free(bytes);
    return checked(utf8, path, text.key, warnings);
}

static void read_png(const char *path, const void *bytes, size_t size, PictureText *t, Messages *warnings) {
    PngChunk c, parameters = { 0 }, ti = { 0 };
    PngText text;
    for (size_t at = PNG_FIRST; png_next_chunk(bytes, size, &at, &c);) {
        if (!png_text(&c, &text)) continue;
        if (strcmp(text.key, PARAMETERS) == 0)
            parameters = c;
        else if (strcmp(text.key, TI) == 0)
            ti = c;
        else
            add_key(&t->others, text.key);
    }
    t->parameters = text_of_chunk(path, &parameters, warnings);
    t->ti = text_of_chunk(path, &ti, warnings);
}

/* A UserComment has 8 bytes with the name of its encoding, and then the text. Nameless ones are UTF-8 nearly
   always. Japanese ones are none of A1111's. */
static char *text_of_comment(const char *path, const unsigned char *comment, size_t size,
                             Messages *warnings) {
    if (!comment || size <= 8 || memcmp(comment, "JIS", 3) == 0) return NULL;
    bool utf16 = memcmp(comment, "UNICODE", 8) == 0;
    return checked(utf16 ? from_utf16(comment + 8, size - 8) : from_bytes(comment + 8, size - 8, true), path,
                   "UserComment", warnings);
}

static void read_jpeg(const char *path, const void *bytes, size_t size, PictureText *t, Messages *warnings) {
    enum { PREFIX = sizeof COMMENT - 1 };
    const unsigned char *comment = NULL, *found;
    size_t length = 0, found_length;
    Segment s, ti = { 0 };
    for (size_t at = 2; next_segment(bytes, size, &at, &s);) {
        found = s.marker == JPEG_APP1 ? exif_user_comment(s.data, s.size, &found_length) : NULL;
        if (found) {
            comment = found;
            length = found_length;
        }
        if (s.marker == JPEG_COM && s.size >= PREFIX && memcmp(s.data, COMMENT, PREFIX) == 0) ti = s;
    }
    t->parameters = text_of_comment(path, comment, length, warnings);
    if (ti.data) t->ti = checked(from_bytes(ti.data + PREFIX, ti.size - PREFIX, true), path, TI, warnings);
}

void picture_text_read(const char *path, const void *bytes, size_t size, PictureText *t, Messages *warnings) {
    *t = (PictureText) { 0 };
    if (is_png(bytes, size))
        read_png(path, bytes, size, t, warnings);
    else if (is_jpeg(bytes, size))
        read_jpeg(path, bytes, size, t, warnings);
}

char *picture_text_printable(const char *text) {
    Text out = { 0 };
    text_add(&out, "");
    int32_t c;
    for (size_t size = strlen(text); size > 0;) {
        int n = utf8_next(text, size, &c);
        CHECK(n > 0);
        if (c != '\n' && text_is_control(c))
            text_format(&out, "\\u%04x", (unsigned)c);
        else
            text_add_part(&out, text, (size_t)n);
        text += n;
        size -= (size_t)n;
    }
    return out.at;
}
