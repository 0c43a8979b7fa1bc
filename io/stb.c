/* SPDX-License-Identifier: MIT */
/* The one file that compiles the stb libraries' own code. It leaves out the decoders of rare formats, in
   whose code hostile files have found bugs. */
#include "io/image.h"

#include <stdlib.h>

/* The most bytes that a decoder may allocate at once: 16-bit RGBA of the largest accepted picture, 1.4 GB.
   The limit keeps a small PNG from filling the memory when it is decompressed. */
enum { DECODE_MAX = 8 * IMAGE_MAX_PIXELS + (64 << 10) };

/* The memory is zeroed, so that what a damaged file leaves out (pixels, Huffman tables) is harmless and the
   same in every run. */
static void *bounded_alloc(size_t bytes) { return bytes > DECODE_MAX ? NULL : calloc(1, bytes); }

static void *bounded_realloc(void *old, size_t bytes) {
    return bytes > DECODE_MAX ? NULL : realloc(old, bytes);
}

/* stb_image's assertions are switched off: damaged files can violate them, which does no harm, and the
   program must not abort. */
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

/* The writer does not check for NULL, so it gets functions that do not return when there is no memory. */
#define STBIW_MALLOC(bytes)       mem_alloc(bytes)
#define STBIW_REALLOC(old, bytes) mem_grow(old, bytes)
#define STBIW_FREE(p)             free(p)
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

#define STBTT_malloc(bytes, user) ((void)(user), mem_alloc(bytes))
#define STBTT_free(p, user)       ((void)(user), free(p))
#define STB_TRUETYPE_IMPLEMENTATION
#include <stb/stb_truetype.h>
