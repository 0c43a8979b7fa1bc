/* SPDX-License-Identifier: MIT */
/* Recognises pictures by their first bytes, not by their names. For a format that is not read, the message
   contains the command that converts the picture to PNG. */
#ifndef TI_IMAGE_KIND_H
#define TI_IMAGE_KIND_H

#include "io/base.h"

/* IMAGE_READ is a PNG, JPEG or BMP. IMAGE_FOREIGN is a picture of a format that is not read: GIF, WebP, HEIC,
   AVIF, TIFF, JPEG XL or JPEG 2000. IMAGE_NONE is anything else. */
typedef enum { IMAGE_NONE, IMAGE_READ, IMAGE_FOREIGN } ImageKind;
ImageKind image_kind(const unsigned char *data, size_t size);

/* Returns the kind of the file at path, or IMAGE_NONE when it cannot be read. A camera's raw files are
   IMAGE_NONE as well: they begin as TIFF files do, and usually lie beside a JPEG of the same picture. */
ImageKind image_kind_of_file(const char *path);

/* Returns whether the name has the extension of a format that is read: .png, .jpg, .jpeg, .jpe, .jfif or
   .bmp, in upper or lower case. */
bool image_has_known_extension(const char *path);

/* If data begins as a picture of a foreign format does, adds a message that names the format and the command
   that converts it to PNG, and returns true. */
bool image_refuse_foreign(const unsigned char *data, size_t size, const char *name, Messages *errors);

/* Adds such a message for another picture that ImageMagick can convert; what is for example "is a WebP, which
   is not read". Always returns false. */
bool image_refuse_convertible(const char *name, const char *what, Messages *errors);

#endif
