/* What the commands that show things share: checked standard output, JSON, text that is safe on a
   terminal. */
#ifndef TI_CONSOLE_H
#define TI_CONSOLE_H

#include <cjson/cJSON.h>

#include "cli/options.h"
#include "nn/model.h"
#include "tensor/tensor.h"

/* Prints the document and a newline, and deletes it. */
void console_json(cJSON *document);
/* Flushes standard output. False, with a line, if any of it could not be written (a full disk). */
bool console_finish(Messages *errors);

/* Text out of a file, as a terminal may show it: each control character (U+0001..1F, 7F..9F) is a '?'. free()
   it. */
char *console_text(const char *text);

/* "812 B", "9.2 kB", "25.5 MB", "3.44 GB" */
enum { SIZE_TEXT = 32 };
const char *size_text(int64_t bytes, char text[SIZE_TEXT]);
/* "1,103,872" */
enum { COUNT_TEXT = 32 };
const char *count_text(int64_t count, char text[COUNT_TEXT]);

cJSON *json_shape(Shape shape);
/* A list of the lines. */
cJSON *json_messages(const Messages *messages);

/* The side of the model's pictures, in pixels. */
int64_t model_side(const Model *m);
/* A picture's side under an option's name: *side 0 becomes model_side, which is always allowed. False, with a
   line, if another is below `least` or no
   multiple of 8 and of the VAE's factor. */
bool check_side(const Model *m, const char *option, int64_t least, int64_t *side, Messages *errors);
/* The same for --resolution, 64 at least. */
bool check_resolution(const Model *m, int64_t *resolution, Messages *errors);
/* A warning where that side, given by that option, is not model_side. */
void resolution_word(const Model *m, const char *option, int64_t side, Messages *warnings);

#endif
