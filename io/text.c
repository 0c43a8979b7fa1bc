/* SPDX-License-Identifier: MIT */
#include "io/text.h"

#include <stdio.h>
#include <string.h>

/* Makes room for size more bytes and the final 0, and returns where they are to be written. */
static char *text_end(Text *t, size_t size) {
    if (t->length + size >= t->capacity) {
        t->capacity = 2 * (t->length + size) + 1;
        t->at = mem_grow(t->at, t->capacity);
    }
    return t->at + t->length;
}

void text_add_part(Text *t, const char *s, size_t size) {
    char *end = text_end(t, size);
    if (size) memcpy(end, s, size);
    end[size] = 0;
    t->length += size;
}

void text_add(Text *t, const char *s) { text_add_part(t, s, strlen(s)); }

void text_format(Text *t, const char *format, ...) {
    va_list args, copy;
    va_start(args, format);
    va_copy(copy, args);
    int n = vsnprintf(NULL, 0, format, args);
    CHECK(n >= 0);
    vsnprintf(text_end(t, (size_t)n), (size_t)n + 1, format, copy);
    t->length += (size_t)n;
    va_end(copy);
    va_end(args);
}
