/* SPDX-License-Identifier: MIT */
/* tokenizer.json: the vocabulary, its merges and the added tokens in one document, which is the only form
   that transformers 5 writes. */
#ifndef TI_TOKENIZER_JSON_H
#define TI_TOKENIZER_JSON_H

#include "text/added.h"
#include "text/bpe.h"

/* Reads the vocabulary and the merges, and appends the file's added tokens to `added` unless `added` is NULL.
   Returns NULL and adds a message when the file does not describe a CLIP tokenizer. This is stricter than
   transformers, which does not check the rest of the file before it builds a CLIP tokenizer from the
   vocabulary and merges, so that the file of another kind of tokenizer yields meaningless tokens there. */
Bpe *tokenizer_json_parse(const char *path, const void *text, size_t size, const char *unknown,
                          AddedTokens *added, Messages *errors);

#endif
