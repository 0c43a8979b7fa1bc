#include "io/exif.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <stb/stb_image.h>

static uint32_t big16(const unsigned char *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t big32(const unsigned char *p) { return big16(p) << 16 | big16(p + 2); }
static uint32_t little16(const unsigned char *p) { return (uint32_t)p[1] << 8 | p[0]; }
static uint32_t little32(const unsigned char *p) { return little16(p + 2) << 16 | little16(p); }

static int upright_if_odd(int64_t value) { return 1 <= value && value <= 8 ? (int)value : 1; }

/* ---- a directory of tags ---- */

/* Returns the size in bytes of a number of a whole-number type (SHORT, LONG, SBYTE, SSHORT, SLONG, IFD), or 0
   for any other type. */
static size_t whole_number_size(uint32_t type) {
    static const unsigned char sizes[] = { [3] = 2, [4] = 4, [6] = 1, [8] = 2, [9] = 4, [13] = 4 };
    return type < sizeof sizes ? sizes[type] : 0;
}

/* Returns the orientation in a TIFF header's first directory (Exif 2.32, 4.6.2). The header holds the byte
   order, the number 42 and the offset of the directory. The directory holds the number of its entries; each
   entry has 12 bytes: tag, type, count, and the value, or its offset where the value is longer than 4 bytes.
   The standard's type for the orientation is SHORT, but some writers use LONG. The first entry that can be
   read counts. */
static int tiff_orientation(const unsigned char *tiff, size_t size) {
    enum { ORIENTATION = 0x112 };
    if (size < 8) return ORIENTATION_UNSET;
    bool little = memcmp(tiff, "II", 2) == 0;
    if (!little && memcmp(tiff, "MM", 2) != 0) return ORIENTATION_UNSET;
    if (tiff[2] + tiff[3] != 42 || (tiff[2] && tiff[3])) return ORIENTATION_UNSET;
    uint32_t (*get16)(const unsigned char *) = little ? little16 : big16;
    uint32_t (*get32)(const unsigned char *) = little ? little32 : big32;
    size_t at = get32(tiff + 4);
    if (at > size - 2) return ORIENTATION_UNSET;
    uint32_t entries = get16(tiff + at);
    at += 2;
    for (uint32_t i = 0; i < entries && size - at >= 12; i++, at += 12) {
        size_t each = whole_number_size(get16(tiff + at + 2)), count = get32(tiff + at + 4);
        if (get16(tiff + at) != ORIENTATION || each == 0 || count == 0) continue;
        const unsigned char *value = tiff + at + 8;
        if (each * count > 4) { /* of several numbers the first is used */
            size_t offset = get32(value);
            if (count > size / each || offset > size - each * count) continue;
            value = tiff + offset;
        }
        return upright_if_odd(each == 1 ? value[0] : each == 2 ? get16(value) : get32(value));
    }
    return ORIENTATION_UNSET;
}

/* Some writers put the segment's name "Exif\0\0" before the header where it does not belong, or twice. */
static int exif_orientation(const unsigned char *data, size_t size) {
    for (int i = 0; i < 2 && size >= 6 && memcmp(data, "Exif\0\0", 6) == 0; i++) {
        data += 6;
        size -= 6;
    }
    return tiff_orientation(data, size);
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
        if (skip && '0' <= p[skip] && p[skip] <= '9') return upright_if_odd(p[skip] - '0');
    }
    return ORIENTATION_UNSET;
}

/* ---- JPEG ---- */

/* If data begins with this name of a segment, skips it and returns true. */
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

/* Longer texts are ignored: no profile with an orientation is as long, and a small file must not fill the
   memory by decompression. */
enum { TEXT_MAX = 1 << 20 };

static int hex_digit(unsigned char c) {
    if ('0' <= c && c <= '9') return c - '0';
    c |= 0x20;
    return 'a' <= c && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes, in place, a profile as ImageMagick writes it into a text: an empty line, the profile's name, its
   length, then hexadecimal digits with line ends between them. Returns the number of bytes; 0 when the text
   has another form. */
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

/* In an iTXt chunk four fields stand between the key and the text: whether it is compressed, the method, a
   language and the translated key. Moves *text behind them; returns false when they are incomplete. */
static bool skip_international(const unsigned char **text, size_t *size, bool *compressed) {
    if (*size < 2 || (*text)[0] > 1 || (*text)[1] != 0) return false;
    *compressed = (*text)[0] == 1;
    const unsigned char *p = *text + 2, *end = *text + *size;
    for (int i = 0; i < 2; i++) {
        p = p < end ? memchr(p, 0, (size_t)(end - p)) : NULL;
        if (!p) return false;
        p++;
    }
    *text = p;
    *size = (size_t)(end - p);
    return true;
}

void orientations_read_chunk(Orientations *o, const unsigned char *type, const unsigned char *data,
                             size_t size) {
    if (memcmp(type, "eXIf", 4) == 0) o->exif = exif_orientation(data, size);
    bool compressed = memcmp(type, "zTXt", 4) == 0, international = memcmp(type, "iTXt", 4) == 0;
    if (!compressed && !international && memcmp(type, "tEXt", 4) != 0) return;
    const unsigned char *text = memchr(data, 0, size);
    if (!text || !is_wanted((const char *)data)) return;
    text++;
    size -= (size_t)(text - data);
    if (international && !skip_international(&text, &size, &compressed)) return;
    if (compressed && !international) { /* the compression method, always 0 */
        if (size == 0 || text[0] != 0) return;
        text++;
        size--;
    }
    if (size > (compressed ? INT_MAX : TEXT_MAX)) return;
    unsigned char *copy = mem_alloc(compressed ? TEXT_MAX : size + 1);
    int length = (int)size;
    if (compressed)
        length = stbi_zlib_decode_buffer((char *)copy, TEXT_MAX, (const char *)text, (int)size);
    else
        memcpy(copy, text, size);
    if (length > 0) read_text(o, (const char *)data, copy, (size_t)length);
    free(copy);
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
