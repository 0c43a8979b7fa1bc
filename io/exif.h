/* SPDX-License-Identifier: MIT */
/* Reads the EXIF and XMP metadata of JPEG and PNG files: a picture's orientation, and its comment. The rules
   for the orientation are those of Pillow's exif_transpose, but the PNG text "Raw profile type APP1", which
   older versions of ImageMagick write, is read as well. */
#ifndef TI_EXIF_H
#define TI_EXIF_H

#include "io/png_chunks.h"

/* The orientation found in each of a file's places for metadata: 1 to 8 as EXIF numbers them (any other value
   counts as 1, upright), ORIENTATION_UNSET when the place has no such field, ORIENTATION_ABSENT when the file
   has no such place. */
enum { ORIENTATION_ABSENT = -1, ORIENTATION_UNSET = 0 };
typedef struct {
    int exif;    /* a JPEG's APP1 segment with EXIF, or a PNG's eXIf chunk */
    int profile; /* a PNG's text "Raw profile type exif" */
    int app1;    /* EXIF in a PNG's text "Raw profile type APP1" */
    int xmp;     /* XMP, in any of these formats */
} Orientations;

/* Returns a struct in which all places are ORIENTATION_ABSENT. */
Orientations orientations_new(void);

/* Reads the content of one of a JPEG's APP1 segments. The first segment with EXIF and the last one with XMP
   count. */
void orientations_read_app1(Orientations *o, const unsigned char *data, size_t size);
/* Reads one of a PNG's chunks. Those that cannot hold an orientation are ignored. Of several chunks of one
   kind the last counts. */
void orientations_read_chunk(Orientations *o, const PngChunk *c);

/* Returns the picture's orientation, 1 to 8. It is taken from the first of exif, profile and app1 that is not
   absent. If that one has no orientation, or all three are absent, it is taken from xmp; without one there it
   is 1 (upright). */
int orientations_resolve(const Orientations *o);

/* Returns the UserComment in the content of an APP1 segment, or NULL when it has none: 8 bytes that name its
   encoding, and the text. */
const unsigned char *exif_user_comment(const unsigned char *data, size_t size, size_t *length);

#endif
