/* SPDX-License-Identifier: MIT */
/* Draws shapes and lines on a picture, for contact sheets and the loss curve. Coordinates are in pixels
   from the top left corner. Anything outside the picture is clipped. */
#ifndef TI_CANVAS_H
#define TI_CANVAS_H

#include "io/image.h"

typedef struct {
    unsigned char r, g, b;
} Color;

/* Allocates a white picture, which the caller frees with image_free. Returns false and adds a message when
   there is no memory. */
bool canvas_new(int width, int height, Image *out, Messages *errors);

/* Fills a rectangle whose top left corner is at (x, y). */
void canvas_rectangle(Image *canvas, int x, int y, int width, int height, Color color);

/* Copies a picture onto the canvas, with its top left corner at (x, y). */
void canvas_picture(Image *canvas, const Image *picture, int x, int y);

typedef struct {
    double x, y;
} Point;

/* Draws an antialiased line, width pixels wide, through n points. Its segments are joined without visible
   seams. A point that is not finite is left out, and so are the segments that begin or end there. opacity is
   0..1. Returns false and adds a message when there is no memory. */
bool canvas_polyline(Image *canvas, const Point *points, int64_t n, double width, Color color, double opacity,
                     Messages *errors);
/* Draws an antialiased filled circle around each of n points, except around those that are not finite. Where
   circles overlap, they are more opaque. */
void canvas_dots(Image *canvas, const Point *points, int64_t n, double radius, Color color, double opacity);

#endif
