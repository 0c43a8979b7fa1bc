/* The training pictures: a folder's files, in the order of their names, at the training resolution. */
#ifndef TI_PICTURES_H
#define TI_PICTURES_H

#include "io/image.h"

/* In its file; 0 x 0: it could not be read. */
typedef struct {
    int width, height;
} PictureSize;

typedef struct {
    int64_t count;
    char **paths;       /* [count] */
    Image *images;      /* [count], each resolution x resolution */
    PictureSize *sizes; /* [count] */
} Pictures;

/* Files named .png, .jpg, .jpeg or .bmp (any case) are the pictures, sorted by the bytes of their names;
   hidden files are passed over, a warning counts the others. Each is turned upright, cropped to its middle
   square if asked to, and resized as Pillow's bicubic does. Errors, a line each: the folder cannot be
   read, holds no pictures, a file is none or is damaged; then false. pictures_free in every case. */
bool pictures_load(const char *folder, int resolution, bool center_crop, Pictures *out, Messages *errors,
                   Messages *warnings);
void pictures_free(Pictures *pictures);

/* One picture in the same way; size: in its file. */
bool picture_load(const char *path, int resolution, bool center_crop, Image *out, PictureSize *size,
                  Messages *errors);

#endif
