/* SPDX-License-Identifier: MIT */
/* 8-bit RGB pictures: reading, orientation, cropping, resizing to the same bytes as Pillow, mirroring, and
   the conversion to the models' floats and back. (io/image_write.h writes them as PNG or JPEG.) The formats
   that are read are PNG (every kind), JPEG (baseline and progressive, 8 bits) and BMP (24 and 32 bits per
   pixel, uncompressed). A file's format follows from its content, not from its name. Three things differ on
   purpose from PIL's convert("RGB"), which the reference script uses. Transparent pictures are laid on white
   (PIL drops the alpha channel and so shows the colours under it). 16-bit greys are reduced to their high
   byte (PIL clips them at 255). The orientation in EXIF, profiles and XMP is applied as in PIL's
   exif_transpose (convert leaves phone photographs lying on their side; see io/exif.h). */
#ifndef TI_IMAGE_H
#define TI_IMAGE_H

#include "io/base.h"

/* Pillow's own limit of pixels, and the largest side. Larger pictures are refused before any allocation. */
enum { IMAGE_MAX_PIXELS = 178956970, IMAGE_MAX_SIDE = 100000 };

typedef struct {
    int width, height;
    unsigned char *rgb; /* [height, width, 3], the top row first; allocated with malloc */
} Image;

/* Allocates a picture of undefined content; width and height are at least 1. Returns false and adds a message
   when there is no memory; then *out is {0}. The caller frees it with image_free. */
bool image_new(int width, int height, Image *out, Messages *errors);
void image_free(Image *image);

/* Reads a picture, which the caller frees with image_free. Returns false, adds one message and sets *out to
   {0} when the file cannot be read, has another format than those above, or is truncated, damaged or too
   large. image_decode takes the file's bytes; name is for the messages. */
bool image_load(const char *path, Image *out, Messages *errors);
bool image_decode(const void *data, size_t size, const char *name, Image *out, Messages *errors);
/* Reads a picture's alpha channel, which becomes all three channels of *out. *has tells whether there is
   one; if not, every value is 255. Errors are those of image_load. */
bool image_load_alpha(const char *path, Image *out, bool *has, Messages *errors);
/* Returns the brightness of a pixel as Pillow's convert("L") computes it: 0.299 R + 0.587 G + 0.114 B in
   units of 2^-16, rounded. */
int pixel_brightness(const unsigned char rgb[3]);
/* Sets all three channels to the picture's brightness. */
void image_to_grey(Image *image);

/* What a PNG, JPEG or BMP file says about its picture, read without decoding it. */
typedef struct {
    const char *format; /* "PNG", "JPEG" or "BMP" */
    int width, height;  /* as stored, before the orientation is applied */
    int orientation;    /* 1..8 as EXIF numbers them; 1 (upright) where the file gives none */
    int channels;       /* of stb_image's output */
    int64_t decoding;   /* the most bytes that stb_image holds at once */
} ImageHeader;
/* Reads the header from the file's bytes, checking every access against their end. Returns false and adds a
   message when the file has another format, is truncated, claims a picture that is too large, or has a wrong
   checksum in a PNG. */
bool image_header(const unsigned char *data, size_t size, const char *name, ImageHeader *out,
                  Messages *errors);

/* Returns the most bytes that image_decode holds at once for such a file, in addition to the file itself. */
int64_t image_decoding_bytes(const ImageHeader *header);

/* Reads the header of the file at path, and sets *file_size to the file's size in bytes. Returns false and
   adds a message when the file cannot be read, and on image_header's errors. */
bool image_load_header(const char *path, ImageHeader *out, int64_t *file_size, Messages *errors);

/* Turns a picture of the given orientation, 1..8 as EXIF numbers them, upright. This function and the next
   one return false and add a message when there is no memory; then the picture is unchanged. */
bool image_orient(Image *image, int orientation, Messages *errors);

/* Reduces a size of w x h to that of its largest part with the proportions width : height, rounded down. */
void image_crop_size(int64_t width, int64_t height, int64_t *w, int64_t *h);
/* Crops a picture to its largest middle part with the proportions width : height. For a square this is the
   reference script's center_crop. */
bool image_crop(Image *image, int width, int height, Messages *errors);

/* The kernel that weighs the pixels around a point. */
typedef enum { RESAMPLING_BICUBIC, RESAMPLING_LANCZOS } Resampling;

/* Computes the same bytes as PIL.Image.resize((width, height), BICUBIC), or LANCZOS. *out is a new
   picture, which the caller frees; it must not be *in. Returns false and adds a message when there is no
   memory. */
bool image_resize(const Image *in, int width, int height, Resampling resampling, Image *out,
                  Messages *errors);

/* Mirrors a picture left to right, in place. */
void image_flip(Image *image);

/* Sets chw [3, height, width] to x / 127.5 - 1, computed in double and rounded to float. */
void image_to_floats(const Image *image, float *chw);

/* Computes the inverse as diffusers' VaeImageProcessor does: clamp(x / 2 + 0.5, 0, 1) * 255, rounded half to
   even; NaN becomes 0. The image must already have its size and its memory. */
void image_from_floats(const float *chw, Image *image);

#endif
