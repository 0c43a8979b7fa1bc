/* SPDX-License-Identifier: MIT */
/* CLIP's tokenizer. On any text it gives the same ids as transformers' CLIPTokenizer made from the same
   files. A text goes through these steps:

     1. Added tokens that are searched for in the raw text (in most models only <|endoftext|>) are cut out.
     2. The text between them is normalised: NFC, white space, lower case (text/unicode.h).
     3. The other added tokens, placeholder tokens among them, are cut out.
     4. The rest is split into pieces: runs of letters, single numbers, runs of anything else but spaces.
     5. Byte-pair encoding turns each piece into ids (text/bpe.h).

   The leftmost match of an added token counts, and if several tokens match there, the longest one. Added
   tokens also match within words: the learned word "cat-toy" in "cat-toys", and "EasyNeg" in "EasyNegative".
   The reference does the same, and both must turn a learned word into the same tokens. A name in angle
   brackets never occurs within a word by accident, but a name with a space can, such as "my cat" in "economy
   category". Therefore a placeholder token with a space matches whole words only, as if it had the
   reference's flag single_word, although diffusers adds it without that flag. */
#ifndef TI_TOKENIZER_H
#define TI_TOKENIZER_H

#include "text/added.h"

typedef struct {
    int64_t model_max_length;
    char *pad_token;     /* NULL when it is the end token */
    int64_t rows;        /* number of rows of the token embedding; 0 when it has one row per token */
    AddedTokens special; /* if empty, the special tokens of Stable Diffusion are used */
    AddedTokens added;   /* other added tokens of the model */
    bool has_decoder;    /* whether `added` is added_tokens_decoder; other files' lists are then ignored */
} TokenizerConfig;

/* Reads the text of tokenizer_config.json, with errors and warnings as in clip_config_parse
   (weights/config.h). `positions` is the text encoder's number of positions, which limits the length of a
   prompt. `map` is the text of special_tokens_map.json, or NULL when there is no such file. */
bool tokenizer_config_parse(const char *path, const void *text, size_t size, const void *map, size_t map_size,
                            int64_t positions, TokenizerConfig *c, Messages *errors, Messages *warnings);

/* Reads the text of added_tokens.json into c->added. Returns false and adds a message when it is
   malformed. */
bool tokenizer_config_added(TokenizerConfig *c, const char *path, const void *text, size_t size,
                            Messages *errors);
void tokenizer_config_free(TokenizerConfig *c);

typedef struct Tokenizer Tokenizer;

/* Reads a tokenizer from vocab.json and merges.txt. When merges_path is NULL, vocab_path is a tokenizer.json,
   which contains the merges too. When vocab_path is NULL, the vocabulary is derived from the merges
   (text/bpe.h). Added tokens that the vocabulary lacks get the ids after the vocabulary's, in the order of
   their ids in the files, as in transformers. Returns NULL and adds messages that name the path when a file
   is missing or malformed, or an added token has no row in the token embedding. */
Tokenizer *tokenizer_load(const char *vocab_path, const char *merges_path, const TokenizerConfig *config,
                          Messages *errors);

/* Does the same from texts in memory; the paths serve for messages only. */
Tokenizer *tokenizer_parse(const char *vocab_path, const void *vocab, size_t vocab_size,
                           const char *merges_path, const void *merges, size_t merges_size,
                           const TokenizerConfig *config, Messages *errors);
void tokenizer_free(Tokenizer *t);

/* Returns S, the number of tokens that the text encoder gets, with the start and the end token. */
int64_t tokenizer_max_length(const Tokenizer *t);

/* Returns the number of tokens in the model's files, added tokens included; their ids begin at 0. */
int64_t tokenizer_vocab_size(const Tokenizer *t);

/* Returns the id of the first learned vector. It is the number of rows of the token embedding, which can be
   larger than the number of tokens. */
int32_t tokenizer_first_learned_id(const Tokenizer *t);

/* Returns the number of learned vectors that have been added. */
int64_t tokenizer_learned(const Tokenizer *t);

/* Adds a placeholder token for n = `vectors` learned vectors: the tokens word, word_1, word_2, ... get the
   next n ids, beginning with tokenizer_first_learned_id for the first word. Id tokenizer_first_learned_id + i
   stands for row i of the learned vectors in clip_text. Returns the first of the n ids. Returns -1 and adds
   messages when one of the tokens is already in the vocabulary (with or without "</w>"), is an added token or
   differs from one only in case, or could never match in a text. */
int32_t tokenizer_add(Tokenizer *t, const char *word, int vectors, Messages *errors);

/* From now on placeholder tokens stand for those of their vectors that are among the first n learned vectors.
   This is for a word whose vectors are learned one after the other (inversion/progressive.h). */
void tokenizer_show(Tokenizer *t, int64_t n);

/* Returns the text that names all vectors of an added word in a prompt, "<x> <x>_1 <x>_2", normalised, as
   diffusers' training script writes it. The caller frees it. */
char *tokenizer_placeholder(const Tokenizer *t, const char *word);

/* Returns the prompt with each match of a word of several vectors replaced by the names of all its vectors.
   The caller frees it. diffusers' pipelines do the same before they tokenise (maybe_convert_prompt), but they
   search the raw text. Therefore a word whose case differs between file and prompt stands for its first
   vector alone there, and in a prompt with both <x> and <x>_1 the beginning of <x>_1 is replaced as well.
   This function has neither flaw. */
char *tokenizer_expand_placeholders(const Tokenizer *t, const char *prompt);

/* Returns all token ids of a prompt, with words of several vectors expanded as above.
   The caller frees them. */
int32_t *tokenizer_encode_prompt(const Tokenizer *t, const char *prompt, int64_t *count);

/* Fills ids[S] for the text encoder with the start token, at most S - 2 of the tokens, the end
   token and padding tokens. */
void tokenizer_window(const Tokenizer *t, const int32_t *tokens, int64_t count, int32_t *ids);

/* Fills ids[S] with the tokens of a text in the same way. Returns how many tokens the text has, including
   those that do not fit. */
int64_t tokenizer_encode(const Tokenizer *t, const char *text, int32_t *ids);

/* Returns the token ids of a text, without start, end and padding tokens. The caller frees them. */
int32_t *tokenizer_encode_raw(const Tokenizer *t, const char *text, size_t size, int64_t *count);

/* Returns the id of a word that is a single token. Returns -1 and adds a message, which lists the word's
   tokens, when it has several tokens or none. */
int32_t tokenizer_single_token(const Tokenizer *t, const char *word, Messages *errors);

/* Returns the name of a token in the reference's spelling, such as "cat</w>" or "<x>_1". A token with
   this id must exist. */
const char *tokenizer_token(const Tokenizer *t, int32_t id);

/* Returns the text that a token stands for, such as "cat". The caller frees it. */
char *tokenizer_token_text(const Tokenizer *t, int32_t id);

/* Returns the id of the token with this name, in the spelling of tokenizer_token, or -1
   when there is none. */
int32_t tokenizer_find(const Tokenizer *t, const char *token);

#endif
