/* The training pictures: a folder's files, in the order of their names, at the training resolution. */
#ifndef TI_PICTURES_H
#define TI_PICTURES_H

#include "io/image.h"

/* What its file's header says of a picture. */
typedef struct {
    int width, height; /* when it is upright; 0 x 0: it could not be read */
    int64_t bytes;     /* the most memory that reading it takes at once, with the file's mapped bytes */
} PictureSize;

typedef struct {
    int64_t count;
    char **paths;       /* [count] */
    PictureSize *sizes; /* [count] */
    Image *images;      /* [count], each resolution x resolution; without pixels until pictures_read */
} Pictures;

/* The pictures of a folder, sorted by the bytes of their names, and what their headers say: the files that
   are named as pictures are (image_has_known_extension), and those that are some by their first bytes,
   whatever their names; hidden files are passed over, a warning counts the others. Errors, a line each: the
   folder cannot be read, holds no pictures, a file is none, is of a kind that is not read or is damaged; then
   false. pictures_free in every case. */
bool pictures_list(const char *folder, int resolution, bool center_crop, Pictures *out, Messages *errors,
                   Messages *warnings);
/* Reads them: each is turned upright, cropped to its middle square if asked to, and resized as Pillow's
   bicubic does. A line for each that is damaged; then false. */
bool pictures_read(Pictures *pictures, int resolution, bool center_crop, Messages *errors);
void pictures_free(Pictures *pictures);

/* The picture that takes the most memory to read. */
int64_t pictures_largest(const Pictures *pictures);

/* One picture in the same way. */
bool picture_load(const char *path, int resolution, bool center_crop, Image *out, PictureSize *size,
                  Messages *errors);

#endif
