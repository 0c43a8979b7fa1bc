/* SPDX-License-Identifier: MIT */
/* Reads the headers of PNG, JPEG and BMP files and does what the decoder leaves out: it checks that the file
   is complete and finds its orientation. (stb_image decodes a truncated JPEG to a picture with a grey lower
   half, checks no checksums and ignores EXIF.) */
#include "io/bytes.h"
#include "io/exif.h"
#include "io/image.h"
#include "io/image_kind.h"

#include <string.h>

/* Sets the picture's size. Returns false and adds a message when the picture is empty or too large. The
   numbers in a header have at most 32 bits, so that their product cannot overflow. */
static bool set_size(ImageHeader *out, uint64_t width, uint64_t height, const char *name, Messages *errors) {
    if (width == 0 || height == 0) return messages_add(errors, "%s: the picture has no pixels", name);
    if (width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE || width * height > IMAGE_MAX_PIXELS)
        return messages_add(errors,
                            "%s: %llu x %llu is too large (a side may have %d pixels, a picture %d million)",
                            name, (unsigned long long)width, (unsigned long long)height, IMAGE_MAX_SIDE,
                            IMAGE_MAX_PIXELS / 1000000);
    out->width = (int)width;
    out->height = (int)height;
    return true;
}

/* ---- the decoder's memory ---- */

/* Returns how many of `size` rows or columns belong to a pass of Adam7, PNG's interlacing. */
static int64_t pass_size(int64_t size, int first, int step) {
    return size > first ? (size - first + step - 1) / step : 0;
}

/* Returns the bytes of an interlaced PNG's uncompressed rows, each with the byte that names its filter. */
static int64_t interlaced_bytes(int64_t width, int64_t height, int64_t bits) {
    /* first column, first row, step of columns, step of rows */
    static const int passes[7][4] = { { 0, 0, 8, 8 }, { 4, 0, 8, 8 }, { 0, 4, 4, 8 }, { 2, 0, 4, 4 },
                                      { 0, 2, 2, 4 }, { 1, 0, 2, 2 }, { 0, 1, 1, 2 } };
    int64_t bytes = 0;
    for (int i = 0; i < 7; i++) {
        const int *p = passes[i];
        bytes += pass_size(height, p[1], p[3]) * ((pass_size(width, p[0], p[2]) * bits + 7) / 8 + 1);
    }
    return bytes;
}

/* Sets out->channels and out->decoding of a PNG. stb_image first holds the compressed bytes and the
   uncompressed rows, then the rows and the pixels. For an interlaced file it also holds the pixels of one
   pass (at most half of all), and for a palette both the indices and the colours. compressed is the size of
   all IDAT chunks. */
static void png_memory(ImageHeader *out, const unsigned char *ihdr, bool transparent, int64_t compressed) {
    static const unsigned char channels[] = { [0] = 1, [2] = 3, [3] = 1, [4] = 2, [6] = 4 };
    int64_t pixels = (int64_t)out->width * out->height, depth = ihdr[8], color = ihdr[9];
    bool palette = color == 3, interlaced = ihdr[12] != 0;
    int64_t n = color < (int64_t)sizeof channels ? channels[color] : 4, bits = n * depth;
    int64_t rows = interlaced ? interlaced_bytes(out->width, out->height, bits)
                              : (int64_t)out->height * ((out->width * bits + 7) / 8 + 1);
    if (transparent && !palette) n++;
    int64_t decoded = pixels * n * (depth == 16 ? 2 : 1), more = interlaced ? decoded / 2 : 0;
    out->channels = palette ? 3 + transparent : (int)n;
    if (palette) more = max_i64(more, pixels * out->channels);
    if (depth == 16) more = max_i64(more, pixels * n - rows);
    out->decoding = rows + max_i64(compressed, decoded + more);
}

/* Sets out->channels and out->decoding of a JPEG. stb_image holds the samples of all components in whole
   blocks, for a progressive file two bytes of coefficients for each sample, and then the picture. frame is
   the content of the segment that starts a frame: precision, height, width, the number of components, and for
   each component its number, its sampling factors and its table. */
static void jpeg_memory(ImageHeader *out, const unsigned char *frame, size_t size, bool progressive) {
    int count = size > 5 ? frame[5] : 0, across = 1, down = 1;
    if (size < 6 + 3 * (size_t)count) count = 0;
    for (int i = 0; i < count; i++) {
        int sampling = frame[6 + 3 * i + 1];
        across = sampling >> 4 > across ? sampling >> 4 : across;
        down = (sampling & 15) > down ? sampling & 15 : down;
    }
    int64_t blocks = ceil_div(out->width, 8 * across) * ceil_div(out->height, 8 * down), samples = 0;
    for (int i = 0; i < count; i++) {
        int sampling = frame[6 + 3 * i + 1];
        samples += blocks * 64 * (sampling >> 4) * (sampling & 15);
    }
    out->channels = count >= 3 ? 3 : 1;
    out->decoding = samples * (progressive ? 3 : 1) + (int64_t)out->width * out->height * out->channels +
                    (int64_t)count * out->width;
}

int64_t image_decoding_bytes(const ImageHeader *header) {
    int64_t pixels = (int64_t)header->width * header->height, rgb = 3 * pixels;
    int64_t bytes = header->decoding;
    if (header->channels != 3) bytes = max_i64(bytes, rgb + pixels * header->channels);
    if (header->orientation != 1) bytes = max_i64(bytes, 2 * rgb);
    return bytes;
}

/* ---- JPEG ---- */

enum {
    JPEG_FRAME = 0xc0,
    JPEG_PROGRESSIVE = 0xc2,
    JPEG_HUFFMAN = 0xc4,
    JPEG_RESTART = 0xd0,
    JPEG_END = 0xd9,
    JPEG_SCAN = 0xda,
    JPEG_APP1 = 0xe1,
    JPEG_MAX_SCANS = 100
};

/* Returns whether a marker starts a frame: C0 to CF without the tables C4 and CC and the reserved C8. */
static bool is_frame(int marker) {
    return (marker & 0xf0) == JPEG_FRAME && marker != JPEG_HUFFMAN && marker != 0xc8 && marker != 0xcc;
}

/* Returns the next marker at or after *at and moves *at past it, or returns -1 when there is none. FF 00 is a
   data byte of a scan, and FF FF is padding. */
static int jpeg_marker(const unsigned char *data, size_t size, size_t *at) {
    for (; *at + 1 < size; ++*at)
        if (data[*at] == 0xff && data[*at + 1] != 0 && data[*at + 1] != 0xff) {
            *at += 2;
            return data[*at - 1];
        }
    return -1;
}

/* Checks a segment of Huffman tables. Each table has a byte for its class and number, 16 bytes with the
   numbers of codes of 1..16 bits, and a value for each code. The decoder has room for 256 codes and does not
   count them. */
static bool huffman_tables_fit(const unsigned char *p, size_t size) {
    while (size >= 17) {
        size_t codes = 0;
        for (int i = 1; i <= 16; i++) codes += p[i];
        if (codes > 256 || codes > size - 17) return false;
        p += 17 + codes;
        size -= 17 + codes;
    }
    return size == 0;
}

static bool jpeg_header(const unsigned char *data, size_t size, const char *name, ImageHeader *out,
                        Orientations *orientations, Messages *errors) {
    out->format = "JPEG";
    size_t at = 2;
    for (int marker, scans = 0; (marker = jpeg_marker(data, size, &at)) >= 0;) {
        if (marker == JPEG_END && scans > 0 && out->width > 0) return true;
        if (marker == JPEG_END) return messages_add(errors, "%s: the JPEG file holds no picture", name);
        if (marker == 0x01 || (JPEG_RESTART <= marker && marker < JPEG_END)) continue; /* no length follows */
        if (size - at < 2) break;
        size_t length = big16(data + at); /* counts its own two bytes */
        if (length > size - at) break;
        if (length < 2 || (marker == JPEG_HUFFMAN && !huffman_tables_fit(data + at + 2, length - 2)))
            return messages_add(errors, "%s: the JPEG data is damaged at byte %zu", name, at);
        if (marker == JPEG_SCAN && ++scans > JPEG_MAX_SCANS) /* each takes time for the whole picture */
            return messages_add(errors, "%s: a JPEG of more than %d scans is not read", name, JPEG_MAX_SCANS);
        if (marker == JPEG_APP1 && scans == 0)
            orientations_read_app1(orientations, data + at + 2, length - 2);
        if (is_frame(marker) && length >= 7 && out->width == 0) {
            const unsigned char *frame = data + at + 2; /* precision, height, width */
            if (!set_size(out, big16(frame + 3), big16(frame + 1), name, errors)) return false;
            jpeg_memory(out, frame, length - 2, marker == JPEG_PROGRESSIVE);
        }
        at += length;
    }
    return messages_add(errors, "%s: the JPEG file is cut off (its end is missing)", name);
}

/* ---- PNG ---- */

/* Chunks are checked when their type begins with a capital letter, which marks those that decoding needs. */
static bool png_header(const unsigned char *data, size_t size, const char *name, ImageHeader *out,
                       Orientations *orientations, Messages *errors) {
    out->format = "PNG";
    int64_t compressed = 0;
    bool transparent = false;
    /* The first chunk is IHDR, which begins with width and height. */
    if (size >= 24 && !set_size(out, big32(data + 16), big32(data + 20), name, errors)) return false;
    PngChunk c;
    for (size_t at = PNG_FIRST; png_next_chunk(data, size, &at, &c);) {
        bool critical = 'A' <= c.type[0] && c.type[0] <= 'Z';
        if (critical && !png_chunk_sound(&c))
            return messages_add(errors, "%s: the PNG data is damaged (checksum of \"%.4s\" at byte %zu)",
                                name, (const char *)c.type, at - c.size - 12);
        if (png_chunk_is(&c, "IDAT")) compressed += (int64_t)c.size;
        transparent = transparent || png_chunk_is(&c, "tRNS");
        if (png_chunk_is(&c, "IEND") && out->width > 0 && size >= 29)
            png_memory(out, data + 16, transparent, compressed);
        if (png_chunk_is(&c, "IEND"))
            return out->width > 0 || messages_add(errors, "%s: the PNG file holds no picture", name);
        orientations_read_chunk(orientations, &c);
    }
    return messages_add(errors, "%s: the PNG file is cut off (its end is missing)", name);
}

/* ---- BMP ---- */

/* The file's header of 14 bytes is followed by the length of the picture's header, its width, its height
   (negative when the top row comes first), planes, bits per pixel and compression (0 for none, 3 for bit
   masks). Palettes are not read, since stb_image does not check their bounds. The file's size is checked,
   since stb_image reads missing pixels as black. */
static bool bmp_header(const unsigned char *data, size_t size, const char *name, ImageHeader *out,
                       Messages *errors) {
    out->format = "BMP";
    if (size < 54) return messages_add(errors, "%s: the BMP file is cut off", name);
    uint64_t offset = little32(data + 10), header = little32(data + 14), width = little32(data + 18);
    uint32_t height = little32(data + 22), bits = little16(data + 28), compression = little32(data + 30);
    if (header < 40 || (bits != 24 && bits != 32) || (compression != 0 && compression != 3))
        return image_refuse_convertible(
            name, "is a BMP of a kind that is not supported (24 or 32 bits a pixel, uncompressed, are)",
            errors);
    uint64_t rows = height >> 31 ? 0u - height : height, row = (width * bits + 31) / 32 * 4;
    if (!set_size(out, width, rows, name, errors)) return false;
    if (offset < 14 + header || offset + rows * row > size)
        return messages_add(errors, "%s: the BMP file is cut off", name);
    out->channels = bits == 24 ? 3 : 4;
    out->decoding = (int64_t)(width * rows) * out->channels;
    return true;
}

/* ---- the format ---- */

static bool read_header(const unsigned char *data, size_t size, const char *name, ImageHeader *out,
                        Orientations *orientations, Messages *errors) {
    if (size == 0) return messages_add(errors, "%s: is empty, not a picture", name);
    if (is_png(data, size)) return png_header(data, size, name, out, orientations, errors);
    if (size >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0)
        return jpeg_header(data, size, name, out, orientations, errors);
    if (size >= 2 && memcmp(data, "BM", 2) == 0) return bmp_header(data, size, name, out, errors);
    if (image_refuse_foreign(data, size, name, errors)) return false;
    return messages_add(errors, "%s: is not a picture (PNG, JPEG and BMP are read)", name);
}

bool image_header(const unsigned char *data, size_t size, const char *name, ImageHeader *out,
                  Messages *errors) {
    *out = (ImageHeader) { 0 };
    Orientations orientations = orientations_new();
    bool ok = read_header(data, size, name, out, &orientations, errors);
    out->orientation = orientations_resolve(&orientations);
    return ok;
}
