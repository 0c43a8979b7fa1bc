/* SPDX-License-Identifier: MIT */
#include "io/plot.h"

#include "io/font.h"
#include "io/image_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* WIDTH to BOTTOM are in pixels. LEFT to BOTTOM are the edges of the area between the axes. */
enum {
    WIDTH = 960,
    HEIGHT = 540,
    LEFT = 84,
    RIGHT = 936,
    TOP = 62,
    BOTTOM = 476,
    TEXT = 18, /* the height of a line of text */
    TICKS = 6,
    LINE_POINTS = 500
};

static const Color INK = { 40, 40, 48 }, RULE = { 226, 228, 234 }, DOTS = { 120, 156, 214 },
                   LINE = { 24, 72, 160 }, GRID = { 214, 84, 16 };

/* Returns false for NaN, infinities and numbers that are too large to draw. */
static bool drawable(double x) { return fabs(x) < 1e30; }

typedef struct {
    double low, high;
} Range;

/* Extends the range so that it includes x. */
static void include(Range *r, double x) {
    if (!drawable(x)) return;
    r->low = fmin(r->low, x);
    r->high = fmax(r->high, x);
}

/* Returns the range of the vertical axis. It shows the middle 96 % of the losses, so that a few high ones do
   not flatten the rest; the smoothed line without its first 2 %, where it is as noisy as the losses; and all
   fixed-grid losses. */
static Range losses_range(const double *loss, const double *smoothed, int64_t count, PlotPoints grid) {
    Range r = { INFINITY, -INFINITY };
    double *sorted = mem_alloc((size_t)count * sizeof *sorted);
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++)
        if (drawable(loss[i])) sorted[n++] = loss[i];
    qsort(sorted, (size_t)n, sizeof *sorted, compare_doubles);
    if (n > 0) {
        include(&r, sorted[n / 50]);
        include(&r, sorted[n - 1 - n / 50]);
    }
    free(sorted);
    for (int64_t i = count / 50; i < count; i++) include(&r, smoothed[i]);
    for (int64_t i = 0; i < grid.count; i++) include(&r, grid.loss[i]);
    if (r.low > r.high) r = (Range) { 0, 1 };
    double margin = fmax(0.08 * (r.high - r.low), 0.04 * fabs(r.high) + 1e-12);
    return (Range) { r.low >= 0 ? fmax(r.low - margin, 0) : r.low - margin, r.high + margin };
}

/* Returns the smallest of 1, 2, 5 x 10^k that divides the range into at most TICKS parts. */
static double tick_step(Range r) {
    double step = pow(10, floor(log10((r.high - r.low) / (double)TICKS)));
    const double factors[] = { 1, 2, 5, 10 };
    for (int i = 0; i < 4; i++)
        if ((r.high - r.low) / (step * factors[i]) <= (double)TICKS) return step * factors[i];
    return step * 10;
}

typedef struct {
    Image *canvas;
    const Font *font;
    Range x, y;
    const char *x_title;
} Plot;

/* Returns the point of the canvas for a step and a loss, which is clamped to the vertical axis. */
static Point place(const Plot *p, double x, double y) {
    if (!drawable(x) || !drawable(y)) return (Point) { NAN, NAN };
    double u = (x - p->x.low) / (p->x.high - p->x.low), v = (y - p->y.low) / (p->y.high - p->y.low);
    return (Point) { (double)LEFT + u * (RIGHT - LEFT),
                     (double)BOTTOM - fmin(fmax(v, 0), 1) * (BOTTOM - TOP) };
}

/* Writes the label of the k-th tick, with enough decimals to distinguish it from its neighbours. */
static void tick_text(double k, double step, char text[40]) {
    int decimals = (int)fmin(fmax(ceil(-log10(step) - 1e-9), 0), 9);
    snprintf(text, 40, step < 1e7 && step > 1e-7 ? "%.*f" : "%.*g", decimals, k == 0 ? 0 : k * step);
}

/* x_step is the distance of the ticks on the horizontal axis. */
static void draw_axes(const Plot *p, double x_step) {
    char text[40];
    double step = tick_step(p->y);
    for (double k = ceil(p->y.low / step); k * step <= p->y.high; k++) {
        int y = (int)lrint(place(p, 0, k * step).y);
        canvas_rectangle(p->canvas, LEFT, y, RIGHT - LEFT, 1, RULE);
        tick_text(k, step, text);
        font_draw(p->font, TEXT, p->canvas, text, LEFT - 10 - font_width(p->font, TEXT, text), y - TEXT / 2,
                  INK);
    }
    for (double k = ceil(p->x.low / x_step); k * x_step <= p->x.high; k++) {
        int x = (int)lrint(place(p, k * x_step, p->y.low).x);
        canvas_rectangle(p->canvas, x, BOTTOM, 1, 6, INK);
        tick_text(k, x_step, text);
        int width = font_width(p->font, TEXT, text), left = x - width / 2;
        font_draw(p->font, TEXT, p->canvas, text, left + width < WIDTH ? left : WIDTH - width, BOTTOM + 12,
                  INK);
    }
    canvas_rectangle(p->canvas, LEFT, BOTTOM, RIGHT - LEFT, 1, INK);
    font_draw(p->font, TEXT, p->canvas, p->x_title,
              (LEFT + RIGHT - font_width(p->font, TEXT, p->x_title)) / 2, BOTTOM + 38, INK);
}

static bool draw_legend(const Plot *p, PlotPoints grid, Messages *errors) {
    Point dot = { LEFT + 8, 32 }, grid_dot = { LEFT + 426, 32 };
    Point line[] = { { LEFT + 230, 32 }, { LEFT + 262, 32 } };
    Point grid_line[] = { { LEFT + 410, 32 }, { LEFT + 442, 32 } };
    canvas_dots(p->canvas, &dot, 1, 4, DOTS, 1);
    font_draw(p->font, TEXT, p->canvas, "loss of a batch", LEFT + 20, 22, INK);
    bool ok = canvas_polyline(p->canvas, line, 2, 3, LINE, 1, errors);
    font_draw(p->font, TEXT, p->canvas, "smoothed", LEFT + 272, 22, INK);
    if (grid.count == 0 || !ok) return ok;
    ok = canvas_polyline(p->canvas, grid_line, 2, 2, GRID, 1, errors);
    canvas_dots(p->canvas, &grid_dot, 1, 5, GRID, 1);
    char text[80];
    snprintf(text, sizeof text, "fixed-grid loss: %.4g to %.4g", grid.loss[0], grid.loss[grid.count - 1]);
    if (grid.count == 1) snprintf(text, sizeof text, "fixed-grid loss: %.4g", grid.loss[0]);
    font_draw(p->font, TEXT, p->canvas, text, LEFT + 452, 22, GRID);
    return ok;
}

static bool draw_training(const Plot *p, const double *loss, const double *smoothed, int64_t count,
                          int64_t steps, Messages *errors) {
    Point *points = malloc((size_t)count * sizeof *points);
    if (!points) return messages_add(errors, "no memory to plot %lld losses", (long long)count);
    double scale = (double)steps / (double)count;
    for (int64_t i = 0; i < count; i++) points[i] = place(p, (double)(i + 1) * scale, loss[i]);
    /* The more dots there are, the smaller and fainter they are, so that their density can still be seen. */
    double sparsity = fmin(1, 400.0 / (double)count);
    canvas_dots(p->canvas, points, count, 1.2 + 1.3 * sparsity, DOTS, 0.15 + 0.5 * sparsity);
    /* Each point of the line is the mean of `run` smoothed losses. */
    int64_t run = ceil_div(count, LINE_POINTS), n = 0;
    for (int64_t i = 0; i < count; i += run) {
        int64_t end = min_i64(i + run, count);
        double sum = 0;
        for (int64_t j = i; j < end; j++) sum += smoothed[j];
        points[n++] = place(p, ((double)(i + end) / 2 + 0.5) * scale, sum / (double)(end - i));
    }
    bool ok = canvas_polyline(p->canvas, points, n, 2.6, LINE, 1, errors);
    free(points);
    return ok;
}

static bool draw_grid_losses(const Plot *p, PlotPoints grid, Messages *errors) {
    Point *points = mem_alloc((size_t)grid.count * sizeof *points);
    for (int64_t i = 0; i < grid.count; i++) points[i] = place(p, grid.step[i], grid.loss[i]);
    bool ok = canvas_polyline(p->canvas, points, grid.count, 2, GRID, 1, errors);
    canvas_dots(p->canvas, points, grid.count, 5, GRID, 1);
    free(points);
    return ok;
}

bool plot_draw(const double *loss, const double *smoothed, int64_t count, int64_t steps, PlotPoints grid,
               Image *out, Messages *errors) {
    *out = (Image) { 0 };
    Font *font = font_new(errors);
    if (!font || !canvas_new(WIDTH, HEIGHT, out, errors)) {
        font_free(font);
        return false;
    }
    Plot p = {
        out, font, { 0, (double)max_i64(steps, 1) }, losses_range(loss, smoothed, count, grid), "step"
    };
    for (int64_t i = 0; i < grid.count; i++) include(&p.x, grid.step[i]);
    draw_axes(&p, fmax(tick_step(p.x), 1));
    bool ok = draw_legend(&p, grid, errors) &&
              (count == 0 || draw_training(&p, loss, smoothed, count, steps, errors)) &&
              (grid.count == 0 || draw_grid_losses(&p, grid, errors));
    font_free(font);
    if (!ok) image_free(out);
    return ok;
}

bool plot_losses(const char *path, const double *loss, const double *smoothed, int64_t count, int64_t steps,
                 PlotPoints grid, Messages *errors) {
    Image image;
    if (!plot_draw(loss, smoothed, count, steps, grid, &image, errors)) return false;
    bool ok = image_write_png(path, &image, errors);
    image_free(&image);
    return ok;
}

/* The part of the canvas that a name takes. */
typedef struct {
    int x, y, width;
} Label;

static bool overlap(Label a, Label b) {
    return a.x < b.x + b.width && b.x < a.x + a.width && abs(a.y - b.y) < TEXT;
}

/* Whether the label lies on the canvas, above the axis, and covers neither a point nor one of the labels
   that are placed already. */
static bool is_free(Label l, const Point *at, int64_t points, const Label *labels, int64_t placed) {
    if (l.x < LEFT || l.x + l.width > WIDTH || l.y < TOP - TEXT || l.y + TEXT > BOTTOM) return false;
    for (int64_t i = 0; i < points; i++)
        if (at[i].x > l.x - 6 && at[i].x < l.x + l.width + 6 && at[i].y > l.y - 2 && at[i].y < l.y + TEXT + 2)
            return false;
    for (int64_t i = 0; i < placed; i++)
        if (overlap(l, labels[i])) return false;
    return true;
}

/* Returns a place for the name of point i in one of the four corners between its bars, at the first of ever
   larger distances that has room, or in the upper right corner where none has. */
static Label label_place(const Plot *p, const NamedPoint *point, const Point *at, int64_t points, int64_t i,
                         const Label *labels) {
    enum { BESIDE = 8, ABOVE = TEXT + 3, BELOW = 4 };
    int width = font_width(p->font, TEXT, point->name), x = (int)lrint(at[i].x), y = (int)lrint(at[i].y);
    for (int away = 0; away < 4 * TEXT; away += TEXT / 2)
        for (int corner = 0; corner < 4; corner++) {
            bool left = corner % 2, below = corner / 2;
            Label l = { left ? x - BESIDE - width : x + BESIDE, below ? y + BELOW + away : y - ABOVE - away,
                        width };
            if (is_free(l, at, points, labels, i)) return l;
        }
    return (Label) { x + BESIDE, y - ABOVE, width };
}

/* Draws the bars of a point's errors. */
static bool draw_bars(const Plot *p, const NamedPoint *n, Color color, Messages *errors) {
    const Point bars[4] = { place(p, n->x - n->x_error, n->y), place(p, n->x + n->x_error, n->y),
                            place(p, n->x, n->y - n->y_error), place(p, n->x, n->y + n->y_error) };
    return canvas_polyline(p->canvas, bars, 2, 1.4, color, 0.6, errors) &&
           canvas_polyline(p->canvas, bars + 2, 2, 1.4, color, 0.6, errors);
}

/* Returns the range of the points' values in one direction, with the bars of their errors and a margin. */
static Range points_range(const NamedPoint *points, int64_t count, bool vertical) {
    Range r = { INFINITY, -INFINITY };
    for (int64_t i = 0; i < count; i++) {
        double x = vertical ? points[i].y : points[i].x,
               error = vertical ? points[i].y_error : points[i].x_error;
        include(&r, x);
        include(&r, x - error);
        include(&r, x + error);
    }
    if (r.low > r.high) r = (Range) { 0, 1 };
    double margin = fmax(0.08 * (r.high - r.low), 0.01);
    return (Range) { r.low - margin, r.high + margin };
}

static bool draw_points(const Plot *p, const NamedPoint *points, int64_t count, Messages *errors) {
    Point *at = mem_alloc((size_t)count * sizeof *at);
    Label *labels = mem_alloc((size_t)count * sizeof *labels);
    bool ok = true;
    for (int64_t i = 0; i < count; i++) at[i] = place(p, points[i].x, points[i].y);
    for (int64_t i = 1; ok && i < count; i++)
        if (points[i].joined) ok = canvas_polyline(p->canvas, at + i - 1, 2, 2, RULE, 1, errors);
    for (int64_t i = 0; ok && i < count; i++) {
        if (!drawable(at[i].x)) continue;
        Color color = points[i].reference ? GRID : LINE;
        ok = draw_bars(p, &points[i], color, errors);
        canvas_dots(p->canvas, &at[i], 1, 5, color, 1);
        labels[i] = label_place(p, &points[i], at, count, i, labels);
        font_draw(p->font, TEXT, p->canvas, points[i].name, labels[i].x, labels[i].y, color);
    }
    free(at);
    free(labels);
    return ok;
}

bool plot_points(const NamedPoint *points, int64_t count, const char *x_title, const char *y_title,
                 Image *out, Messages *errors) {
    *out = (Image) { 0 };
    Font *font = font_new(errors);
    if (!font || !canvas_new(WIDTH, HEIGHT, out, errors)) {
        font_free(font);
        return false;
    }
    Plot p = { out, font, points_range(points, count, false), points_range(points, count, true), x_title };
    draw_axes(&p, tick_step(p.x));
    font_draw(font, TEXT, out, y_title, 24, 22, INK);
    bool ok = draw_points(&p, points, count, errors);
    font_free(font);
    if (!ok) image_free(out);
    return ok;
}
