/* Contact sheets: rows of pictures with captions, on white, as one PNG or JPEG (image_write). */
#ifndef TI_SHEET_H
#define TI_SHEET_H

#include "io/image.h"

/* A caption and the pictures under it; more than a sheet is wide go on in further lines. */
typedef struct {
    const char *caption; /* UTF-8; long ones are broken between words */
    const Image *pictures;
    int64_t count;
} SheetRow;

/* title may be NULL. Small pictures are enlarged by a whole factor, so that the sheet is about 1000 pixels
   wide. Errors: no memory, too many pictures for the file that path names (image_fits), not writable: a
   line, false. */
bool sheet_draw(const char *path, const char *title, const SheetRow *rows, int64_t count, Image *out,
                Messages *errors);
bool sheet_write(const char *path, const char *title, const SheetRow *rows, int64_t count, Messages *errors);

/* One caption, the pictures in a grid that is about square. */
bool sheet_write_grid(const char *path, const SheetRow *row, Messages *errors);

/* Whether they are not too many, asked before the work: the pictures have their sizes, and no pixels yet. */
bool sheet_fits(const char *path, const char *title, const SheetRow *rows, int64_t count, Messages *errors);
bool sheet_grid_fits(const char *path, const SheetRow *row, Messages *errors);

#endif
