/* SPDX-License-Identifier: MIT */
/* Added tokens, which the files of a tokenizer list outside the vocabulary: special tokens such as
   <|endoftext|>, and words that were added to a model together with rows of its token embedding. */
#ifndef TI_ADDED_H
#define TI_ADDED_H

#include "io/object.h"

typedef struct {
    char *text;
    int64_t index;    /* the id in its file, which only orders the tokens; -1 when there is none */
    bool normalized;  /* whether it is searched for in the normalised text instead of the raw text */
    bool single_word; /* whether a word character directly beside it prevents a match */
} AddedToken;

/* A growing list of added tokens; initialise it with {0}. */
typedef struct {
    AddedToken *at;
    int count, capacity;
} AddedTokens;

enum { ADDED_MAX = 10000 }; /* the largest number of added tokens that a file may have */

/* Appends a token with a copy of its text, or replaces the token that has the same index (>= 0). */
void added_put(AddedTokens *list, AddedToken token);
void added_free(AddedTokens *list);

/* Returns the first token with this text, or NULL when there is none. */
const AddedToken *added_find(const AddedTokens *list, const char *text);

/* Sorts the tokens by index. Tokens without an index must already be at the end of the list, and keep their
   order. When several tokens have the same text, only one remains: it has the position of the first and the
   flags of the last. */
void added_sort(AddedTokens *list);

/* Reads the member `key` of a config: "added_tokens" of tokenizer.json, a list of token objects, or
   "added_tokens_decoder" of tokenizer_config.json, an object that maps ids to token objects. An absent member
   adds no tokens. Returns false and adds a message when the member has another form. */
bool added_read(AddedTokens *list, JsonObject *o, const char *key);

/* Reads added_tokens.json, an object that maps each token's text to its id. Tokens that are also in `special`
   are searched for in the raw text, and all others in the normalised text. Returns false and adds a message
   when the file has another form. */
bool added_read_json(AddedTokens *list, const char *path, const void *text, size_t size,
                     const AddedTokens *special, Messages *errors);

/* Reads a special token: either a string, which is searched for in the raw text, or a token object with
   its "content" and flags. The text of the result belongs to m. Returns false when m is neither of them or
   the text is empty. */
bool added_read_special(AddedToken *token, const json_t *m);

#endif
