/* SPDX-License-Identifier: MIT */
#include "io/sheet.h"

#include "io/font.h"
#include "io/image_write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHEET_WIDTH = 1100,
    MARGIN = 24,
    GAP = 8,
    MAX_ENLARGEMENT = 6,
    TITLE_HEIGHT = 34,
    CAPTION_HEIGHT = 22,
    LEADING = 4
};

static const Color BLACK = { 24, 24, 28 }, GREY = { 90, 90, 100 };

/* The state of place_all, which runs twice: first without a canvas, to measure the sheet's height, which may
   exceed that of any picture, and then to draw. */
typedef struct {
    Image *canvas; /* NULL when only measuring */
    Font *font;
    int64_t width, y; /* the sheet's width, and the top of the next text or picture */
    int64_t columns, cell_width, cell_height;
} Sheet;

/* Places a text at the left margin, with a line break before each word that does not fit. A word that is too
   long for a line is cut off. */
static void place_text(Sheet *s, const char *text, int height, Color color) {
    char *line = mem_string(text);
    for (char *start = line; *start;) {
        char *end = start + strcspn(start, " "); /* a line has at least one word */
        for (char *next = end; *next;) {
            next += strspn(next, " ");
            next += strcspn(next, " ");
            char kept = *next;
            *next = 0;
            bool fits = font_width(s->font, height, start) <= s->width - 2 * MARGIN;
            *next = kept;
            if (!fits) break;
            end = next;
        }
        char *rest = end + strspn(end, " ");
        *end = 0;
        if (s->canvas) font_draw(s->font, height, s->canvas, start, MARGIN, (int)s->y, color);
        s->y += height + LEADING;
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
        if (!image_resize(p, width, height, RESAMPLING_BICUBIC, &enlarged, errors)) return false;
        canvas_picture(s->canvas, &enlarged, (int)x, (int)y);
        image_free(&enlarged);
    }
    s->y += lines * (s->cell_height + GAP);
    return true;
}

static bool place_all(Sheet *s, const SheetContents *c, Messages *errors) {
    s->y = MARGIN;
    if (c->title) {
        place_text(s, c->title, TITLE_HEIGHT, BLACK);
        s->y += GAP;
    }
    for (int64_t i = 0; i < c->count; i++) {
        if (c->rows[i].caption)
            place_text(s, c->rows[i].caption, CAPTION_HEIGHT, i || c->title ? GREY : BLACK);
        if (!place_pictures(s, &c->rows[i], errors)) return false;
        s->y += i + 1 < c->count ? MARGIN / 2 : MARGIN - GAP;
    }
    return true;
}

/* The number of cells in a line: of a grid that is about square, or else of the longest row, at most 8. */
static int64_t columns_of(const SheetContents *c) {
    int64_t columns = 1;
    if (c->grid)
        while (columns * columns < c->rows[0].count) columns++;
    for (int64_t i = 0; i < c->count && !c->grid; i++) columns = max_i64(columns, c->rows[i].count);
    return c->grid ? columns : min_i64(columns, 8);
}

/* Sets the sheet's width and the size of its cells, which have the proportions of the widest and highest
   picture. */
static void measure_cells(Sheet *s, const SheetContents *c) {
    int64_t width = 1, height = 1, room = c->width ? c->width : SHEET_WIDTH;
    for (int64_t i = 0; i < c->count; i++)
        for (int64_t j = 0; j < c->rows[i].count; j++) {
            width = max_i64(width, c->rows[i].pictures[j].width);
            height = max_i64(height, c->rows[i].pictures[j].height);
        }
    room -= 2 * MARGIN + (s->columns - 1) * GAP;
    if (c->width) {
        s->width = c->width;
        s->cell_width = max_i64(1, room / s->columns);
        s->cell_height = max_i64(1, height * s->cell_width / width);
        return;
    }
    int64_t scale = max_i64(1, min_i64(room / (s->columns * width), MAX_ENLARGEMENT));
    s->cell_width = width * scale;
    s->cell_height = height * scale;
    s->width = max_i64(2 * MARGIN + s->columns * (s->cell_width + GAP) - GAP, SHEET_WIDTH / 2);
}

/* Opens the font and measures the sheet; y becomes its height. Returns false and adds a message when the font
   cannot be read, or when no picture can be that large. The caller frees the font in every case. */
static bool measure(Sheet *s, const char *path, const SheetContents *c, Messages *errors) {
    *s = (Sheet) { .columns = columns_of(c) };
    s->font = font_new(errors);
    if (!s->font) return false;
    measure_cells(s, c);
    place_all(s, c, errors);
    return image_fits(path, s->width, s->y, errors);
}

bool sheet_fits(const char *path, const SheetContents *c, Messages *errors) {
    Sheet s;
    bool ok = measure(&s, path, c, errors);
    font_free(s.font);
    return ok;
}

bool sheet_draw(const char *path, const SheetContents *c, Image *out, Messages *errors) {
    *out = (Image) { 0 };
    Sheet s;
    bool ok = measure(&s, path, c, errors) && canvas_new((int)s.width, (int)s.y, out, errors);
    s.canvas = out;
    ok = ok && place_all(&s, c, errors);
    font_free(s.font);
    if (!ok) image_free(out);
    return ok;
}

bool sheet_write(const char *path, const SheetContents *c, const PictureText *text, Messages *errors) {
    Image sheet;
    bool ok = sheet_draw(path, c, &sheet, errors) && image_write(path, &sheet, text, errors);
    image_free(&sheet);
    return ok;
}
