/* SPDX-License-Identifier: MIT */
/* The font of contact sheets and of the loss curve: DejaVu Sans (Debian's package fonts-dejavu-core), which
   stb_truetype draws with smooth edges. Where it is not installed, stb_easy_font takes its place, which has
   only printable ASCII. */
#ifndef TI_FONT_H
#define TI_FONT_H

#include "io/canvas.h"

typedef struct Font Font;

/* Opens the font. The caller frees it with font_free. Returns NULL and adds a message when DejaVu Sans is
   installed but cannot be read. */
Font *font_new(Messages *errors);
void font_free(Font *f);

/* Draws a line of UTF-8 text, `height` pixels high, with its top left corner at (x, y). Anything outside the
   picture is clipped. A character that the font lacks is drawn as '?'. */
void font_draw(const Font *f, int height, Image *canvas, const char *text, int x, int y, Color color);

/* Returns the width of such a line in pixels. */
int font_width(const Font *f, int height, const char *text);

#endif
