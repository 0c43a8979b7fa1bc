/* A string that grows as text is appended. */
#ifndef TI_TEXT_H
#define TI_TEXT_H

#include "io/base.h"

/* Starts as {0}. The caller frees `at`. */
typedef struct {
    char *at; /* the string, always closed by a 0; NULL as long as nothing was added */
    size_t length, capacity;
} Text;

/* Append a string, size bytes of one, or formatted text. */
void text_add(Text *t, const char *s);
void text_add_part(Text *t, const char *s, size_t size);
void text_format(Text *t, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
