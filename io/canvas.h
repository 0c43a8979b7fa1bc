/* Drawing on a picture, which contact sheets and the loss curve are made with. Coordinates are in pixels from
   the top left corner. Whatever lies outside the picture is clipped. */
#ifndef TI_CANVAS_H
#define TI_CANVAS_H

#include "io/image.h"

typedef struct {
    unsigned char r, g, b;
} Color;

/* Makes a white picture, which the caller frees with image_free. Returns false and adds a message when there
   is no memory. */
bool canvas_new(int width, int height, Image *out, Messages *errors);

/* Fills a rectangle, its top left corner at (x, y). */
void canvas_rectangle(Image *canvas, int x, int y, int width, int height, Color color);

/* Copies a picture onto the canvas, its top left corner at (x, y). */
void canvas_picture(Image *canvas, const Image *picture, int x, int y);

/* Draws a line of text in stb_easy_font, its top left corner at (x, y), with scale x scale pixels for each of
   the font's pixels. The line is TEXT_HEIGHT * scale pixels high. The font knows printable ASCII; any other
   code point of the UTF-8 text is drawn as '?'. */
enum { TEXT_HEIGHT = 12 };
void canvas_text(Image *canvas, const char *text, int x, int y, int scale, Color color);
/* Returns the width of such a line in pixels. */
int canvas_text_width(const char *text, int scale);

typedef struct {
    double x, y;
} Point;

/* Draws an antialiased line of that width through n points, joined without seams. A point that is not finite
   is left out with the segments next to it. opacity is 0..1. Returns false and adds a message when there is
   no memory. */
bool canvas_polyline(Image *canvas, const Point *points, int64_t n, double width, Color color, double opacity,
                     Messages *errors);
/* Draws antialiased filled circles around the finite ones of n points; where they overlap, the opacity
   adds up. */
void canvas_dots(Image *canvas, const Point *points, int64_t n, double radius, Color color, double opacity);

#endif
