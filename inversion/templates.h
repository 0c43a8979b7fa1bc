/* The templates: sentences such as "a photo of a {}", in which the word stands while it is learned. */
#ifndef TI_TEMPLATES_H
#define TI_TEMPLATES_H

#include "text/tokenizer.h"

typedef enum { KIND_OBJECT, KIND_STYLE } Kind;

/* Each line contains "{}" once, where the word goes. Their order matters, since training draws an index. */
typedef struct {
    char **lines;
    int64_t count;
} Templates;

/* Without a path (NULL): the reference script's templates, 27 for objects or 19 for styles. With a path:
   those of a text file, one on each line; empty lines and lines that begin with '#' are skipped. Returns
   false and adds a message for each fault: the file cannot be read or holds no templates; a line has no "{}"
   or several, is not UTF-8, or is longer than 1000 bytes. */
bool templates_get(Templates *t, Kind kind, const char *path, Messages *errors);
/* Parses the text of such a file; path is for messages. */
bool templates_parse(Templates *t, const char *path, const char *text, size_t size, Messages *errors);
void templates_free(Templates *t);

/* Returns the template with the word in place of "{}"; free() it. */
char *template_fill(const char *line, const char *word);

/* Returns the token ids [count, max_length] of each template with the added word in it, where the placeholder
   token stands once for each of the word's vectors; free() them. *longest becomes the number of tokens of the
   longest template, which may be more than the max_length - 2 that fit. */
int32_t *templates_encode(const Templates *t, const Tokenizer *tokenizer, const char *word, int64_t *longest);

#endif
