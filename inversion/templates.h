/* The sentences that a word is learned in. */
#ifndef TI_TEMPLATES_H
#define TI_TEMPLATES_H

#include "text/tokenizer.h"

typedef enum { KIND_OBJECT, KIND_STYLE } Kind;

/* Each line holds "{}" once, where the word goes. Their order counts: training draws a place in it. */
typedef struct {
    char **lines;
    int64_t count;
} Templates;

/* The reference script's 27 for objects or 19 for styles; or, if path is not NULL, those of a text file, one
   a line (empty lines and lines that begin with '#' aside). Errors, a line each: no file, no templates, a
   line without "{}" or with several, one that is not UTF-8 or longer than 1000 bytes. */
bool templates_get(Templates *t, Kind kind, const char *path, Messages *errors);
/* The same from text; path is for messages. */
bool templates_parse(Templates *t, const char *path, const char *text, size_t size, Messages *errors);
void templates_free(Templates *t);

/* A template with the word in it; free() it. */
char *template_fill(const char *line, const char *word);

/* Each template with all vectors of an added word in it, as ids [count, max_length], to be freed; longest:
   the tokens of the longest, of which the window holds max_length - 2. */
int32_t *templates_encode(const Templates *t, const Tokenizer *tokenizer, const char *word, int64_t *longest);

#endif
