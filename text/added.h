/* Tokens beside the vocabulary, as the files of a tokenizer give them: special tokens, and words that were
   added to a model together with rows of their text encoder's table. */
#ifndef TI_ADDED_H
#define TI_ADDED_H

#include "io/object.h"

typedef struct {
    char *text;
    int64_t index;    /* the id in its file, which gives the order; -1: a special token without one */
    bool normalized;  /* looked for in the normalised text, else in the text as it is */
    bool single_word; /* found only where no letter, digit or mark stands beside it */
} AddedToken;

/* Start from {0}. */
typedef struct {
    AddedToken *at;
    int count, capacity;
} AddedTokens;

enum { ADDED_MAX = 10000 }; /* that a file may have */

/* Adds the token, its text copied; one of the same index (>= 0) is replaced. */
void added_put(AddedTokens *list, AddedToken token);
void added_free(AddedTokens *list);
/* NULL if there is none. */
const AddedToken *added_find(const AddedTokens *list, const char *text);

/* By index, the indices of -1 last; of tokens that stand there twice the first place with what the last one
   says. */
void added_sort(AddedTokens *list);

/* "added_tokens" of tokenizer.json, a list of objects, or "added_tokens_decoder" of tokenizer_config.json, an
   object of such by their ids. Absent: none. A fault where it is neither. */
bool added_read(AddedTokens *list, JsonObject *o, const char *key);

/* added_tokens.json: an object of tokens and ids. A token that is in special counts as it is written, others
   in any case. */
bool added_read_plain(AddedTokens *list, const char *path, const void *text, size_t size,
                      const AddedTokens *special, Messages *errors);

/* A special token: a string, which counts as it is written, or an object with it as content. False if it is
   neither, or empty. */
bool added_special(AddedToken *token, const json_t *m);

#endif
