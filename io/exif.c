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

/* How long a value of a type is, of those that hold whole numbers: SHORT, LONG, SBYTE, SSHORT, SLONG, IFD. */
static size_t whole_number_size(uint32_t type) {
    static const unsigned char sizes[] = { [3] = 2, [4] = 4, [6] = 1, [8] = 2, [9] = 4, [13] = 4 };
    return type < sizeof sizes ? sizes[type] : 0;
}

/* The orientation in a TIFF header with its first directory (Exif 2.32, 4.6.2): byte order, 42, offset of
   the directory; there: number of entries, and for each tag, type, count, value in 12 bytes, or the
   value's offset where it is longer than 4. SHORT is the type that the standard has; other writers use
   LONG. The first that can be read counts. */
static int tiff_orientation(const unsigned char *tiff, size_t size) {
    enum { ORIENTATION = 0x112 };
    if (size < 8) return EXIF_SILENT;
    bool little = memcmp(tiff, "II", 2) == 0;
    if (!little && memcmp(tiff, "MM", 2) != 0) return EXIF_SILENT;
    if (tiff[2] + tiff[3] != 42 || (tiff[2] && tiff[3])) return EXIF_SILENT;
    uint32_t (*get16)(const unsigned char *) = little ? little16 : big16;
    uint32_t (*get32)(const unsigned char *) = little ? little32 : big32;
    size_t at = get32(tiff + 4);
    if (at > size - 2) return EXIF_SILENT;
    uint32_t entries = get16(tiff + at);
    at += 2;
    for (uint32_t i = 0; i < entries && size - at >= 12; i++, at += 12) {
        size_t each = whole_number_size(get16(tiff + at + 2)), count = get32(tiff + at + 4);
        if (get16(tiff + at) != ORIENTATION || each == 0 || count == 0) continue;
        const unsigned char *value = tiff + at + 8;
        if (each * count > 4) { /* several numbers: the first is meant */
            size_t offset = get32(value);
            if (count > size / each || offset > size - each * count) continue;
            value = tiff + offset;
        }
        return upright_if_odd(each == 1 ? value[0] : each == 2 ? get16(value) : get32(value));
    }
    return EXIF_SILENT;
}

/* Some writers put the segment's name before the header where it does not belong, or twice. */
static int exif_orientation(const unsigned char *data, size_t size) {
    for (int i = 0; i < 2 && size >= 6 && memcmp(data, "Exif\0\0", 6) == 0; i++) {
        data += 6;
        size -= 6;
    }
    return tiff_orientation(data, size);
}

/* ---- XMP ---- */

/* tiff:Orientation="6" as an attribute, or <tiff:Orientation>6 as an element. */
static int xmp_orientation(const unsigned char *data, size_t size) {
    static const char name[] = "tiff:Orientation";
    enum { LENGTH = sizeof name - 1 };
    for (size_t at = 0; size - at > LENGTH + 2; at++) {
        const unsigned char *p = data + at + LENGTH;
        if (data[at] != 't' || memcmp(data + at, name, LENGTH) != 0) continue;
        int skip = p[0] == '>' ? 1 : p[0] == '=' && p[1] == '"' ? 2 : 0;
        if (skip && '0' <= p[skip] && p[skip] <= '9') return upright_if_odd(p[skip] - '0');
    }
    return EXIF_SILENT;
}

/* ---- JPEG ---- */

/* Whether data begins with a segment's name, which then is taken off. */
static bool begins(const unsigned char **data, size_t *size, const char *name, size_t length) {
    if (*size < length || memcmp(*data, name, length) != 0) return false;
    *data += length;
    *size -= length;
    return true;
}

void turns_of_app1(Turns *t, const unsigned char *data, size_t size) {
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/"; /* its closing 0 belongs to it */
    if (begins(&data, &size, "Exif\0\0", 6)) {
        if (t->exif == EXIF_ABSENT) t->exif = exif_orientation(data, size);
    } else if (begins(&data, &size, xmp, sizeof xmp)) {
        t->xmp = xmp_orientation(data, size);
    }
}

/* ---- PNG ---- */

/* A text longer than this is no profile with an orientation: what a small file can make of itself by
   decompression ends here. */
enum { TEXT_MAX = 1 << 20 };

static int hex_digit(unsigned char c) {
    if ('0' <= c && c <= '9') return c - '0';
    c |= 0x20;
    return 'a' <= c && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ImageMagick's profiles as text: an empty line, the profile's name, its length, then hexadecimal digits
   with line ends between them. The bytes, in the text's own place; 0 where it is no such text. */
static size_t profile_bytes(unsigned char *text, size_t size) {
    size_t at = 0, count = 0;
    for (int lines = 0; lines < 3 && at < size; at++) lines += text[at] == '\n';
    for (int high = -1; at < size; at++) {
        if (strchr(" \n\r\t", text[at])) continue; /* a 0 counts as well */
        int digit = hex_digit(text[at]);
        if (digit < 0) return 0;
        if (high >= 0) text[count++] = (unsigned char)(high << 4 | digit);
        high = high >= 0 ? -1 : digit;
    }
    return count;
}

static void turns_of_text(Turns *t, const char *key, unsigned char *text, size_t size) {
    if (strcmp(key, "XML:com.adobe.xmp") == 0) t->xmp = xmp_orientation(text, size);
    if (strcmp(key, "exif") == 0) t->exif = exif_orientation(text, size);
    if (strcmp(key, "Raw profile type exif") == 0)
        t->profile = exif_orientation(text, profile_bytes(text, size));
    if (strcmp(key, "Raw profile type APP1") == 0) { /* EXIF or XMP, as in a JPEG's segment */
        Turns of_app1 = turns_new();
        turns_of_app1(&of_app1, text, profile_bytes(text, size));
        if (of_app1.exif != EXIF_ABSENT) t->app1 = of_app1.exif;
        if (of_app1.xmp != EXIF_ABSENT) t->xmp = of_app1.xmp;
    }
}

static bool is_wanted(const char *key) {
    static const char *const keys[] = { "Raw profile type exif", "Raw profile type APP1", "XML:com.adobe.xmp",
                                        "exif" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0) return true;
    return false;
}

/* iTXt has between the key and the text: whether it is compressed, the method, a language, a translated
   key. Whether all that is there; *text is moved behind it. */
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

void turns_of_chunk(Turns *t, const unsigned char *type, const unsigned char *data, size_t size) {
    if (memcmp(type, "eXIf", 4) == 0) t->exif = exif_orientation(data, size);
    bool compressed = memcmp(type, "zTXt", 4) == 0, international = memcmp(type, "iTXt", 4) == 0;
    if (!compressed && !international && memcmp(type, "tEXt", 4) != 0) return;
    const unsigned char *text = memchr(data, 0, size);
    if (!text || !is_wanted((const char *)data)) return;
    text++;
    size -= (size_t)(text - data);
    if (international && !skip_international(&text, &size, &compressed)) return;
    if (compressed && !international) { /* the method, which is 0 */
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
    if (length > 0) turns_of_text(t, (const char *)data, copy, (size_t)length);
    free(copy);
}

/* ---- all of it ---- */

Turns turns_new(void) { return (Turns) { EXIF_ABSENT, EXIF_ABSENT, EXIF_ABSENT, EXIF_ABSENT }; }

int turns_orientation(const Turns *t) {
    int from = t->exif;
    if (from == EXIF_ABSENT) from = t->profile;
    if (from == EXIF_ABSENT) from = t->app1;
    if (from < 1) from = t->xmp;
    return from < 1 ? 1 : from;
}
