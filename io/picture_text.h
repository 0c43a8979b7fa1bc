/* SPDX-License-Identifier: MIT */
/* Texts in pictures that say how they were made. A PNG has them as text chunks "parameters" (as A1111 writes
   it) and "ti". A JPEG has the first as Exif's UserComment, as A1111 does, and the second as a comment (COM)
   that begins with "ti ". */
#ifndef TI_PICTURE_TEXT_H
#define TI_PICTURE_TEXT_H

#include "io/text.h"

typedef struct {
    char *parameters; /* UTF-8, as A1111 writes it: the prompt, and in the last line the settings; or NULL */
    char *ti;         /* UTF-8, JSON with a command of this program; or NULL */
    char *others;     /* after reading a PNG: the keys of its other texts, as "prompt, workflow"; or NULL */
} PictureText;
void picture_text_free(PictureText *t);

/* Returns the bytes of the PNG or JPEG with these texts before its pixels; the rest stays as it is. The
   caller frees the result's `at`. */
Text picture_with_text(const void *bytes, size_t size, const PictureText *t);
/* Returns whether both texts fit into a JPEG, whose segments have at most 65,533 bytes. picture_with_text
   leaves out one that does not. */
bool picture_text_fits_jpeg(const PictureText *t);

/* Reads the texts of a PNG or JPEG; those that are not there become NULL. Of several with one key the last
   counts, as in Pillow. A text that is damaged or longer than PNG_TEXT_MAX is ignored with a warning; path is
   used for it. The caller frees *t. */
void picture_text_read(const char *path, const void *bytes, size_t size, PictureText *t, Messages *warnings);

/* Returns a copy that is safe to print: of the control characters, line ends are kept, and the others become
   \u001b and the like. The caller frees it. */
char *picture_text_printable(const char *text);

#endif
