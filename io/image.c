/* SPDX-License-Identifier: MIT */
#include "io/image.h"

#include "io/file.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <stb/stb_image.h>

static int64_t pixels_of(const Image *image) { return (int64_t)image->width * image->height; }

bool image_new(int width, int height, Image *out, Messages *errors) {
    CHECK(width > 0 && height > 0);
    *out = (Image) { width, height, malloc((size_t)width * (size_t)height * 3) };
    if (out->rgb) return true;
    *out = (Image) { 0 };
    return messages_add(errors, "no memory for a picture of %d x %d", width, height);
}

void image_free(Image *image) {
    free(image->rgb);
    *image = (Image) { 0 };
}

/* ---- reading ---- */

/* Converts grey, grey with alpha, RGB or RGBA to RGB, with transparent parts on white, or to the alpha
   channel alone. Takes ownership of pixels, which it frees unless it can keep them as the image's own. */
static bool to_rgb(unsigned char *pixels, int channels, bool only_alpha, Image *image, Messages *errors) {
    if (channels == 3 && !only_alpha) {
        image->rgb = pixels;
        return true;
    }
    if (!image_new(image->width, image->height, image, errors)) {
        free(pixels);
        return false;
    }
    int64_t n = pixels_of(image);
    bool grey = channels <= 2, transparent = channels == 2 || channels == 4;
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        const unsigned char *p = pixels + i * channels;
        int alpha = transparent ? p[channels - 1] : 255;
        for (int c = 0; c < 3; c++)
            image->rgb[3 * i + c] =
                (unsigned char)(only_alpha ? alpha
                                           : (p[grey ? 0 : c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
    free(pixels);
    return true;
}

/* With `alpha`, decodes only the alpha channel, and *alpha becomes whether there is one. */
static bool decode(const void *data, size_t size, const char *name, Image *out, bool *alpha,
                   Messages *errors) {
    *out = (Image) { 0 };
    ImageHeader header;
    if (size > INT_MAX) return messages_add(errors, "%s: is larger than 2 GB", name);
    if (!image_header(data, size, name, &header, errors)) return false;
    int width, height, channels;
    unsigned char *pixels = stbi_load_from_memory(data, (int)size, &width, &height, &channels, 0);
    if (!pixels || width != header.width || height != header.height) {
        const char *reason = pixels ? "size" : stbi_failure_reason();
        free(pixels);
        return messages_add(errors,
                            "%s: the %s data is damaged, of a kind that is not read, or too large (%s)", name,
                            header.format, reason);
    }
    *out = (Image) { width, height, NULL };
    if (alpha) *alpha = channels == 2 || channels == 4;
    if (to_rgb(pixels, channels, alpha != NULL, out, errors) && image_orient(out, header.orientation, errors))
        return true;
    image_free(out);
    return false;
}

bool image_decode(const void *data, size_t size, const char *name, Image *out, Messages *errors) {
    return decode(data, size, name, out, NULL, errors);
}

static bool load(const char *path, Image *out, bool *alpha, Messages *errors) {
    *out = (Image) { 0 };
    File file;
    if (!file_read(path, &file, errors)) return false;
    bool ok = decode(file.data, file.size, path, out, alpha, errors);
    file_close(&file);
    return ok;
}

bool image_load(const char *path, Image *out, Messages *errors) { return load(path, out, NULL, errors); }

bool image_load_alpha(const char *path, Image *out, bool *has, Messages *errors) {
    return load(path, out, has, errors);
}

int pixel_brightness(const unsigned char rgb[3]) {
    return (19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 0x8000) >> 16;
}

void image_to_grey(Image *image) {
    int64_t n = pixels_of(image);
    for (int64_t i = 0; i < n; i++) {
        unsigned char *p = image->rgb + 3 * i;
        memset(p, pixel_brightness(p), 3);
    }
}

bool image_load_header(const char *path, ImageHeader *out, int64_t *file_size, Messages *errors) {
    *out = (ImageHeader) { 0 };
    *file_size = 0;
    File mapped;
    if (!file_map(path, &mapped, errors)) return false;
    *file_size = (int64_t)mapped.size;
    bool ok = image_header(mapped.data, mapped.size, path, out, errors);
    file_close(&mapped);
    return ok;
}

/* ---- geometry ---- */

bool image_orient(Image *image, int orientation, Messages *errors) {
    CHECK(1 <= orientation && orientation <= 8);
    if (orientation == 1) return true;
    int w = image->width, h = image->height;
    bool transposed = orientation >= 5;
    Image out;
    if (!image_new(transposed ? h : w, transposed ? w : h, &out, errors)) return false;
    /* Orientations 5 to 8 are transposed. In 2, 3, 6 and 7 the stored pixels run from right to left along the
       upright picture's rows, in 3, 4, 7 and 8 from the bottom up along its columns. */
    bool from_right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    bool from_below = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
#pragma omp parallel for
    for (int y = 0; y < out.height; y++) {
        unsigned char *to = out.rgb + (int64_t)y * out.width * 3;
        for (int x = 0; x < out.width; x++, to += 3) {
            int u = from_right ? out.width - 1 - x : x, v = from_below ? out.height - 1 - y : y;
            memcpy(to, image->rgb + (transposed ? (int64_t)u * w + v : (int64_t)v * w + u) * 3, 3);
        }
    }
    image_free(image);
    *image = out;
    return true;
}

void image_crop_size(int64_t width, int64_t height, int64_t *w, int64_t *h) {
    int64_t across = *w * height, down = *h * width;
    if (across > down)
        *w = max_i64(1, down / height);
    else
        *h = max_i64(1, across / width);
}

bool image_crop(Image *image, int width, int height, Messages *errors) {
    int64_t w = image->width, h = image->height;
    image_crop_size(width, height, &w, &h);
    if (w == image->width && h == image->height) return true;
    int64_t left = (image->width - w) / 2, top = (image->height - h) / 2;
    Image out;
    if (!image_new((int)w, (int)h, &out, errors)) return false;
    size_t row = (size_t)w * 3;
    for (int64_t y = 0; y < h; y++)
        memcpy(out.rgb + (size_t)y * row, image->rgb + ((top + y) * image->width + left) * 3, row);
    image_free(image);
    *image = out;
    return true;
}

void image_flip(Image *image) {
    for (int y = 0; y < image->height; y++) {
        unsigned char *a = image->rgb + (int64_t)y * image->width * 3, *b = a + (image->width - 1) * 3;
        for (; a < b; a += 3, b -= 3) {
            unsigned char kept[3];
            memcpy(kept, a, 3);
            memcpy(a, b, 3);
            memcpy(b, kept, 3);
        }
    }
}

/* ---- floats ---- */

void image_to_floats(const Image *image, float *chw) {
    int64_t n = pixels_of(image);
    for (int c = 0; c < 3; c++)
        for (int64_t i = 0; i < n; i++) chw[c * n + i] = (float)(image->rgb[3 * i + c] / 127.5 - 1);
}

void image_from_floats(const float *chw, Image *image) {
    int64_t n = pixels_of(image);
    for (int c = 0; c < 3; c++)
        for (int64_t i = 0; i < n; i++) {
            float x = chw[c * n + i] * 0.5f + 0.5f;
            x = x > 0 ? x < 1 ? x : 1 : 0; /* NaN fails the first comparison */
            image->rgb[3 * i + c] = (unsigned char)rintf(x * 255);
        }
}
