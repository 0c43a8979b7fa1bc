/* Drawing on a picture: what contact sheets and the loss curve are made of. Coordinates are pixels from the
   top left corner; what lies outside is cut off. */
#ifndef TI_CANVAS_H
#define TI_CANVAS_H

#include "io/image.h"

typedef struct {
    unsigned char r, g, b;
} Color;

/* A white picture. */
bool canvas_new(int width, int height, Image *out, Messages *errors);

void canvas_rectangle(Image *canvas, int x, int y, int width, int height, Color color);

/* picture with its top left corner at (x, y) */
void canvas_picture(Image *canvas, const Image *picture, int x, int y);

/* Text in stb_easy_font, its top left corner at (x, y), each of the font's pixels scale x scale pixels. A
   line is TEXT_HEIGHT * scale high. The font knows printable ASCII; any other code point of the UTF-8 text is
   drawn as '?'. */
enum { TEXT_HEIGHT = 12 };
void canvas_text(Image *canvas, const char *text, int x, int y, int scale, Color color);
int canvas_text_width(const char *text, int scale);

/* An antialiased line through n points, joined without seams, and filled circles around n points. Points that
   are not finite, and for the line the stretches next to them, are left out. opacity 0..1; overlapping
   circles add up. */
typedef struct {
    double x, y;
} Point;
bool canvas_polyline(Image *canvas, const Point *points, int64_t n, double width, Color color, double opacity,
                     Messages *errors);
void canvas_dots(Image *canvas, const Point *points, int64_t n, double radius, Color color, double opacity);

#endif
