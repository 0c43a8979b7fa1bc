/* SPDX-License-Identifier: MIT */
#include "io/canvas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool canvas_new(int width, int height, Image *out, Messages *errors) {
    if (!image_new(width, height, out, errors)) return false;
    memset(out->rgb, 255, (size_t)width * (size_t)height * 3);
    return true;
}

static int clamp_int(int x, int low, int high) { return x < low ? low : x > high ? high : x; }

void canvas_rectangle(Image *canvas, int x, int y, int width, int height, Color color) {
    int right = clamp_int(x + width, 0, canvas->width), bottom = clamp_int(y + height, 0, canvas->height);
    for (int v = clamp_int(y, 0, canvas->height); v < bottom; v++)
        for (int u = clamp_int(x, 0, canvas->width); u < right; u++)
            memcpy(canvas->rgb + ((int64_t)v * canvas->width + u) * 3, &color, 3);
}

void canvas_picture(Image *canvas, const Image *picture, int x, int y) {
    int left = clamp_int(x, 0, canvas->width), right = clamp_int(x + picture->width, 0, canvas->width);
    int bottom = clamp_int(y + picture->height, 0, canvas->height);
    for (int v = clamp_int(y, 0, canvas->height); v < bottom && left < right; v++)
        memcpy(canvas->rgb + ((int64_t)v * canvas->width + left) * 3,
               picture->rgb + ((int64_t)(v - y) * picture->width + left - x) * 3, (size_t)(right - left) * 3);
}

/* ---- lines and circles ---- */

static bool is_finite_point(Point p) { return isfinite(p.x) && isfinite(p.y); }

static double clamp01(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

/* Returns the distance from (x, y) to the segment from a to b. */
static double distance(double x, double y, Point a, Point b) {
    double dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    double t = length2 > 0 ? clamp01(((x - a.x) * dx + (y - a.y) * dy) / length2) : 0;
    return hypot(x - a.x - t * dx, y - a.y - t * dy);
}

static void blend(Image *canvas, int64_t pixel, Color color, double alpha) {
    unsigned char *p = canvas->rgb + 3 * pixel;
    p[0] = (unsigned char)lrint(p[0] + (color.r - p[0]) * alpha);
    p[1] = (unsigned char)lrint(p[1] + (color.g - p[1]) * alpha);
    p[2] = (unsigned char)lrint(p[2] + (color.b - p[2]) * alpha);
}

/* A range of pixels on the canvas: left <= x < right, top <= y < bottom. */
typedef struct {
    int left, top, right, bottom;
} Box;

static int clamp_to_canvas(double x, int high) { return (int)fmin(fmax(x, 0), high); }

/* Returns the pixels within radius of the rectangle that a and b span. */
static Box box_around(const Image *canvas, Point a, Point b, double radius) {
    return (Box) { clamp_to_canvas(fmin(a.x, b.x) - radius - 1, canvas->width),
                   clamp_to_canvas(fmin(a.y, b.y) - radius - 1, canvas->height),
                   clamp_to_canvas(fmax(a.x, b.x) + radius + 2, canvas->width),
                   clamp_to_canvas(fmax(a.y, b.y) + radius + 2, canvas->height) };
}

/* Each pixel's coverage is the maximum over all segments, computed before anything is coloured. Blending one
   segment after the other would show darker joints. */
bool canvas_polyline(Image *canvas, const Point *points, int64_t n, double width, Color color, double opacity,
                     Messages *errors) {
    int64_t pixels = (int64_t)canvas->width * canvas->height;
    float *coverage = calloc((size_t)pixels, sizeof *coverage);
    if (!coverage)
        return messages_add(errors, "no memory to draw on %d x %d pixels", canvas->width, canvas->height);
    for (int64_t i = 0; i + 1 < n; i++) {
        Point a = points[i], b = points[i + 1];
        if (!is_finite_point(a) || !is_finite_point(b)) continue;
        Box box = box_around(canvas, a, b, width / 2);
        for (int y = box.top; y < box.bottom; y++)
            for (int x = box.left; x < box.right; x++) {
                float covered = (float)clamp01(width / 2 + 0.5 - distance(x + 0.5, y + 0.5, a, b));
                float *c = &coverage[(int64_t)y * canvas->width + x];
                if (covered > *c) *c = covered;
            }
    }
    for (int64_t i = 0; i < pixels; i++)
        if (coverage[i] > 0) blend(canvas, i, color, opacity * (double)coverage[i]);
    free(coverage);
    return true;
}

void canvas_dots(Image *canvas, const Point *points, int64_t n, double radius, Color color, double opacity) {
    for (int64_t i = 0; i < n; i++) {
        if (!is_finite_point(points[i])) continue;
        Box box = box_around(canvas, points[i], points[i], radius);
        for (int y = box.top; y < box.bottom; y++)
            for (int x = box.left; x < box.right; x++) {
                double covered = clamp01(radius + 0.5 - hypot(x + 0.5 - points[i].x, y + 0.5 - points[i].y));
                if (covered > 0) blend(canvas, (int64_t)y * canvas->width + x, color, opacity * covered);
            }
    }
}
