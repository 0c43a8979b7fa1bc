/* SPDX-License-Identifier: MIT */
/* Output of the commands: standard output whose errors are noticed, JSON documents, text that is safe on a
   terminal, and numbers as text. */
#ifndef TI_CONSOLE_H
#define TI_CONSOLE_H

#include "autograd/profile.h"
#include "cli/options.h"
#include "io/json.h"
#include "tensor/tensor.h"

#include <stdio.h>

/* Prints the document and a newline, and deletes it. json_pack, which builds the documents, takes an int64_t
   for I and a finite double for f; a number that may not be finite, since it was computed from a file, goes
   through json_double. */
void console_json(json_t *document);
/* Flushes standard output. Returns false and adds a message when any of it could not be written, as on a
   full disk. */
bool console_finish(Messages *errors);

/* Prints a line on stdout or stderr with its control characters replaced (text_sanitize), so that it is safe
   on a terminal. All text from outside (the command line, files, their names) is printed by this function,
   console_path or report; printf is for numbers and constant texts. */
void console_line(FILE *to, const char *format, ...) PRINTF_LIKE(2, 3);

/* From now on console_line prints nothing, as in the ranks other than the first (inversion/ranks.h). */
void console_silence(void);

/* Prints a path on a line of its own on stdout, where a script may read it. As ls does, it prints the
   path's exact bytes when stdout is not a terminal, and replaces control characters as console_line does
   when it is. */
void console_path(const char *path);

/* Returns a copy of a text from a file that is short enough for a line: "..." replaces what lies beyond 200
   bytes. The caller frees it. */
char *console_text(const char *text);

/* Writes bytes as "412 MB" or "3.44 GB", for messages about memory, and returns text. */
enum { BYTES_TEXT = 32 };
const char *bytes_text(int64_t bytes, char text[BYTES_TEXT]);

/* Writes bytes as "812 B", "9.2 kB", "25.5 MB" or "3.44 GB", for tables, and returns text. */
enum { SIZE_TEXT = 32 };
const char *size_text(int64_t bytes, char text[SIZE_TEXT]);
/* Writes a count with commas between groups of three digits, as "1,103,872", and returns text. */
enum { COUNT_TEXT = 32 };
const char *count_text(int64_t count, char text[COUNT_TEXT]);

/* Writes seconds as "1:02:03" or "2:03", and returns text. */
enum { DURATION_TEXT = 32 };
const char *duration_text(double seconds, char text[DURATION_TEXT]);

/* Reads a duration such as "30s", "20m", "8h", "1h30m" or "2d": whole numbers, each with the unit d, h, m or
   s, from the largest unit to the smallest. Returns false when the text is none, or is not between 1 second
   and 1000 days. */
bool duration_parse(const char *text, double *seconds);

/* Returns a shape as a JSON list of its dimensions. */
json_t *json_shape(Shape shape);

/* Prints a profile as a table on stdout, the most expensive op first. Times are divided by the number of
   steps that were run. The speed of each op is also given as a share of threads_peak_flops. The operations of
   a convolution are counted as those of the direct algorithm, so Winograd's algorithm can exceed 100 %. */
void profile_print(const Profile *profile, int64_t steps);

#endif
