#include "io/sheet.h"

#include "io/canvas.h"
#include "io/image_write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHEET_WIDTH = 1100, MARGIN = 24, GAP = 8, MAX_ENLARGEMENT = 6, TITLE_SCALE = 3, CAPTION_SCALE = 2 };

static const Color BLACK = { 24, 24, 28 }, GREY = { 90, 90, 100 };

/* Everything is placed by one function that runs twice: without a canvas for the height, then to draw. */
typedef struct {
    Image *canvas; /* NULL: only measure */
    int width, y;  /* the sheet's width; where the next thing goes */
    int columns, cell_width, cell_height;
} Sheet;

static int line_height(int scale) { return TEXT_HEIGHT * scale + scale; }

/* Text from the left margin on, broken before the word that would not fit; a word that is too long is
   cut off. */
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
        if (s->canvas) canvas_text(s->canvas, start, MARGIN, s->y, scale, color);
        s->y += line_height(scale);
        start = rest;
    }
    free(line);
}

/* Pictures fill their cells as far as their own proportions let them. */
static bool place_pictures(Sheet *s, const SheetRow *row, Messages *errors) {
    int64_t lines = ceil_div(row->count, s->columns);
    for (int64_t i = 0; s->canvas && i < row->count; i++) {
        const Image *p = &row->pictures[i];
        int x = MARGIN + (int)(i % s->columns) * (s->cell_width + GAP);
        int y = s->y + (int)(i / s->columns) * (s->cell_height + GAP);
        double fit = fmin((double)s->cell_width / p->width, (double)s->cell_height / p->height);
        int width = (int)fmax(1, p->width * fit + 0.5), height = (int)fmax(1, p->height * fit + 0.5);
        Image enlarged;
        if (!image_resize(p, width, height, &enlarged, errors)) return false;
        canvas_picture(s->canvas, &enlarged, x, y);
        image_free(&enlarged);
    }
    s->y += (int)lines * (s->cell_height + GAP);
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

static bool draw_columns(const char *title, const SheetRow *rows, int64_t count, int64_t columns, Image *out,
                         Messages *errors) {
    *out = (Image) { 0 };
    int width = 1, height = 1;
    int64_t lines = 0;
    for (int64_t i = 0; i < count; i++) {
        lines += ceil_div(rows[i].count, columns);
        for (int64_t j = 0; j < rows[i].count; j++) {
            const Image *p = &rows[i].pictures[j];
            width = p->width > width ? p->width : width;
            height = p->height > height ? p->height : height;
        }
    }
    int64_t scale = (SHEET_WIDTH - 2 * MARGIN - (columns - 1) * GAP) / (columns * width);
    scale = max_i64(1, min_i64(scale, MAX_ENLARGEMENT));
    int64_t sheet_width = max_i64(2 * MARGIN + columns * (width * scale + GAP) - GAP, SHEET_WIDTH / 2);
    if (sheet_width * lines * (height * scale + GAP) > IMAGE_MAX_PIXELS)
        return messages_add(errors, "a contact sheet of %lld lines of %lld pictures would be too large",
                            (long long)lines, (long long)columns);
    Sheet s = { NULL, (int)sheet_width, 0, (int)columns, width * (int)scale, height * (int)scale };
    place_all(&s, title, rows, count, errors);
    if (!canvas_new(s.width, s.y, out, errors)) return false;
    s.canvas = out;
    if (place_all(&s, title, rows, count, errors)) return true;
    image_free(out);
    return false;
}

bool sheet_draw(const char *title, const SheetRow *rows, int64_t count, Image *out, Messages *errors) {
    int64_t columns = 1;
    for (int64_t i = 0; i < count; i++) columns = max_i64(columns, rows[i].count);
    return draw_columns(title, rows, count, min_i64(columns, 8), out, errors);
}

static bool write_and_free(const char *path, Image *sheet, Messages *errors) {
    bool ok = image_write(path, sheet, errors);
    image_free(sheet);
    return ok;
}

bool sheet_write(const char *path, const char *title, const SheetRow *rows, int64_t count, Messages *errors) {
    Image sheet;
    return sheet_draw(title, rows, count, &sheet, errors) && write_and_free(path, &sheet, errors);
}

bool sheet_write_grid(const char *path, const char *caption, const Image *pictures, int64_t count,
                      Messages *errors) {
    int64_t columns = 1;
    while (columns * columns < count) columns++;
    SheetRow row = { caption, pictures, count };
    Image sheet;
    return draw_columns(NULL, &row, 1, columns, &sheet, errors) && write_and_free(path, &sheet, errors);
}
