/* SPDX-License-Identifier: MIT */
/* Contact sheets: rows of pictures with captions on white, written as one PNG or JPEG (image_write). */
#ifndef TI_SHEET_H
#define TI_SHEET_H

#include "io/image.h"
#include "io/picture_text.h"

/* A caption and the pictures under it. Pictures that do not fit on one line continue on further lines. */
typedef struct {
    const char *caption; /* UTF-8, wrapped between words when it is too long; NULL when there is none */
    const Image *pictures;
    int64_t count;
} SheetRow;

/* The least width that has room for eight pictures in a line. */
enum { SHEET_WIDTH_MIN = 200 };

typedef struct {
    const char *title; /* NULL when there is none */
    const SheetRow *rows;
    int64_t count; /* of the rows */
    int64_t width; /* of the sheet in pixels; 0 for the width that the pictures need, see below */
    bool grid;     /* lays the pictures of the only row out in a grid that is about square */
} SheetContents;

/* Draw or write a sheet. All pictures have cells of the same size, and each picture fills its cell as far as
   its proportions allow. With a width of 0 a cell is as wide and high as the largest picture, enlarged by a
   whole factor of at most 6 while the sheet stays within a width of 1100 pixels. Return false and add a
   message when there is no memory, when the pictures are too many for the file that path names (image_fits),
   or when a file cannot be read or written. The caller frees *out with image_free. text is passed to
   image_write. */
bool sheet_draw(const char *path, const SheetContents *c, Image *out, Messages *errors);
bool sheet_write(const char *path, const SheetContents *c, const PictureText *text, Messages *errors);

/* Checks before long work that the pictures fit on such a sheet. Their sizes must be set, but they need no
   pixels yet. Returns false and adds a message when they do not fit. */
bool sheet_fits(const char *path, const SheetContents *c, Messages *errors);

#endif
