/* SPDX-License-Identifier: MIT */
/* Text as Unicode code points, and its normalisation in CLIP's tokenizer. The character tables are
   utf8proc's. */
#ifndef TI_UNICODE_H
#define TI_UNICODE_H

#include "io/base.h"

typedef struct {
    int32_t *at; /* free() it */
    int64_t count;
} CodePoints;

/* Decodes UTF-8. Invalid bytes become U+FFFD, one for each maximal sequence that could begin a character, as
   with Python's errors="replace". */
CodePoints unicode_decode(const char *text, size_t size);

/* Encodes code points as UTF-8 with a terminating 0. The caller frees the text. Unless size is NULL, *size
   becomes the length of the text without the terminating 0. */
char *unicode_encode(const int32_t *at, int64_t count, size_t *size);

/* Normalises text as CLIP's tokenizer does: converts it to NFC, replaces each run of White_Space by
   one space, and converts each character to lower case by itself, so that a capital sigma U+03A3
   becomes U+03C3 even at the end of a word, and U+0130 becomes two code points. The time is linear in
   `count` for any text. */
CodePoints unicode_normalize(const int32_t *at, int64_t count);

/* These do the same from UTF-8 to code points and from UTF-8 to UTF-8. The caller frees the results. */
CodePoints unicode_normal_form(const char *text, size_t size);
char *unicode_normal_text(const char *text);

typedef enum { CLASS_SPACE, CLASS_LETTER, CLASS_NUMBER, CLASS_OTHER } CharClass;

/* Classifies a code point by the property White_Space and the general categories L* and N*. */
CharClass unicode_class(int32_t c);

/* Whether a code point is a word character, \w as defined by UTS #18. These are letters, marks, digits,
   connector punctuation such as "_", and the zero-width joiners. */
bool unicode_in_word(int32_t c);

#endif
