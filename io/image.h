/* 8-bit RGB pictures: read, turned upright, cropped, resized with Pillow's bytes, mirrored, made into the
   models' floats and back, written as PNG or JPEG (io/image_write.h). Read are PNG (every kind), JPEG
   (baseline and progressive, 8 bits) and BMP (24 and 32 bits a pixel, uncompressed); the content counts,
   not the file's name. Three things differ on purpose from PIL's convert("RGB"), which the reference
   script uses: transparent pictures are laid on white (PIL drops the alpha, and shows what lies under it),
   16-bit greys count by their high byte (PIL clips them at 255), and the orientation in EXIF, profiles and
   XMP is honoured (PIL leaves phone photographs lying on their side; its exif_transpose is followed,
   io/exif.h). */
#ifndef TI_IMAGE_H
#define TI_IMAGE_H

#include "io/base.h"

/* Pillow's own limit, and what a side may have at most. Larger ones are refused before any allocation. */
enum { IMAGE_MAX_PIXELS = 178956970, IMAGE_MAX_SIDE = 100000 };

typedef struct {
    int width, height;
    unsigned char *rgb; /* [height, width, 3], the top row first; malloc */
} Image;

/* A picture of undefined content. Sides from 1; no memory: a line, false. */
bool image_new(int width, int height, Image *out, Messages *errors);
void image_free(Image *image);

/* Errors (one line, false, *out is {0}): the file cannot be read, is no picture of the formats above, is cut
   off, damaged, or too large. image_decode takes the file's bytes; name is for the messages. */
bool image_load(const char *path, Image *out, Messages *errors);
bool image_decode(const void *data, size_t size, const char *name, Image *out, Messages *errors);

/* What a picture file says of itself, read without decoding it: PNG, JPEG and BMP, each bounds-checked to
   its last byte. orientation: 1..8 as EXIF numbers it (1 where nothing says it). False with a line where
   the file is none of the three, is cut off, claims a picture that is too large, or a PNG checksum is
   wrong. */
typedef struct {
    const char *format; /* "PNG" */
    int width, height, orientation;
    int channels;     /* that the decoder makes */
    int64_t decoding; /* the most bytes that it holds at once */
} ImageHeader;
bool image_header(const unsigned char *data, size_t size, const char *name, ImageHeader *out,
                  Messages *errors);

/* The most memory that image_decode holds at once for such a file, beside the file itself. */
int64_t image_decoding_bytes(const ImageHeader *header);

/* The same header of the file at path, *file: its bytes, which are mapped while it is decoded. */
bool image_load_header(const char *path, ImageHeader *out, int64_t *file, Messages *errors);

/* Turns the picture upright: orientation 1..8 as EXIF numbers them. */
bool image_orient(Image *image, int orientation, Messages *errors);

/* The middle square whose side is the smaller side; the reference script's center_crop. */
bool image_crop_square(Image *image, Messages *errors);

/* PIL.Image.resize((width, height), BICUBIC): the same bytes. out is new; in and out must differ. */
bool image_resize(const Image *in, int width, int height, Image *out, Messages *errors);

/* Mirrored left to right, in place. */
void image_flip(Image *image);

/* chw [3, height, width] = x / 127.5 - 1, in double, rounded to float */
void image_to_floats(const Image *image, float *chw);

/* The way back of diffusers' VaeImageProcessor: clamp(x / 2 + 0.5, 0, 1) * 255 rounded half to even; NaN
   gives 0. The image has its size and memory already. */
void image_from_floats(const float *chw, Image *image);

#endif
