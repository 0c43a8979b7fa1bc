/* JSON: Jansson reads it, within limits of our own, and we write it. */
#ifndef TI_JSON_H
#define TI_JSON_H

#include <jansson.h>

#include "io/text.h"

/* The document as a tree (json_decref it), or NULL and one line that names path and line. Refused beyond what
   RFC 8259 refuses: the character U+0000, a key that stands twice in its object, numbers that no double
   holds, nesting deeper than 64, more than 4 million values. Every number is a real. whole_numbers: nothing
   but 0, 1, 2, ... as numbers. */
json_t *json_parse(const char *path, const void *text, size_t size, bool whole_numbers, Messages *errors);

#define JSON_WHOLE_MAX 9007199254740992.0 /* 2^53: from here on doubles skip whole numbers */

/* The whole number >= 0 of item; -1 if it is none (or JSON_WHOLE_MAX and above). */
int64_t json_whole(const json_t *item);

/* A number; null if it is none that JSON can write. */
json_t *json_double(double x);
/* Lists: of whole numbers, of the lines. */
json_t *json_integers(const int64_t *at, int count);
json_t *json_messages(const Messages *messages);

/* The document on lines of their own, with tabs, or compact. Numbers have 15 digits where that is near
   enough, and 17 elsewhere; if exact, the fewest that read back as the same number. */
enum { JSON_LINES = 1, JSON_EXACT = 2 };
void json_write(Text *t, const json_t *value, unsigned form);
char *json_text(const json_t *value, unsigned form); /* free() it */

/* Adds a string in quotes, as serde_json writes it: UTF-8 as it is; quotes, backslashes and control
   characters escaped, and here U+007F to U+009F too, which JSON allows and terminals obey. It is a string of
   Python's as well. */
void json_quote(Text *t, const char *s);

#endif
