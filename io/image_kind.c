/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "io/image_kind.h"

#include "io/file.h"
#include "io/png_chunks.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A program that converts pictures to PNG, and the Debian package that has it. `selector` is appended to the
   input's name: ImageMagick's [0] selects the first of several pictures in a file. */
typedef struct {
    const char *package, *command, *selector, *options;
} Converter;
static const Converter MAGICK = { "imagemagick", "convert", "[0]", "-auto-orient " },
                       HEIF = { "libheif-examples", "heif-convert", "", "" },
                       JXL = { "libjxl-tools", "djxl", "", "" };

/* A format and the bytes by which it is recognised. */
typedef struct {
    const char *format; /* "a GIF" */
    const Converter *converter;
    size_t at; /* offset of the bytes in the file */
    const char *bytes;
    size_t length;
} Foreign;

static const Foreign FOREIGN[] = {
    { "a GIF", &MAGICK, 0, "GIF8", 4 },
    { "a WebP", &MAGICK, 8, "WEBP", 4 },
    { "a TIFF", &MAGICK, 0, "II*\0", 4 },
    { "a TIFF", &MAGICK, 0, "MM\0*", 4 },
    { "a TIFF", &MAGICK, 0, "II+\0", 4 },
    { "a TIFF", &MAGICK, 0, "MM\0+", 4 },
    { "a HEIC", &HEIF, 4, "ftypheic", 8 },
    { "a HEIC", &HEIF, 4, "ftypheix", 8 },
    { "a HEIC", &HEIF, 4, "ftypheim", 8 },
    { "a HEIC", &HEIF, 4, "ftypheis", 8 },
    { "a HEIC", &HEIF, 4, "ftyphevc", 8 },
    { "a HEIC", &HEIF, 4, "ftyphevx", 8 },
    { "a HEIC", &HEIF, 4, "ftyphevm", 8 },
    { "a HEIC", &HEIF, 4, "ftyphevs", 8 },
    { "a HEIC", &HEIF, 4, "ftypmif1", 8 },
    { "a HEIC", &HEIF, 4, "ftypmsf1", 8 },
    { "an AVIF", &HEIF, 4, "ftypavif", 8 },
    { "an AVIF", &HEIF, 4, "ftypavis", 8 },
    { "a JPEG XL", &JXL, 0, "\xff\x0a", 2 },
    { "a JPEG XL", &JXL, 0, "\0\0\0\x0cJXL", 7 },
    { "a JPEG 2000", &MAGICK, 0, "\0\0\0\x0cjP ", 7 },
};

static bool has(const unsigned char *data, size_t size, size_t at, const char *bytes, size_t length) {
    return size >= at + length && memcmp(data + at, bytes, length) == 0;
}

static const Foreign *find_foreign(const unsigned char *data, size_t size) {
    for (size_t i = 0; i < sizeof FOREIGN / sizeof *FOREIGN; i++) {
        const Foreign *f = &FOREIGN[i];
        if (!has(data, size, f->at, f->bytes, f->length)) continue;
        if (f->at != 8 || has(data, size, 0, "RIFF", 4)) return f; /* a WebP file begins with RIFF */
    }
    return NULL;
}

/* A text may begin with BM, too. In a BMP file the four bytes at 6 are always 0, and the length of the second
   header is 12 to 124. */
static bool is_bmp(const unsigned char *data, size_t size) {
    return has(data, size, 0, "BM", 2) && has(data, size, 6, "\0\0\0\0", 4) && size >= 18 && 12 <= data[14] &&
           data[14] <= 124 && has(data, size, 15, "\0\0\0", 3);
}

ImageKind image_kind(const unsigned char *data, size_t size) {
    if (is_png(data, size) || has(data, size, 0, "\xff\xd8\xff", 3) || is_bmp(data, size)) return IMAGE_READ;
    return find_foreign(data, size) ? IMAGE_FOREIGN : IMAGE_NONE;
}

static bool ends_as(const char *path, const char *const *endings) {
    const char *dot = strrchr(path, '.');
    for (; dot && *endings; endings++)
        if (strcasecmp(dot, *endings) == 0) return true;
    return false;
}

bool image_has_known_extension(const char *path) {
    static const char *const endings[] = { ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", NULL };
    return ends_as(path, endings);
}

ImageKind image_kind_of_file(const char *path) {
    static const char *const raw[] = { ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw",
                                       ".orf", ".pef", ".raf", ".rw2", ".srw", NULL };
    unsigned char bytes[32];
    ImageKind kind = image_kind(bytes, file_read_beginning(path, bytes, sizeof bytes));
    return kind == IMAGE_FOREIGN && ends_as(path, raw) ? IMAGE_NONE : kind;
}

/* The command appends ".png" to the whole name, so that it does not overwrite another picture. */
static bool refuse(const char *name, const char *what, const Converter *c, Messages *errors) {
    char *in = mem_format("%s%s", name, c->selector), *out = mem_format("%s.png", name);
    char *from = text_for_shell(in), *to = text_for_shell(out);
    messages_add(errors, "%s: %s; put a PNG in its place (with Debian's package %s): %s %s %s%s", name, what,
                 c->package, c->command, from, c->options, to);
    free(in);
    free(out);
    free(from);
    free(to);
    return false;
}

bool image_refuse_foreign(const unsigned char *data, size_t size, const char *name, Messages *errors) {
    const Foreign *f = find_foreign(data, size);
    if (!f) return false;
    char *what = mem_format("is %s, which is not read", f->format);
    refuse(name, what, f->converter, errors);
    free(what);
    return true;
}

bool image_refuse_convertible(const char *name, const char *what, Messages *errors) {
    return refuse(name, what, &MAGICK, errors);
}
