/* CLIP's tokenizer: equal, on any text, to transformers' CLIPTokenizer made from the same vocab.json and
   merges.txt. Text goes through the special tokens (<|endoftext|> counts in just this case), NFC, white
   space, lower case, the added tokens (found anywhere, also within words; the leftmost, of these the
   longest), pieces (letters, one number, anything else), and byte-pair merges. */
#ifndef TI_TOKENIZER_H
#define TI_TOKENIZER_H

#include "io/base.h"

typedef struct {
    int64_t model_max_length;
    char *pad_token; /* NULL: the end token */
} TokenizerConfig;

/* The text of tokenizer_config.json, read as clip_config_parse reads its file (weights/config.h). positions: the text encoder's, the longest a prompt can be. map, map_size: the text of
   special_tokens_map.json, NULL if there is none. free() pad_token. */
bool tokenizer_config_parse(const char *path, const void *text, size_t size, const void *map, size_t map_size,
                            int64_t positions, TokenizerConfig *c, Messages *errors, Messages *warnings);

typedef struct Tokenizer Tokenizer;

/* vocab_path NULL: the vocabulary follows from the merges (nn/bpe.h). NULL and lines that name the paths, if the
   files are missing or are not a vocabulary and its merges. */
Tokenizer *tokenizer_load(const char *vocab_path, const char *merges_path, const TokenizerConfig *config,
                          Messages *errors);

/* The same from memory (vocab NULL: it follows from the merges); the paths are for messages. */
Tokenizer *tokenizer_parse(const char *vocab_path, const void *vocab, size_t vocab_size,
                           const char *merges_path, const void *merges, size_t merges_size,
                           const TokenizerConfig *config, Messages *errors);
void tokenizer_free(Tokenizer *t);

int64_t tokenizer_max_length(const Tokenizer *t); /* S, with the start and the end token */
int64_t tokenizer_vocab_size(const Tokenizer *t); /* V, without added tokens */

/* Adds a placeholder token of so many vectors: word, word_1, word_2, ... with the next ids (V the first
   time), which is a row each of clip_text's rows. Returns the first id; -1 and a line if the vocabulary has
   one of them already, as a token or as a whole word, if it is an added one or differs from one just in case,
   or could never be found. */
int32_t tokenizer_add(Tokenizer *t, const char *word, int vectors, Messages *errors);

/* How a prompt names all vectors of an added word, as the training script writes it (normalised): "<x> <x>_1
   <x>_2"; free() it. */
char *tokenizer_placeholder(const Tokenizer *t, const char *word);

/* The prompt with each multi-vector word replaced by all its tokens, as diffusers' pipelines do before they
   tokenise (maybe_convert_prompt), whose peculiarities are kept: the word is looked for in the text, is
   replaced as it is written when it was added, also where <x>_1 begins with it, and one that has capitals
   never is. free() it. */
char *tokenizer_expand_placeholders(const Tokenizer *t, const char *prompt);

/* ids[S]: start, the text's first S-2 tokens, end, padding. Returns how many tokens the text has: what is
   over S-2 fell off. */
int64_t tokenizer_encode(const Tokenizer *t, const char *text, int32_t *ids);

/* All tokens of the text and no others; free() them. */
int32_t *tokenizer_encode_raw(const Tokenizer *t, const char *text, size_t size, int64_t *count);

/* The id of a word that is a single token; -1 and a line that gives its tokens, if it is several, or none. */
int32_t tokenizer_single(const Tokenizer *t, const char *word, Messages *errors);

/* The token as the reference names it: "cat</w>", "<x>_1". CHECK: the id is one of 0 .. V + added - 1. */
const char *tokenizer_token(const Tokenizer *t, int32_t id);
/* What it reads as: "cat"; free() it. */
char *tokenizer_token_text(const Tokenizer *t, int32_t id);
/* The id of a token named so; -1 if there is none. */
int32_t tokenizer_find(const Tokenizer *t, const char *token);

#endif
