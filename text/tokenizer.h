/* CLIP's tokenizer: equal, on any text, to transformers' CLIPTokenizer made from the same files. Text goes
   through the added tokens that count as they are written (<|endoftext|> mostly), NFC, white space, lower
   case, the other added tokens, pieces (letters, one number, anything else), and byte-pair merges.

   An added token is found at the leftmost place, of several there the longest, and also within words: the
   learned word "cat-toy" in "cat-toys", "EasyNeg" in "EasyNegative". So the reference has it, and a learned
   word has to be the same tokens there. A name in <> is part of no word by accident. One with a space is: "my
   cat" in "economy category"; such a name stands for whole words, as with the reference's flag single_word,
   though diffusers adds it without. */
#ifndef TI_TOKENIZER_H
#define TI_TOKENIZER_H

#include "text/added.h"

typedef struct {
    int64_t model_max_length;
    char *pad_token;     /* NULL: the end token */
    int64_t rows;        /* of the text encoder's table: the first learned word's id; 0: as many as tokens */
    AddedTokens special; /* none at all: start, end and padding as in Stable Diffusion 1.x's files */
    AddedTokens added;   /* words that the model came with */
    bool decoder;        /* they are of added_tokens_decoder, which no other file adds to */
} TokenizerConfig;

/* The text of tokenizer_config.json, read as clip_config_parse reads its file (weights/config.h). positions:
   the text encoder's, the longest a prompt can be. map, map_size: the text of special_tokens_map.json, NULL
   if there is none. */
bool tokenizer_config_parse(const char *path, const void *text, size_t size, const void *map, size_t map_size,
                            int64_t positions, TokenizerConfig *c, Messages *errors, Messages *warnings);
/* The text of added_tokens.json, in a folder that has one. */
bool tokenizer_config_added(TokenizerConfig *c, const char *path, const void *text, size_t size,
                            Messages *errors);
void tokenizer_config_free(TokenizerConfig *c);

typedef struct Tokenizer Tokenizer;

/* merges_path NULL: vocab_path is a tokenizer.json, which has the merges too. vocab_path NULL: the vocabulary
   follows from the merges (text/bpe.h). NULL and lines that name the paths, if the files are missing or are
   not a vocabulary and its merges, or if an added token has no row in the text encoder's table. Words that a
   model came with get the ids behind its vocabulary's in the order of their ids in the file, as in
   transformers. */
Tokenizer *tokenizer_load(const char *vocab_path, const char *merges_path, const TokenizerConfig *config,
                          Messages *errors);

/* The same from memory (vocab NULL: it follows from the merges); the paths are for messages. */
Tokenizer *tokenizer_parse(const char *vocab_path, const void *vocab, size_t vocab_size,
                           const char *merges_path, const void *merges, size_t merges_size,
                           const TokenizerConfig *config, Messages *errors);
void tokenizer_free(Tokenizer *t);

int64_t tokenizer_max_length(const Tokenizer *t); /* S, with the start and the end token */
/* The tokens that the model came with, added ones too: ids from 0. */
int64_t tokenizer_vocab_size(const Tokenizer *t);
/* The id of the first learned vector: the rows of the text encoder's table, which may have more than there
   are tokens. */
int32_t tokenizer_first_word(const Tokenizer *t);

/* Adds a placeholder token of so many vectors: word, word_1, word_2, ... with the next ids
   (tokenizer_first_word the first time), which is a row each of clip_text's rows. Returns the first id; -1
   and a line if the vocabulary has one of them already, as a token or as a whole word, if it is an added one
   or differs from one just in case, or could never be found. */
int32_t tokenizer_add(Tokenizer *t, const char *word, int vectors, Messages *errors);

/* How a prompt names all vectors of an added word, as the training script writes it (normalised): "<x> <x>_1
   <x>_2"; free() it. */
char *tokenizer_placeholder(const Tokenizer *t, const char *word);

/* The prompt with each multi-vector word, wherever it is found as a token, in place of it all its tokens.
   diffusers' pipelines do so too before they tokenise (maybe_convert_prompt), but look for the word as it is
   written in the text: a word with capitals stands for its first vector alone there, and so does any in a
   prompt that writes it otherwise; and where <x> and <x>_1 both stand in a prompt they replace the beginning
   of <x>_1 as well. None of this is so here. free() it. */
char *tokenizer_expand_placeholders(const Tokenizer *t, const char *prompt);

/* All tokens of a prompt, its multi-vector words expanded so; free() them. */
int32_t *tokenizer_prompt(const Tokenizer *t, const char *prompt, int64_t *count);
/* ids[S] of a list of tokens: start, the first S-2 of them, end, padding. */
void tokenizer_window(const Tokenizer *t, const int32_t *tokens, int64_t count, int32_t *ids);

/* ids[S]: start, the text's first S-2 tokens, end, padding. Returns how many tokens the text has: what is
   over S-2 fell off. */
int64_t tokenizer_encode(const Tokenizer *t, const char *text, int32_t *ids);

/* All tokens of the text and no others; free() them. */
int32_t *tokenizer_encode_raw(const Tokenizer *t, const char *text, size_t size, int64_t *count);

/* The id of a word that is a single token; -1 and a line that gives its tokens, if it is several, or none. */
int32_t tokenizer_single(const Tokenizer *t, const char *word, Messages *errors);

/* The token as the reference names it: "cat</w>", "<x>_1". CHECK: there is one of that id. */
const char *tokenizer_token(const Tokenizer *t, int32_t id);
/* What it reads as: "cat"; free() it. */
char *tokenizer_token_text(const Tokenizer *t, int32_t id);
/* The id of a token named so; -1 if there is none. */
int32_t tokenizer_find(const Tokenizer *t, const char *token);

#endif
