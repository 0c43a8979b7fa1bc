/* The stb libraries' own code, compiled here once. Of the decoders only those for the formats that people
   have photographs in: the exotic ones are where hostile files have found bugs. */
#include "io/image.h"

#include <stdlib.h>

/* The most that a decoder may ask for at once: 16-bit RGBA in the largest picture that is accepted, 1.4 GB.
   It bounds what a small PNG can make of itself by decompression. */
enum { DECODE_MAX = 8 * IMAGE_MAX_PIXELS + (64 << 10) };

/* Zeroed, so that what a damaged file leaves out (pixels, Huffman tables) is the same in
   every run, and harmless. */
static void *bounded_alloc(size_t bytes) { return bytes > DECODE_MAX ? NULL : calloc(1, bytes); }

static void *bounded_realloc(void *old, size_t bytes) {
    return bytes > DECODE_MAX ? NULL : realloc(old, bytes);
}

/* Its assertions doubt the file more than the code: what they would stop does no harm, and the program must
   not abort. */
#define STBI_ASSERT(condition)   ((void)0)
#define STBI_MALLOC(bytes)       bounded_alloc(bytes)
#define STBI_REALLOC(old, bytes) bounded_realloc(old, bytes)
#define STBI_FREE(p)             free(p)
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

/* The writer does not check for NULL: these don't return without memory. */
#define STBIW_MALLOC(bytes)       mem_alloc(bytes)
#define STBIW_REALLOC(old, bytes) mem_grow(old, bytes)
#define STBIW_FREE(p)             free(p)
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
