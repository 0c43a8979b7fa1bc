/* Text as code points, normalised as CLIP's tokenizer does it. The tables are utf8proc's. */
#ifndef TI_UNICODE_H
#define TI_UNICODE_H

#include "io/base.h"

typedef struct {
    int32_t *at; /* free() it */
    int64_t count;
} CodePoints;

/* UTF-8 to code points. What is not UTF-8 becomes U+FFFD, one for each longest part that could have begun a
   character (Python's errors="replace"). */
CodePoints unicode_decode(const char *text, size_t size);

/* Code points to UTF-8, closed by a 0 that *size (may be NULL) does not count; free() it. */
char *unicode_encode(const int32_t *at, int64_t count, size_t *size);

/* NFC, then each run of White_Space to one space, then lower case character by character: U+03A3 is U+03C3
   also at a word's end, and U+0130 becomes two. In time linear in count, whatever the text. */
CodePoints unicode_normalize(const int32_t *at, int64_t count);

/* The same of UTF-8; and from text to text, free() it. */
CodePoints unicode_normal_form(const char *text, size_t size);
char *unicode_normal_text(const char *text);

typedef enum { CLASS_SPACE, CLASS_LETTER, CLASS_NUMBER, CLASS_OTHER } CharClass;

/* White_Space, general category L*, general category N*, anything else. */
CharClass unicode_class(int32_t c);

/* A character of a word, \w as UTS 18 has it: letters, marks, digits, joining punctuation (_) and joiners. */
bool unicode_in_word(int32_t c);

#endif
