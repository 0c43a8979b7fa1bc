/* SPDX-License-Identifier: MIT */
#include "io/utf8.h"

#include <utf8proc.h>

int utf8_next(const char *text, size_t size, int32_t *c) {
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)(size < 4 ? size : 4), c);
    return n > 0 ? (int)n : 0;
}

bool utf8_valid(const char *text, size_t size) {
    int32_t c;
    for (int n; size > 0; text += n, size -= (size_t)n)
        if ((n = utf8_next(text, size, &c)) == 0) return false;
    return true;
}
