/* Contact sheets: rows of pictures with captions on white, written as one PNG or JPEG (image_write). */
#ifndef TI_SHEET_H
#define TI_SHEET_H

#include "io/image.h"

/* A caption and the pictures under it. Pictures that do not fit on one line continue on further lines. */
typedef struct {
    const char *caption; /* UTF-8, wrapped between words where it is too long; NULL for none */
    const Image *pictures;
    int64_t count;
} SheetRow;

/* Draw or write a sheet. title may be NULL. Small pictures are enlarged by a whole factor, so that the sheet
   is about 1000 pixels wide. Return false and add a message when there is no memory, when the pictures are
   too many for the file that path names (image_fits), or when it cannot be written. The caller frees *out
   with image_free. */
bool sheet_draw(const char *path, const char *title, const SheetRow *rows, int64_t count, Image *out,
                Messages *errors);
bool sheet_write(const char *path, const char *title, const SheetRow *rows, int64_t count, Messages *errors);

/* Writes one caption and its pictures in a grid that is about square. Errors are the same. */
bool sheet_write_grid(const char *path, const SheetRow *row, Messages *errors);

/* Whether the pictures fit on such a sheet, asked before long work: their sizes are set, but they need no
   pixels yet. Return false and add a message when they do not. */
bool sheet_fits(const char *path, const char *title, const SheetRow *rows, int64_t count, Messages *errors);
bool sheet_grid_fits(const char *path, const SheetRow *row, Messages *errors);

#endif
