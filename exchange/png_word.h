/* SPDX-License-Identifier: MIT */
/* The learned words that A1111 keeps in pictures: a PNG has the word in its text chunk "sd-ti-embedding", as
   base64 of the JSON {"string_to_param": {"*": {"TORCHTENSOR": [[...], ...]}}, "name", "step", ...}. (A1111
   can also hide the same data in the picture's pixels, which is not read here.) */
#ifndef TI_PNG_WORD_H
#define TI_PNG_WORD_H

#include "io/png_chunks.h"
#include "weights/safetensors.h"

/* Returns whether the PNG has such a chunk. */
bool png_has_word(const void *bytes, size_t size);

/* Makes a list with the word as its only tensor, whose name is the word's; the caller closes s. Returns false
   and adds a message when the picture has no word, or when its data are damaged. */
bool png_word_tensors(const char *path, const void *bytes, size_t size, Safetensors *s, Messages *errors);

/* Returns the bytes of the PNG with that text chunk before its end, instead of those with the same keyword.
   The caller frees the text's `at`. The bytes must be those of a whole PNG. */
Text png_with_word(const void *png, size_t size, const char *json);

#endif
