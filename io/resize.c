/* SPDX-License-Identifier: MIT */
/* Resampling of 8-bit pictures that gives the same bytes as Pillow's. One axis is resized after the other.
   Each output pixel is a weighted sum of the input pixels around its centre; when the picture becomes
   smaller, the kernel is widened by the scale, which avoids aliasing.

       bicubic    k(x) = 1.5 |x|^3 - 2.5 x^2 + 1                   |x| < 1      (a = -0.5)
                       = -0.5 |x|^3 + 2.5 x^2 - 4 |x| + 2          |x| < 2
       Lanczos    k(x) = sinc(x) sinc(x / 3)                       |x| < 3,  sinc(x) = sin(pi x) / (pi x)
 */
#include "io/image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRACTION_BITS = 22, HALF = 1 << (FRACTION_BITS - 1) };

static double bicubic(double x) {
    x = fabs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
    return 0;
}

static double sinc(double x) {
    const double pi = 3.14159265358979323846;
    return x == 0 ? 1 : sin(pi * x) / (pi * x);
}

static double lanczos(double x) { return fabs(x) < 3 ? sinc(x) * sinc(x / 3) : 0; }

/* Output pixel i of an axis is the sum over t < count[i] of weight[i * taps + t] * input[first[i] + t]. The
   weights are in units of 2^-22. */
typedef struct {
    int size, taps; /* the number of output pixels, and the most weights that one of them has */
    int *first, *count;
    int32_t *weight;
} Filter;

static void filter_free(Filter *f) {
    free(f->first);
    free(f->count);
    free(f->weight);
}

static bool filter_new(int in, int out, Resampling r, Filter *f, Messages *errors) {
    double scale = (double)in / out, widening = fmax(scale, 1);
    double support = (r == RESAMPLING_LANCZOS ? 3 : 2) * widening, (*kernel)(double) = bicubic;
    if (r == RESAMPLING_LANCZOS) kernel = lanczos;
    int taps = (int)ceil(support) * 2 + 1;
    size_t n = (size_t)out;
    *f = (Filter) { out, taps, malloc(n * sizeof(int)), malloc(n * sizeof(int)),
                    malloc(n * (size_t)taps * sizeof(int32_t)) };
    double *k = malloc((size_t)taps * sizeof *k);
    if (!f->first || !f->count || !f->weight || !k) {
        filter_free(f);
        free(k);
        return messages_add(errors, "no memory to resize %d pixels to %d", in, out);
    }
    for (int i = 0; i < out; i++) {
        double center = (i + 0.5) * scale, sum = 0;
        int low = (int)fmax(center - support + 0.5, 0), high = (int)fmin(center + support + 0.5, in);
        for (int t = 0; t < high - low; t++) sum += k[t] = kernel((t + low - center + 0.5) * (1 / widening));
        int32_t *weight = f->weight + (int64_t)i * taps;
        for (int t = 0; t < high - low; t++) { /* rounded half away from zero */
            double w = k[t] / sum * (1 << FRACTION_BITS);
            weight[t] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
        }
        f->first[i] = low;
        f->count[i] = high - low;
    }
    free(k);
    return true;
}

/* The weights' magnitudes add up to less than 2 * 2^22, so that sums of 8-bit values stay below 2^31. */
static unsigned char to_byte(int32_t sum) {
    int32_t x = sum >> FRACTION_BITS;
    return (unsigned char)(x < 0 ? 0 : x > 255 ? 255 : x);
}

static void resize_row(const Filter *f, const unsigned char *in, unsigned char *out) {
    for (int i = 0; i < f->size; i++) {
        const unsigned char *p = in + (int64_t)f->first[i] * 3;
        const int32_t *weight = f->weight + (int64_t)i * f->taps;
        int32_t r = HALF, g = HALF, b = HALF;
        for (int t = 0; t < f->count[i]; t++, p += 3) {
            r += weight[t] * p[0];
            g += weight[t] * p[1];
            b += weight[t] * p[2];
        }
        out[3 * i] = to_byte(r);
        out[3 * i + 1] = to_byte(g);
        out[3 * i + 2] = to_byte(b);
    }
}

/* Computes output row y as a weighted sum of input rows of `row` bytes each. Columns are independent and are
   summed a strip at a time. */
static void resize_column_strips(const Filter *f, int y, const unsigned char *in, int64_t row,
                                 unsigned char *out) {
    enum { STRIP = 256 };
    const int32_t *weight = f->weight + (int64_t)y * f->taps;
    for (int64_t x = 0; x < row; x += STRIP) {
        int n = (int)min_i64(STRIP, row - x);
        int32_t sum[STRIP];
        for (int j = 0; j < n; j++) sum[j] = HALF;
        for (int t = 0; t < f->count[y]; t++) {
            const unsigned char *p = in + (f->first[y] + t) * row + x;
            for (int j = 0; j < n; j++) sum[j] += weight[t] * p[j];
        }
        for (int j = 0; j < n; j++) out[x + j] = to_byte(sum[j]);
    }
}

static bool resize_width(const Image *in, int width, Resampling r, Image *out, Messages *errors) {
    Filter f;
    if (!filter_new(in->width, width, r, &f, errors)) return false;
    bool ok = image_new(width, in->height, out, errors);
    if (ok) {
#pragma omp parallel for
        for (int y = 0; y < in->height; y++)
            resize_row(&f, in->rgb + (int64_t)y * in->width * 3, out->rgb + (int64_t)y * width * 3);
    }
    filter_free(&f);
    return ok;
}

static bool resize_height(const Image *in, int height, Resampling r, Image *out, Messages *errors) {
    Filter f;
    if (!filter_new(in->height, height, r, &f, errors)) return false;
    bool ok = image_new(in->width, height, out, errors);
    if (ok) {
        int64_t row = (int64_t)in->width * 3;
#pragma omp parallel for
        for (int y = 0; y < height; y++) resize_column_strips(&f, y, in->rgb, row, out->rgb + y * row);
    }
    filter_free(&f);
    return ok;
}

/* Resizes one axis, rounds to bytes, and then resizes the other; an axis that keeps its size is skipped.
   Pillow 13 resizes the width first, except for pictures that lose more than twice as many rows as columns.
   (We found this by measuring: the order changes the last bit.) */
bool image_resize(const Image *in, int width, int height, Resampling r, Image *out, Messages *errors) {
    CHECK(in != out && width > 0 && height > 0);
    *out = (Image) { 0 };
    if (in->width == width && in->height == height) {
        if (!image_new(width, height, out, errors)) return false;
        memcpy(out->rgb, in->rgb, (size_t)width * (size_t)height * 3);
        return true;
    }
    if (in->height == height) return resize_width(in, width, r, out, errors);
    if (in->width == width) return resize_height(in, height, r, out, errors);
    bool height_first = in->height > height && in->height - height > 2 * (in->width - width);
    Image between;
    if (!(height_first ? resize_height(in, height, r, &between, errors)
                       : resize_width(in, width, r, &between, errors)))
        return false;
    bool ok = height_first ? resize_width(&between, width, r, out, errors)
                           : resize_height(&between, height, r, out, errors);
    image_free(&between);
    return ok;
}
