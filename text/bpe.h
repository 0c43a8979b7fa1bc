/* SPDX-License-Identifier: MIT */
/* Byte-pair encoding (Sennrich et al. 2016) over CLIP's byte-level alphabet, from a vocabulary (vocab.json)
   and its merges (merges.txt). */
#ifndef TI_BPE_H
#define TI_BPE_H

#include "io/json.h"

typedef struct Bpe Bpe;

/* A growing list of token ids. */
typedef struct {
    int32_t *at; /* free() it */
    int64_t count, capacity;
} Ids;

void ids_push(Ids *ids, int32_t id);

/* Reads a vocabulary and its merges from memory; the paths serve for messages only.
   vocab: a JSON object that maps each token to its id; the ids are 0 .. V-1, each exactly once. When it is
       NULL, the vocabulary is derived from the merges as in CLIP: the characters of the 256 bytes, the same
       characters with "</w>", one token per merge, the start token and the end token.
   merges: one merge per line, in the order of their rank: two tokens separated by a space. Lines that begin
       with #version are skipped.
   unknown: the token that stands for bytes which the vocabulary lacks.

   Returns NULL and adds messages when the vocabulary or the merges do not have this form. */
Bpe *bpe_parse(const char *vocab_path, const void *vocab, size_t vocab_size, const char *merges_path,
               const void *merges, size_t merges_size, const char *unknown, Messages *errors);

/* Does the same for a vocabulary and merges from one JSON document, tokenizer.json. A merge is either a
   string of the same form as a line above or a list of two tokens. */
Bpe *bpe_from_json(const char *path, json_t *vocab, const json_t *merges, const char *unknown,
                   Messages *errors);
void bpe_free(Bpe *b);

int64_t bpe_size(const Bpe *b); /* V */

/* Returns the id of a token in the spelling of vocab.json ("cat</w>"), or -1 when the vocabulary lacks it. */
int32_t bpe_find(const Bpe *b, const char *token);

/* Returns the token with the given id, 0 <= id < V, in the spelling of vocab.json. */
const char *bpe_token(const Bpe *b, int32_t id);

/* Returns the text that a token stands for: its bytes without the end-of-word mark "</w>". Bytes that do not
   form a whole UTF-8 character become U+FFFD. The caller frees the result. */
char *bpe_text(const Bpe *b, int32_t id);

/* Encodes a piece of text, size > 0 bytes of UTF-8, and appends its ids, in O(size log size) time. */
void bpe_encode(const Bpe *b, const char *piece, size_t size, Ids *ids);

#endif
