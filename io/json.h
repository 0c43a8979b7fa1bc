/* SPDX-License-Identifier: MIT */
/* JSON: Jansson reads it, with additional limits, and our own code writes it. */
#ifndef TI_JSON_H
#define TI_JSON_H

#include <jansson.h>

#include "io/text.h"

/* Parses a document and returns it as a tree, which the caller releases with json_decref. On failure returns
   NULL and adds one message that names path and line. In addition to what RFC 8259 forbids, it refuses the
   character U+0000, a key that appears twice in an object, numbers too large for a double, more than 64
   levels of nesting and more than 4 million values. Every number becomes a real. With whole_numbers, the only
   numbers allowed are 0, 1, 2, ... */
json_t *json_parse(const char *path, const void *text, size_t size, bool whole_numbers, Messages *errors);

#define JSON_WHOLE_MAX 9007199254740992.0 /* 2^53, beyond which not all whole numbers are doubles */

/* Returns the item's value if it is a whole number from 0 to below JSON_WHOLE_MAX, else -1. */
int64_t json_whole(const json_t *item);

/* Return new values, which the caller owns. json_double returns null for a number that is not finite, since
   JSON has no such numbers. json_integers returns a list of numbers, json_messages a list of strings. */
json_t *json_double(double x);
json_t *json_integers(const int64_t *values, int count);
json_t *json_messages(const Messages *messages);

/* Write a document: compact, or with JSON_LINES one member per line, indented with tabs. A number has 15
   digits if they are within DBL_EPSILON of it (relative), else 17; with JSON_EXACT it has the fewest digits
   that are read back as the same number. json_text returns a new string, which the caller frees. */
enum { JSON_LINES = 1, JSON_EXACT = 2 };
void json_write(Text *t, const json_t *value, unsigned flags);
char *json_text(const json_t *value, unsigned flags);

/* Adds a string in quotes, as serde_json writes it: UTF-8 is kept, while quotes, backslashes and control
   characters are escaped. Unlike there, U+007F to U+009F are escaped, too: JSON allows them, but terminals
   take them as commands. The result is also a valid string in Python. */
void json_quote(Text *t, const char *s);

#endif
