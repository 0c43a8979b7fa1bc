/* tokenizer.json: vocabulary, merges and added tokens in one document, the only form that transformers 5
   writes. */
#ifndef TI_TOKENIZER_JSON_H
#define TI_TOKENIZER_JSON_H

#include "text/added.h"
#include "text/bpe.h"

/* Its vocabulary and merges; NULL and a line if it is no tokenizer of CLIP. transformers makes CLIP's
   tokenizer of whatever vocabulary and merges stand there, without a look at the rest of the file: a file of
   another kind of tokenizer would give tokens that mean nothing. added: gets the added tokens; NULL: they do
   not matter. */
Bpe *tokenizer_json_parse(const char *path, const void *text, size_t size, const char *unknown,
                          AddedTokens *added, Messages *errors);

#endif
