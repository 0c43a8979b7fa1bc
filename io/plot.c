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

static void draw_axes(const Plot *p) {
    char text[40];
    double step = tick_step(p->y);
    for (double k = ceil(p->y.low / step); k * step <= p->y.high; k++) {
        int y = (int)lrint(place(p, 0, k * step).y);
        canvas_rectangle(p->canvas, LEFT, y, RIGHT - LEFT, 1, RULE);
        tick_text(k, step, text);
        font_draw(p->font, TEXT, p->canvas, text, LEFT - 10 - font_width(p->font, TEXT, text), y - TEXT / 2,
                  INK);
    }
    step = fmax(tick_step(p->x), 1);
    for (double k = 0; k * step <= p->x.high; k++) {
        int x = (int)lrint(place(p, k * step, p->y.low).x);
        canvas_rectangle(p->canvas, x, BOTTOM, 1, 6, INK);
        tick_text(k, step, text);
        int width = font_width(p->font, TEXT, text), left = x - width / 2;
        font_draw(p->font, TEXT, p->canvas, text, left + width < WIDTH ? left : WIDTH - width, BOTTOM + 12,
                  INK);
    }
    canvas_rectangle(p->canvas, LEFT, BOTTOM, RIGHT - LEFT, 1, INK);
    font_draw(p->font, TEXT, p->canvas, "step", (LEFT + RIGHT - font_width(p->font, TEXT, "step")) / 2,
              BOTTOM + 38, INK);
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
    Plot p = { out, font, { 0, (double)max_i64(steps, 1) }, losses_range(loss, smoothed, count, grid) };
    for (int64_t i = 0; i < grid.count; i++) include(&p.x, grid.step[i]);
    draw_axes(&p);
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
