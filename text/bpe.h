/* Byte-pair encoding over CLIP's byte-level alphabet: a vocabulary (vocab.json) and its merges. */
#ifndef TI_BPE_H
#define TI_BPE_H

#include "io/json.h"

typedef struct Bpe Bpe;

/* Ids that grow as they are appended. */
typedef struct {
    int32_t *at; /* free() it */
    int64_t count, capacity;
} Ids;

void ids_push(Ids *ids, int32_t id);

/* vocab: a JSON object that gives each token its id, the ids being 0 .. V-1, each once; NULL: it follows from
   the merges as in CLIP, the bytes' characters in their order, the same with "</w>", a token a merge, the
   start and the end token. merges: a pair of tokens a line, the best first, lines that begin with #version
   aside. NULL and lines that name the paths, if these are not that. unknown: the token for bytes that the
   vocabulary lacks. */
Bpe *bpe_parse(const char *vocab_path, const void *vocab, size_t vocab_size, const char *merges_path,
               const void *merges, size_t merges_size, const char *unknown, Messages *errors);

/* The same of a vocabulary and merges that stand in one document, as in tokenizer.json: a merge is a line as
   above or a list of its two tokens. */
Bpe *bpe_from_json(const char *path, json_t *vocab, const json_t *merges, const char *unknown,
                   Messages *errors);
void bpe_free(Bpe *b);

int64_t bpe_size(const Bpe *b); /* V */

/* The id of a token as it stands in vocab.json ("cat</w>"); -1 if there is none. */
int32_t bpe_find(const Bpe *b, const char *token);

/* The token as it stands in vocab.json, 0 <= id < V. */
const char *bpe_token(const Bpe *b, int32_t id);

/* The text that a token stands for: its bytes, without the mark of a word's end; free() it. What is not a
   whole character is U+FFFD. */
char *bpe_text(const Bpe *b, int32_t id);

/* Appends the ids of a piece of text, size > 0 bytes of UTF-8. Time n log n in its size. */
void bpe_encode(const Bpe *b, const char *piece, size_t size, Ids *ids);

#endif
