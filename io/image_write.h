/* Pictures as files: PNG or JPEG, by the ending of their name. */
#ifndef TI_IMAGE_WRITE_H
#define TI_IMAGE_WRITE_H

#include "io/image.h"

/* What a picture of that name would be: .png, or none, is PNG, .jpg and .jpeg are JPEG, in any case. Any
   other ending, which is what follows the last dot of the name (but the dot of a hidden file), is none
   that is written. */
typedef enum { WRITE_NONE, WRITE_PNG, WRITE_JPEG } ImageFormat;
ImageFormat image_format(const char *path);

/* The path of one of several pictures: "-NAME" comes before the ending, and .png behind a path without one.
   name NULL: the path itself, with an ending. free() it. */
char *image_path(const char *path, const char *name);

/* Whether a picture of that size can be written under that name: false, with a line, where it has more than
   IMAGE_MAX_PIXELS, or a side that a JPEG cannot have. For what is asked before the work. */
bool image_fits(const char *path, int64_t width, int64_t height, Messages *errors);

/* In the format of its name, which is not WRITE_NONE; a JPEG in quality 95, without subsampling. Written
   aside and renamed: path is replaced as a whole or not at all. False with a line where it cannot be
   written, or does not fit. */
bool image_write(const char *path, const Image *image, Messages *errors);

/* As PNG, whatever the name; else as image_write does. */
bool image_write_png(const char *path, const Image *image, Messages *errors);

#endif
