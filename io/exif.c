/* SPDX-License-Identifier: MIT */
#include "io/exif.h"

#include "io/bytes.h"

#include <stdlib.h>
#include <string.h>

/* Returns the value if it is a valid orientation, else 1 (upright). */
static int valid_or_upright(int64_t value) { return 1 <= value && value <= 8 ? (int)value : 1; }

/* ---- a directory of tags ---- */

/* Returns the size in bytes of one of TIFF's integer types (SHORT, LONG, SBYTE, SSHORT, SLONG, IFD), or 0 for
   any other type. */
static size_t integer_size(uint32_t type) {
    static const unsigned char sizes[] = { [3] = 2, [4] = 4, [6] = 1, [8] = 2, [9] = 4, [13] = 4 };
    return type < sizeof sizes ? sizes[type] : 0;
}

/* Exif is a TIFF header (Exif 2.32, 4.6.2): the byte order, the number 42 and the offset of the first
   directory. A directory holds the number of its entries; each entry has 12 bytes: tag, type, count, and the
   value, or its offset when the value is longer than 4 bytes. */
typedef struct {
    const unsigned char *bytes;
    size_t size;
    uint32_t (*get16)(const unsigned char *);
    uint32_t (*get32)(const unsigned char *);
} Tiff;

/* Skips the name of a JPEG's segment, "Exif\0\0", before the TIFF header: some writers put it where it does
   not belong, or twice. */
static bool tiff_open(const unsigned char *data, size_t size, Tiff *t) {
    for (int i = 0; i < 2 && size >= 6 && memcmp(data, "Exif\0\0", 6) == 0; i++) {
        data += 6;
        size -= 6;
    }
    if (size < 8) return false;
    bool little = memcmp(data, "II", 2) == 0;
    if (!little && memcmp(data, "MM", 2) != 0) return false;
    *t = (Tiff) { data, size, little ? little16 : big16, little ? little32 : big32 };
    return data[2] + data[3] == 42 && (!data[2] || !data[3]);
}

/* Returns the next entry with this tag of the directory at *at, or NULL; *entry counts those that were passed
   and begins as 0. */
static const unsigned char *next_entry(const Tiff *t, size_t at, uint32_t tag, uint32_t *entry) {
    if (at > t->size - 2) return NULL;
    while (*entry < t->get16(t->bytes + at)) {
        size_t offset = at + 2 + 12 * (size_t)(*entry)++;
        if (t->size < 12 || offset > t->size - 12) return NULL;
        if (t->get16(t->bytes + offset) == tag) return t->bytes + offset;
    }
    return NULL;
}

/* Returns the value of an entry whose parts have `each` bytes, or NULL when it lies outside. */
static const unsigned char *entry_value(const Tiff *t, const unsigned char *entry, size_t each) {
    size_t count = t->get32(entry + 4), offset = t->get32(entry + 8);
    if (count <= 4 / each) return entry + 8;
    return count > t->size / each || offset > t->size - each * count ? NULL : t->bytes + offset;
}

/* The standard's type for the orientation is SHORT, but some writers use LONG. The first orientation that can
   be read counts, and of several numbers the first. */
static int exif_orientation(const unsigned char *data, size_t size) {
    enum { ORIENTATION = 0x112 };
    Tiff t;
    if (!tiff_open(data, size, &t)) return ORIENTATION_UNSET;
    const unsigned char *entry;
    for (uint32_t i = 0; (entry = next_entry(&t, t.get32(t.bytes + 4), ORIENTATION, &i));) {
        size_t each = integer_size(t.get16(entry + 2));
        if (each == 0 || t.get32(entry + 4) == 0) continue;
        const unsigned char *value = entry_value(&t, entry, each);
        if (value)
            return valid_or_upright(each == 1 ? value[0] : each == 2 ? t.get16(value) : t.get32(value));
    }
    return ORIENTATION_UNSET;
}

const unsigned char *exif_user_comment(const unsigned char *data, size_t size, size_t *length) {
    enum { EXIF_DIRECTORY = 0x8769, USER_COMMENT = 0x9286 };
    Tiff t;
    uint32_t before = 0;
    if (!tiff_open(data, size, &t)) return NULL;
    const unsigned char *entry = next_entry(&t, t.get32(t.bytes + 4), EXIF_DIRECTORY, &before);
    if (!entry) return NULL;
    before = 0;
    entry = next_entry(&t, t.get32(entry + 8), USER_COMMENT, &before);
    if (!entry) return NULL;
    *length = t.get32(entry + 4);
    return entry_value(&t, entry, 1);
}

/* ---- XMP ---- */

/* Finds tiff:Orientation="6" (an attribute) or <tiff:Orientation>6 (an element). */
static int xmp_orientation(const unsigned char *data, size_t size) {
    static const char name[] = "tiff:Orientation";
    enum { LENGTH = sizeof name - 1 };
    for (size_t at = 0; size - at > LENGTH + 2; at++) {
        const unsigned char *p = data + at + LENGTH;
        if (data[at] != 't' || memcmp(data + at, name, LENGTH) != 0) continue;
        int skip = p[0] == '>' ? 1 : p[0] == '=' && p[1] == '"' ? 2 : 0;
        if (skip && '0' <= p[skip] && p[skip] <= '9') return valid_or_upright(p[skip] - '0');
    }
    return ORIENTATION_UNSET;
}

/* ---- JPEG ---- */

/* Skips the segment's name and returns true, if the data begins with it. */
static bool begins(const unsigned char **data, size_t *size, const char *name, size_t length) {
    if (*size < length || memcmp(*data, name, length) != 0) return false;
    *data += length;
    *size -= length;
    return true;
}

void orientations_read_app1(Orientations *o, const unsigned char *data, size_t size) {
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/"; /* with its closing 0 */
    if (begins(&data, &size, "Exif\0\0", 6)) {
        if (o->exif == ORIENTATION_ABSENT) o->exif = exif_orientation(data, size);
    } else if (begins(&data, &size, xmp, sizeof xmp)) {
        o->xmp = xmp_orientation(data, size);
    }
}

/* ---- PNG ---- */

static int hex_digit(unsigned char c) {
    if ('0' <= c && c <= '9') return c - '0';
    c |= 0x20;
    return 'a' <= c && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place a profile that ImageMagick has written as a text: an empty line, the profile's name, its
   length, then hexadecimal digits with line ends between them. Returns the number of bytes, or 0 when the
   text has another form. */
static size_t profile_bytes(unsigned char *text, size_t size) {
    size_t at = 0, count = 0;
    for (int lines = 0; lines < 3 && at < size; at++) lines += text[at] == '\n';
    for (int high = -1; at < size; at++) {
        if (strchr(" \n\r\t", text[at])) continue; /* strchr matches a 0 byte as well */
        int digit = hex_digit(text[at]);
        if (digit < 0) return 0;
        if (high >= 0) text[count++] = (unsigned char)(high << 4 | digit);
        high = high >= 0 ? -1 : digit;
    }
    return count;
}

static void read_text(Orientations *o, const char *key, unsigned char *text, size_t size) {
    if (strcmp(key, "XML:com.adobe.xmp") == 0) o->xmp = xmp_orientation(text, size);
    if (strcmp(key, "exif") == 0) o->exif = exif_orientation(text, size);
    if (strcmp(key, "Raw profile type exif") == 0)
        o->profile = exif_orientation(text, profile_bytes(text, size));
    if (strcmp(key, "Raw profile type APP1") == 0) { /* EXIF or XMP, as in a JPEG's segment */
        Orientations of_app1 = orientations_new();
        orientations_read_app1(&of_app1, text, profile_bytes(text, size));
        if (of_app1.exif != ORIENTATION_ABSENT) o->app1 = of_app1.exif;
        if (of_app1.xmp != ORIENTATION_ABSENT) o->xmp = of_app1.xmp;
    }
}

static bool is_wanted(const char *key) {
    static const char *const keys[] = { "Raw profile type exif", "Raw profile type APP1", "XML:com.adobe.xmp",
                                        "exif" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0) return true;
    return false;
}

void orientations_read_chunk(Orientations *o, const PngChunk *c) {
    PngText t;
    size_t size;
    if (png_chunk_is(c, "eXIf")) o->exif = exif_orientation(c->data, c->size);
    if (!png_text(c, &t) || !is_wanted(t.key)) return;
    unsigned char *text = png_text_bytes(&t, &size);
    if (text && size > 0) read_text(o, t.key, text, size);
    free(text);
}

/* ---- the result ---- */

Orientations orientations_new(void) {
    return (Orientations) { ORIENTATION_ABSENT, ORIENTATION_ABSENT, ORIENTATION_ABSENT, ORIENTATION_ABSENT };
}

int orientations_resolve(const Orientations *o) {
    int from = o->exif;
    if (from == ORIENTATION_ABSENT) from = o->profile;
    if (from == ORIENTATION_ABSENT) from = o->app1;
    if (from < 1) from = o->xmp;
    return from < 1 ? 1 : from;
}
