/* SPDX-License-Identifier: MIT */
/* Writes pictures as PNG or JPEG, depending on the ending of their name. */
#ifndef TI_IMAGE_WRITE_H
#define TI_IMAGE_WRITE_H

#include "io/image.h"
#include "io/picture_text.h"

/* The format that a name stands for, in upper or lower case: PNG for .png or no ending, JPEG for .jpg and
   .jpeg, WRITE_NONE for any other ending. An ending begins at the last dot of the name, unless that is the
   first character, as in hidden files. */
typedef enum { WRITE_NONE, WRITE_PNG, WRITE_JPEG } ImageFormat;
ImageFormat image_format(const char *path);

/* Returns the path of one of several pictures: path with "-NAME" inserted before its ending, or, when name is
   NULL, the path itself. A path without an ending gets .png. The caller frees it. */
char *image_path(const char *path, const char *name);

/* Checks before long work that a picture of that size can be written under that name. Returns false and adds
   a message when it has more than IMAGE_MAX_PIXELS, or a side that is too long for a JPEG. */
bool image_fits(const char *path, int64_t width, int64_t height, Messages *errors);

/* Writes a picture in the format of its name, which must not be WRITE_NONE; a JPEG has quality 95 and no
   subsampling. text, which may be NULL, is put into the file. The file at path is replaced as a whole or not
   at all (Output in io/file.h). Returns false and adds a message when it cannot be written or is too large.
   */
bool image_write(const char *path, const Image *image, const PictureText *text, Messages *errors);

/* Does the same without a text, but always writes a PNG. */
bool image_write_png(const char *path, const Image *image, Messages *errors);

/* Makes the bytes of a PNG, which the caller frees. path is for the message that it adds, returning false,
   when the picture is too large. */
bool image_png(const char *path, const Image *image, unsigned char **png, size_t *size, Messages *errors);

#endif
