/* What the commands that show things share: checked standard output, JSON, text that is safe on a
   terminal. */
#ifndef TI_CONSOLE_H
#define TI_CONSOLE_H

#include "autograd/profile.h"
#include "cli/options.h"
#include "io/json.h"
#include "tensor/tensor.h"

#include <stdio.h>

/* Prints the document and a newline, and deletes it. (Documents come from json_pack, whose I takes an int64_t
   and f a double that is finite; what a number out of a file makes of others goes through json_double.) */
void console_json(json_t *document);
/* Flushes standard output. False, with a line, if any of it could not be written (a full disk). */
bool console_finish(Messages *errors);

/* Prints a line, on stdout or stderr, as a terminal may show it (text_sanitize). Whatever came from outside
   (the command line, files, their names) is printed by this function, console_path or report; printf itself
   prints what is ti's own, numbers and constant texts. */
void console_line(FILE *to, const char *format, ...) PRINTF_LIKE(2, 3);

/* Prints a path alone on a line of stdout, where a script may read it: as ls does, its very bytes where
   stdout is no terminal, and as console_line where it is one. */
void console_path(const char *path);

/* Text out of a file, as far as a line shows it: "..." stands for what is beyond 200 bytes. free() it. */
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
