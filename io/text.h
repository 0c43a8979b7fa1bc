/* SPDX-License-Identifier: MIT */
/* A string that grows as text is appended. */
#ifndef TI_TEXT_H
#define TI_TEXT_H

#include "io/base.h"

/* Starts as {0}. The caller frees `at`. */
typedef struct {
    char *at; /* the string, which ends with a 0; NULL until something is added */
    size_t length, capacity;
} Text;

/* Append a string, the first size bytes of a string, or formatted text. */
void text_add(Text *t, const char *s);
void text_add_part(Text *t, const char *s, size_t size);
void text_format(Text *t, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
