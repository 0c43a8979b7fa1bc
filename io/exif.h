/* Which way is up: what EXIF and XMP say of a picture, wherever a file keeps them. Pillow's exif_transpose
   is followed; beyond it, the profile that older ImageMagick calls APP1 counts. */
#ifndef TI_EXIF_H
#define TI_EXIF_H

#include "io/base.h"

/* What each place says: 1 to 8 as EXIF numbers it (odd values are upright, 1), EXIF_SILENT where the place
   has no such field, EXIF_ABSENT where the file has no such place. */
enum { EXIF_ABSENT = -1, EXIF_SILENT = 0 };
typedef struct {
    int exif;    /* a JPEG's segment, a PNG's eXIf chunk */
    int profile; /* a PNG's text "Raw profile type exif" */
    int app1;    /* and "Raw profile type APP1" */
    int xmp;
} Turns;
Turns turns_new(void);

/* The bytes of a JPEG's APP1 segment. The first with EXIF counts. */
void turns_of_app1(Turns *t, const unsigned char *data, size_t size);
/* A PNG's chunk of that type; others are none of this business. The last of a kind counts. */
void turns_of_chunk(Turns *t, const unsigned char *type, const unsigned char *data, size_t size);

/* The orientation, 1 to 8: EXIF's, else a profile's, else (where that says nothing) XMP's, else upright. */
int turns_orientation(const Turns *t);

#endif
