/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "io/image_write.h"

#include "io/file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <stb/stb_image_write.h>

enum { JPEG_QUALITY = 95, JPEG_MAX_SIDE = 65535 };

/* stb_image_write.h declares this public function only in the part that implements it. */
unsigned char *stbi_write_png_to_mem(const unsigned char *pixels, int stride_bytes, int x, int y, int n,
                                     int *out_len);

/* Returns the name's ending with its dot, or "" (the end of the path) when there is none. */
static const char *ending(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    return dot && dot > name ? dot : path + strlen(path);
}

ImageFormat image_format(const char *path) {
    const char *end = ending(path);
    if (!*end || strcasecmp(end, ".png") == 0) return WRITE_PNG;
    return strcasecmp(end, ".jpg") == 0 || strcasecmp(end, ".jpeg") == 0 ? WRITE_JPEG : WRITE_NONE;
}

char *image_path(const char *path, const char *name) {
    const char *end = ending(path);
    return mem_format("%.*s%s%s%s", (int)(end - path), path, name ? "-" : "", name ? name : "",
                      *end ? end : ".png");
}

/* stb_image_write counts bytes in ints. A PNG has 3 * width * height bytes and one more for each row, which
   take at worst 9 bits each when they are compressed. The buffer grows to twice its size plus one, and this
   size would overflow beyond 1.6e9 bytes. A picture of IMAGE_MAX_PIXELS takes 0.8e9 bytes at worst. */
static bool fits(const char *path, int64_t width, int64_t height, Messages *errors) {
    CHECK(width > 0 && height > 0);
    if (width <= IMAGE_MAX_PIXELS / height) return true;
    return messages_add(errors,
                        "%s: %lld x %lld is more than a picture can have (%d million pixels): fewer or "
                        "smaller pictures would fit",
                        path, (long long)width, (long long)height, IMAGE_MAX_PIXELS / 1000000);
}

static bool fits_jpeg(const char *path, int64_t width, int64_t height, Messages *errors) {
    if (width <= JPEG_MAX_SIDE && height <= JPEG_MAX_SIDE) return true;
    return messages_add(errors, "%s: %lld x %lld is more than a JPEG can have (%d a side): write a PNG", path,
                        (long long)width, (long long)height, JPEG_MAX_SIDE);
}

bool image_fits(const char *path, int64_t width, int64_t height, Messages *errors) {
    return fits(path, width, height, errors) &&
           (image_format(path) != WRITE_JPEG || fits_jpeg(path, width, height, errors));
}

bool image_png(const char *path, const Image *image, unsigned char **png, size_t *size, Messages *errors) {
    *png = NULL;
    if (!fits(path, image->width, image->height, errors)) return false;
    int length;
    *png = stbi_write_png_to_mem(image->rgb, image->width * 3, image->width, image->height, 3, &length);
    CHECK(*png != NULL);
    *size = (size_t)length;
    return true;
}

bool image_write_png(const char *path, const Image *image, Messages *errors) {
    unsigned char *png;
    size_t size;
    bool ok = image_png(path, image, &png, &size, errors) && file_write(path, png, size, errors);
    free(png);
    return ok;
}

typedef struct {
    unsigned char *bytes;
    size_t size, room;
} Buffer;

static void append(void *context, void *data, int size) {
    Buffer *b = context;
    if (b->size + (size_t)size > b->room) {
        b->room = 2 * b->room + (size_t)size + 4096;
        b->bytes = mem_grow(b->bytes, b->room);
    }
    memcpy(b->bytes + b->size, data, (size_t)size);
    b->size += (size_t)size;
}

bool image_write(const char *path, const Image *image, const PictureText *text, Messages *errors) {
    CHECK(image_format(path) != WRITE_NONE);
    Buffer b = { 0 };
    if (!image_fits(path, image->width, image->height, errors)) return false;
    if (image_format(path) == WRITE_JPEG)
        CHECK(stbi_write_jpg_to_func(append, &b, image->width, image->height, 3, image->rgb, JPEG_QUALITY));
    else
        CHECK(image_png(path, image, &b.bytes, &b.size, errors));
    Text with = { 0 };
    if (text) with = picture_with_text(b.bytes, b.size, text);
    bool ok =
        text ? file_write(path, with.at, with.length, errors) : file_write(path, b.bytes, b.size, errors);
    free(with.at);
    free(b.bytes);
    return ok;
}
