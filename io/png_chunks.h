/* SPDX-License-Identifier: MIT */
/* The chunks of a PNG file, and the texts in them. After its signature a PNG consists of chunks: 4 bytes with
   the size of the data, 4 letters with the type, the data, and a checksum (CRC-32) of type and data. */
#ifndef TI_PNG_CHUNKS_H
#define TI_PNG_CHUNKS_H

#include "io/text.h"

/* Returns whether the bytes begin as a PNG does. The first chunk begins at PNG_FIRST. */
bool is_png(const void *bytes, size_t size);
enum { PNG_FIRST = 8 };

typedef struct {
    const unsigned char *type, *data; /* type: 4 letters */
    size_t size;                      /* of the data */
} PngChunk;

/* Reads the chunk at *at, which it moves to the next one. Returns false at the end, and where the file is cut
   off. */
bool png_next_chunk(const void *bytes, size_t size, size_t *at, PngChunk *c);
bool png_chunk_is(const PngChunk *c, const char *type);
/* Returns whether the checksum is right. */
bool png_chunk_sound(const PngChunk *c);

/* Appends a chunk. */
void png_add_chunk(Text *out, const char *type, const void *data, size_t size);
/* Appends a text under a key of 1 to 79 Latin-1 letters. As in Pillow it is a chunk tEXt when its characters
   are Latin-1, and an iTXt in UTF-8 otherwise. */
void png_add_text(Text *out, const char *key, const char *utf8);

/* A chunk tEXt, zTXt or iTXt. */
typedef struct {
    const char *key; /* ends with a 0 */
    const unsigned char *data;
    size_t size;
    bool compressed, utf8; /* utf8: of an iTXt; the others are Latin-1 */
} PngText;

/* No text that is longer is read, as in Pillow: a small file must not fill the memory when it is
   decompressed. */
enum { PNG_TEXT_MAX = 1 << 20 };

/* Finds the key and the text of a chunk. Returns false when it is of another type or malformed. */
bool png_text(const PngChunk *c, PngText *out);
/* Returns the bytes of the text, decompressed, with a 0 behind them; the caller frees them. Returns NULL when
   they are damaged or more than PNG_TEXT_MAX. */
unsigned char *png_text_bytes(const PngText *t, size_t *size);

#endif
