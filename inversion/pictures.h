/* SPDX-License-Identifier: MIT */
/* The training pictures: the picture files of a folder, in the order of their
   names, at the size of training. */
#ifndef TI_PICTURES_H
#define TI_PICTURES_H

#include "io/image.h"

/* The data from the header of a picture's file. */
typedef struct {
    int width, height; /* of the upright picture; 0 x 0 if the header could not be read */
    int64_t bytes;     /* the most memory that reading the picture takes at once, including its mapped file */
} PictureSize;

/* What pictures are made to fit. */
typedef struct {
    int width, height; /* they are resized to this size */
    bool center_crop;  /* whether they are first cropped to their middle of these proportions */
} PictureFit;

typedef struct {
    int64_t count;
    char **paths;       /* [count] */
    PictureSize *sizes; /* [count] */
    Image *images;      /* [count], each of the size of training; pictures_read fills in their pixels */
} Pictures;

/* Lists the pictures of a folder, sorted by the bytes of their names, and reads their headers. A file counts
   as a picture if its name has a picture's extension (image_has_known_extension) or its first bytes are
   those of a picture. Hidden files and text files are skipped silently, and a warning counts the other
   files. Returns false and adds a message for each fault: the folder cannot be read or holds no pictures; a
   file is not a picture, has an unsupported format or is damaged. Call pictures_free in every case. */
bool pictures_list(const char *folder, PictureFit fit, Pictures *out, Messages *errors, Messages *warnings);
/* Reads the pixels: turns each picture upright, crops it if fit.center_crop, and resizes it as Pillow's
   bicubic filter does. Returns false and adds a message for each picture that is damaged. */
bool pictures_read(Pictures *pictures, PictureFit fit, Messages *errors);
void pictures_free(Pictures *pictures);

/* Returns the path of the file beside a picture that has its name with another ending, such as ".txt";
   free() it. */
char *file_beside(const char *picture, const char *ending);

/* Returns the index of the picture that takes the most memory to read. */
int64_t pictures_largest(const Pictures *pictures);

/* Reads the header of one file in the same way. */
bool picture_size(const char *path, PictureFit fit, PictureSize *out, Messages *errors);
/* Reads the header and the pixels of one file in the same way. */
bool picture_load(const char *path, PictureFit fit, Image *out, PictureSize *size, Messages *errors);

#endif
