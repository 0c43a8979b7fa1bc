/* UTF-8 is checked here alone, by utf8proc; what Jansson reads it has checked itself. */
#ifndef TI_UTF8_H
#define TI_UTF8_H

#include "io/base.h"

/* The bytes of the character at text[0..size), and its code point in *c; 0 where none stands there. */
int utf8_next(const char *text, size_t size, int32_t *c);
bool utf8_valid(const char *text, size_t size);

#endif
