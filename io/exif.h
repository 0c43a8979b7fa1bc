/* The orientation of a picture, which EXIF and XMP give, wherever a file keeps them. The rules are those of
   Pillow's exif_transpose; in addition, the PNG text that older versions of ImageMagick call "Raw profile
   type APP1" counts. */
#ifndef TI_EXIF_H
#define TI_EXIF_H

#include "io/base.h"

/* The orientation that each place gives: 1 to 8 as EXIF numbers them (any other value counts as 1,
   upright), ORIENTATION_UNSET where the place has no such field, ORIENTATION_ABSENT where the file has no
   such place. */
enum { ORIENTATION_ABSENT = -1, ORIENTATION_UNSET = 0 };
typedef struct {
    int exif;    /* a JPEG's APP1 segment with EXIF, or a PNG's eXIf chunk */
    int profile; /* a PNG's text "Raw profile type exif" */
    int app1;    /* EXIF in a PNG's text "Raw profile type APP1" */
    int xmp;     /* XMP, in any of these formats */
} Orientations;

/* Returns a struct whose places are all ORIENTATION_ABSENT. */
Orientations orientations_new(void);

/* Reads the content of one of a JPEG's APP1 segments. The first one with EXIF counts. */
void orientations_read_app1(Orientations *o, const unsigned char *data, size_t size);
/* Reads the content of one of a PNG's chunks; type is its four letters. Chunks of types that have no
   orientation are ignored. The last of each kind counts. */
void orientations_read_chunk(Orientations *o, const unsigned char *type, const unsigned char *data,
                             size_t size);

/* Returns the orientation that counts, 1 to 8: that of EXIF, or without EXIF that of a profile; where that
   gives none, XMP's; where there is none either, 1 (upright). */
int orientations_resolve(const Orientations *o);

#endif
