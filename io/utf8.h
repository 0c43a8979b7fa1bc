/* SPDX-License-Identifier: MIT */
/* Decodes and checks UTF-8 with utf8proc. Only the text of JSON files is checked elsewhere, by Jansson. */
#ifndef TI_UTF8_H
#define TI_UTF8_H

#include "io/base.h"

/* Decodes the character at the beginning of text[0..size) into *c. Returns its number of bytes, or 0 when
   the bytes are not valid UTF-8. */
int utf8_next(const char *text, size_t size, int32_t *c);
/* Returns whether all of text[0..size) is valid UTF-8. */
bool utf8_valid(const char *text, size_t size);

#endif
