/* What the commands that show things share: checked standard output, JSON, text that is safe on a
   terminal. */
#ifndef TI_CONSOLE_H
#define TI_CONSOLE_H

#include "autograd/profile.h"
#include "cli/options.h"
#include "io/json.h"
#include "tensor/tensor.h"

/* Prints the document and a newline, and deletes it. (Documents come from json_pack, whose I takes an int64_t
   and f a double that is finite; what a number out of a file makes of others goes through json_double.) */
void console_json(json_t *document);
/* Flushes standard output. False, with a line, if any of it could not be written (a full disk). */
bool console_finish(Messages *errors);

/* Text out of a file, as a terminal may show it: each control character (U+0001..1F, 7F..9F) is a '?'. free()
   it. */
char *console_text(const char *text);

/* "412 MB" */
enum { BYTES_TEXT = 32 };
const char *bytes_text(int64_t bytes, char text[BYTES_TEXT]);

/* "812 B", "9.2 kB", "25.5 MB", "3.44 GB" */
enum { SIZE_TEXT = 32 };
const char *size_text(int64_t bytes, char text[SIZE_TEXT]);
/* "1,103,872" */
enum { COUNT_TEXT = 32 };
const char *count_text(int64_t count, char text[COUNT_TEXT]);

/* "1:02:03" or "2:03" */
enum { DURATION_TEXT = 32 };
const char *duration_text(double seconds, char text[DURATION_TEXT]);

json_t *json_shape(Shape shape);

/* A profile as a table on stdout, the most expensive first; passes: how many runs to divide by ("a step").
   What each op reaches is also a share of threads_peak_flops; a convolution's operations are those of the
   direct algorithm, so that Winograd's can be above 100 %. */
void profile_print(const Profile *profile, int64_t passes);

#endif
