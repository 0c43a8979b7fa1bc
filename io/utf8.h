/* Decoding and checking UTF-8, by utf8proc. Everything uses these functions, except for text that Jansson has
   read, which Jansson checks itself. */
#ifndef TI_UTF8_H
#define TI_UTF8_H

#include "io/base.h"

/* Decodes the character at the beginning of text[0..size) into *c. Returns its number of bytes, 0 when the
   bytes are not valid UTF-8. */
int utf8_next(const char *text, size_t size, int32_t *c);
/* Whether all of text[0..size) is valid UTF-8. */
bool utf8_valid(const char *text, size_t size);

#endif
