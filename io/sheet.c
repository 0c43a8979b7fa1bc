#include "io/sheet.h"

#include "io/canvas.h"
#include "io/image_write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHEET_WIDTH = 1100, MARGIN = 24, GAP = 8, MAX_ENLARGEMENT = 6, TITLE_SCALE = 3, CAPTION_SCALE = 2 };

static const Color BLACK = { 24, 24, 28 }, GREY = { 90, 90, 100 };

/* place_all runs twice: first without a canvas to measure the height, which may be more than a picture can
   have, then to draw. */
typedef struct {
    Image *canvas;    /* NULL when only measuring */
    int64_t width, y; /* the sheet's width, and where the next text or picture is placed */
    int64_t columns, cell_width, cell_height;
} Sheet;

static int line_height(int scale) { return TEXT_HEIGHT * scale + scale; }

/* Places a text at the left margin, with a line break before each word that does not fit. A word that is too
   long for a line is cut off. */
static void place_text(Sheet *s, const char *text, int scale, Color color) {
    char *line = mem_string(text);
    for (char *start = line; *start;) {
        char *end = start + strcspn(start, " "); /* at least one word */
        for (char *next = end; *next;) {
            next += strspn(next, " ");
            next += strcspn(next, " ");
            char kept = *next;
            *next = 0;
            bool fits = canvas_text_width(start, scale) <= s->width - 2 * MARGIN;
            *next = kept;
            if (!fits) break;
            end = next;
        }
        char *rest = end + strspn(end, " ");
        *end = 0;
        if (s->canvas) canvas_text(s->canvas, start, MARGIN, (int)s->y, scale, color);
        s->y += line_height(scale);
        start = rest;
    }
    free(line);
}

/* Enlarges each picture as far as its proportions allow within its cell. */
static bool place_pictures(Sheet *s, const SheetRow *row, Messages *errors) {
    int64_t lines = ceil_div(row->count, s->columns);
    for (int64_t i = 0; s->canvas && i < row->count; i++) {
        const Image *p = &row->pictures[i];
        int64_t x = MARGIN + i % s->columns * (s->cell_width + GAP);
        int64_t y = s->y + i / s->columns * (s->cell_height + GAP);
        double fit = fmin((double)s->cell_width / p->width, (double)s->cell_height / p->height);
        int width = (int)fmax(1, p->width * fit + 0.5), height = (int)fmax(1, p->height * fit + 0.5);
        Image enlarged;
        if (!image_resize(p, width, height, &enlarged, errors)) return false;
        canvas_picture(s->canvas, &enlarged, (int)x, (int)y);
        image_free(&enlarged);
    }
    s->y += lines * (s->cell_height + GAP);
    return true;
}

static bool place_all(Sheet *s, const char *title, const SheetRow *rows, int64_t count, Messages *errors) {
    s->y = MARGIN;
    if (title) {
        place_text(s, title, TITLE_SCALE, BLACK);
        s->y += GAP;
    }
    for (int64_t i = 0; i < count; i++) {
        if (rows[i].caption) place_text(s, rows[i].caption, CAPTION_SCALE, i || title ? GREY : BLACK);
        if (!place_pictures(s, &rows[i], errors)) return false;
        s->y += i + 1 < count ? MARGIN / 2 : MARGIN - GAP;
    }
    return true;
}

/* Sets the sheet's width, its cells, and its height in y. Returns false and adds a message when no picture
   can be that large. */
static bool measure(const char *path, const char *title, const SheetRow *rows, int64_t count, int64_t columns,
                    Sheet *s, Messages *errors) {
    int64_t width = 1, height = 1;
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < rows[i].count; j++) {
            width = max_i64(width, rows[i].pictures[j].width);
            height = max_i64(height, rows[i].pictures[j].height);
        }
    int64_t scale = (SHEET_WIDTH - 2 * MARGIN - (columns - 1) * GAP) / (columns * width);
    scale = max_i64(1, min_i64(scale, MAX_ENLARGEMENT));
    *s = (Sheet) { .columns = columns, .cell_width = width * scale, .cell_height = height * scale };
    s->width = max_i64(2 * MARGIN + columns * (s->cell_width + GAP) - GAP, SHEET_WIDTH / 2);
    place_all(s, title, rows, count, errors);
    return image_fits(path, s->width, s->y, errors);
}

static bool draw(const char *path, const char *title, const SheetRow *rows, int64_t count, int64_t columns,
                 Image *out, Messages *errors) {
    *out = (Image) { 0 };
    Sheet s;
    if (!measure(path, title, rows, count, columns, &s, errors) ||
        !canvas_new((int)s.width, (int)s.y, out, errors))
        return false;
    s.canvas = out;
    if (place_all(&s, title, rows, count, errors)) return true;
    image_free(out);
    return false;
}

static bool draw_and_write(const char *path, const char *title, const SheetRow *rows, int64_t count,
                           int64_t columns, Messages *errors) {
    Image sheet;
    bool ok = draw(path, title, rows, count, columns, &sheet, errors) && image_write(path, &sheet, errors);
    image_free(&sheet);
    return ok;
}

static int64_t columns_of(const SheetRow *rows, int64_t count) {
    int64_t columns = 1;
    for (int64_t i = 0; i < count; i++) columns = max_i64(columns, rows[i].count);
    return min_i64(columns, 8);
}

bool sheet_fits(const char *path, const char *title, const SheetRow *rows, int64_t count, Messages *errors) {
    Sheet s;
    return measure(path, title, rows, count, columns_of(rows, count), &s, errors);
}

bool sheet_draw(const char *path, const char *title, const SheetRow *rows, int64_t count, Image *out,
                Messages *errors) {
    return draw(path, title, rows, count, columns_of(rows, count), out, errors);
}

bool sheet_write(const char *path, const char *title, const SheetRow *rows, int64_t count, Messages *errors) {
    return draw_and_write(path, title, rows, count, columns_of(rows, count), errors);
}

static int64_t grid_columns(int64_t count) {
    int64_t columns = 1;
    while (columns * columns < count) columns++;
    return columns;
}

bool sheet_grid_fits(const char *path, const SheetRow *row, Messages *errors) {
    Sheet s;
    return measure(path, NULL, row, 1, grid_columns(row->count), &s, errors);
}

bool sheet_write_grid(const char *path, const SheetRow *row, Messages *errors) {
    return draw_and_write(path, NULL, row, 1, grid_columns(row->count), errors);
}
