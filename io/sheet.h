/* Contact sheets: rows of pictures with captions on white, written as one PNG or JPEG (image_write). */
#ifndef TI_SHEET_H
#define TI_SHEET_H

#include "io/image.h"

/* A caption and the pictures under it. Pictures that do not fit on one line continue on further lines. */
typedef struct {
    const char *caption; /* UTF-8, wrapped between words when it is too long; NULL when there is none */
    const Image *pictures;
    int64_t count;
} SheetRow;

/* Draw or write a sheet. title may be NULL. All pictures have cells of the same size: the greatest width and
   height of a picture, enlarged by a whole factor of at most 6 while the sheet stays within a width of 1100
   pixels. Each picture is enlarged to fill its cell. Return false and add a message when there is no memory,
   when the pictures are too many for the file that path names (image_fits), or when it cannot be written. The
   caller frees *out with image_free. */
bool sheet_draw(const char *path, const char *title, const SheetRow *rows, int64_t count, Image *out,
                Messages *errors);
bool sheet_write(const char *path, const char *title, const SheetRow *rows, int64_t count, Messages *errors);

/* Writes one caption and its pictures in a grid that is about square. Errors are as for sheet_write. */
bool sheet_write_grid(const char *path, const SheetRow *row, Messages *errors);

/* Check before long work that the pictures fit on such a sheet. Their sizes must be set, but they need no
   pixels yet. Return false and add a message when they do not fit. */
bool sheet_fits(const char *path, const char *title, const SheetRow *rows, int64_t count, Messages *errors);
bool sheet_grid_fits(const char *path, const SheetRow *row, Messages *errors);

#endif
