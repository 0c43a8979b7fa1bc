/* What a file is, by its first bytes, whatever its name; and for the kinds that are not read, how to make
   a PNG of it. */
#ifndef TI_IMAGE_KIND_H
#define TI_IMAGE_KIND_H

#include "io/base.h"

/* IMAGE_FOREIGN: a picture, but none that is read: GIF, WebP, HEIC, AVIF, TIFF, JPEG XL, JPEG 2000. */
typedef enum { IMAGE_NONE, IMAGE_READ, IMAGE_FOREIGN } ImageKind;
ImageKind image_kind(const unsigned char *data, size_t size);

/* The same of a file; IMAGE_NONE where there is none that can be read, and for a camera's raw files: they
   begin as TIFF files do, and lie beside the JPEG of the same picture. */
ImageKind image_kind_of_file(const char *path);

/* Whether a file is named as a picture that is read: .png, .jpg, .jpeg, .jpe, .jfif or .bmp in any case. */
bool image_is_named(const char *path);

/* True, with a line, where data is of a foreign kind: what it is, and the command that makes a PNG of it. */
bool image_is_foreign(const unsigned char *data, size_t size, const char *name, Messages *errors);

/* The same line for a kind that only another program reads; false. what: "is a WebP, which is not read". */
bool image_convert_it(const char *name, const char *what, Messages *errors);

#endif
