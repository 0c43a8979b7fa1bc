/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "io/font.h"

#include "io/file.h"
#include "io/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stb/stb_easy_font.h>
#include <stb/stb_truetype.h>

static const char FONT_PATH[] = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";

struct Font {
    bool smooth; /* whether the fields below are used, else stb_easy_font */
    File file;
    stbtt_fontinfo info; /* points into the file */
    int ascent, descent; /* in the font's units, from the baseline up; descent is negative */
};

Font *font_new(Messages *errors) {
    Font *f = mem_alloc(sizeof *f);
    if (access(FONT_PATH, F_OK) != 0) return f;
    if (!file_read(FONT_PATH, &f->file, errors)) {
        free(f);
        return NULL;
    }
    f->smooth = stbtt_InitFont(&f->info, f->file.data, 0) != 0;
    if (f->smooth) stbtt_GetFontVMetrics(&f->info, &f->ascent, &f->descent, NULL);
    return f;
}

void font_free(Font *f) {
    if (!f) return;
    file_close(&f->file);
    free(f);
}

/* ---- DejaVu Sans ---- */

/* Takes the next character of a text, '?' for bytes that are not UTF-8 and for what the font lacks. */
static int next_character(const Font *f, const char **text) {
    int32_t c;
    int length = utf8_next(*text, strnlen(*text, 4), &c);
    *text += length > 0 ? length : 1;
    return length > 0 && stbtt_FindGlyphIndex(&f->info, c) != 0 ? c : '?';
}

/* Returns how far the next character's origin is from this one's, in the font's units. */
static int advance(const Font *f, int c, int next) {
    int width, bearing;
    stbtt_GetCodepointHMetrics(&f->info, c, &width, &bearing);
    int kerning = next ? stbtt_GetCodepointKernAdvance(&f->info, c, next) : 0;
    return width + kerning;
}

/* Blends the color into the canvas where a glyph covers its pixels. */
static void blend_glyph(Image *canvas, const unsigned char *coverage, int width, int height, int x, int y,
                        Color color) {
    const unsigned char rgb[3] = { color.r, color.g, color.b };
    for (int v = 0; v < height; v++)
        for (int u = 0; u < width; u++) {
            int column = x + u, row = y + v;
            if (column < 0 || row < 0 || column >= canvas->width || row >= canvas->height) continue;
            unsigned char *p = canvas->rgb + ((int64_t)row * canvas->width + column) * 3;
            int alpha = coverage[v * width + u];
            for (int i = 0; i < 3; i++)
                p[i] = (unsigned char)((p[i] * (255 - alpha) + rgb[i] * alpha + 127) / 255);
        }
}

/* Draws the text when canvas is not NULL. Returns its width in pixels. */
static float smooth_text(const Font *f, int line_height, Image *canvas, const char *text, int x, int y,
                         Color color) {
    float scale =
        (float)line_height / (float)(f->ascent - f->descent); /* pixels for each of the font's units */
    int baseline = (int)lrintf((float)f->ascent * scale);
    float at = 0; /* the origin of the character, in pixels from x */
    int c = *text ? next_character(f, &text) : 0;
    while (c && (!canvas || at < (float)canvas->width)) {
        int next = *text ? next_character(f, &text) : 0;
        if (canvas) {
            float whole = floorf(at);
            int width, height, left, top;
            unsigned char *coverage = stbtt_GetCodepointBitmapSubpixel(&f->info, scale, scale, at - whole, 0,
                                                                       c, &width, &height, &left, &top);
            if (coverage)
                blend_glyph(canvas, coverage, width, height, x + (int)whole + left, y + baseline + top,
                            color);
            stbtt_FreeBitmap(coverage, NULL);
        }
        at += (float)advance(f, c, next) * scale;
        c = next;
    }
    return at;
}

/* ---- stb_easy_font ---- */

/* The height of a line of stb_easy_font in its own pixels. */
enum { EASY_HEIGHT = 12 };

static int easy_scale(int height) { return height < 2 * EASY_HEIGHT ? 1 : height / EASY_HEIGHT; }

/* Returns a copy in which each character outside printable ASCII is replaced by '?', since stb_easy_font
   indexes its tables without a check. The caller frees it. */
static char *printable(const char *text) {
    char *copy = mem_alloc(strlen(text) + 1), *to = copy;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if ((*c & 0xc0) == 0x80) continue; /* a continuation byte of UTF-8 */
        *to++ = ' ' <= *c && *c <= '~' ? (char)*c : '?';
    }
    return copy;
}

static int easy_width(int height, const char *text) {
    char *line = printable(text);
    int width = stb_easy_font_width(line) * easy_scale(height);
    free(line);
    return width;
}

static void easy_draw(int height, Image *canvas, const char *text, int x, int y, Color color) {
    typedef struct { /* a corner of a quad; its four corners follow one another around it */
        float x, y, z;
        unsigned char color[4];
    } Vertex;
    char *line = printable(text);
    size_t most = (size_t)canvas->width / 3 + 1; /* no character is narrower than 3 pixels */
    if (strlen(line) > most) line[most] = 0;
    size_t room = (strlen(line) + 1) * 32 * 4 * sizeof(Vertex); /* no character has more than 20 quads */
    CHECK(room <= INT32_MAX);
    Vertex *vertices = mem_alloc(room);
    int quads = stb_easy_font_print(0, 0, line, NULL, vertices, (int)room), scale = easy_scale(height);
    for (int i = 0; i < quads; i++) {
        const Vertex *from = &vertices[4 * i], *to = from + 2;
        canvas_rectangle(canvas, x + (int)from->x * scale, y + (int)from->y * scale,
                         (int)(to->x - from->x) * scale, (int)(to->y - from->y) * scale, color);
    }
    free(vertices);
    free(line);
}

void font_draw(const Font *f, int height, Image *canvas, const char *text, int x, int y, Color color) {
    if (f->smooth)
        smooth_text(f, height, canvas, text, x, y, color);
    else
        easy_draw(height, canvas, text, x, y, color);
}

int font_width(const Font *f, int height, const char *text) {
    if (!f->smooth) return easy_width(height, text);
    return (int)ceilf(smooth_text(f, height, NULL, text, 0, 0, (Color) { 0, 0, 0 }));
}
