/* SPDX-License-Identifier: MIT */
/* Prompts: the learned words that a prompt may use, and the conversion of a prompt to the token ids that the
   text encoder gets. */
#ifndef TI_PROMPT_H
#define TI_PROMPT_H

#include "text/syntax.h"
#include "text/tokenizer.h"

/* A learned word: vectors first .. first + vectors - 1 of Words. */
typedef struct {
    char *token, *from; /* from: the file or option that gave it */
    int64_t first, vectors;
} Word;

/* The vectors of all learned words that prompts may use, in the order in which their tokens were added to the
   tokenizer. Initialise with { .width = the text encoder's width D }. */
typedef struct {
    float *learned; /* [vectors, width] */
    int64_t vectors, width;
    Word *words; /* [count] */
    int64_t count;
} Words;

/* Adds a word of n learned vectors [n, width] and adds its placeholder token to the tokenizer. Messages name
   `from`, the file or option that gave the word. `rename` is advice that follows a message about a token that
   cannot be added; if it is NULL, such a message has neither the advice nor `from`. Returns false and adds a
   message when the width differs from w's, n exceeds 1000, or the token cannot be added (tokenizer_add). */
bool words_add(Words *w, Tokenizer *t, const char *token, const float *learned, int64_t n, int64_t width,
               const char *from, const char *rename, Messages *errors);
/* From now on the only word has, in prompts and wherever its vectors are kept, its first n vectors. */
void words_show(Words *w, Tokenizer *t, int64_t n);
void words_free(Words *w);

/* Returns the token ids [S] of a prompt with its placeholder tokens expanded, where S is
   tokenizer_max_length. The caller frees them. Adds a warning when the prompt has more than S - 2 tokens, so
   that its end is left out. */
int32_t *prompt_ids(const Tokenizer *t, const char *prompt, Messages *warnings);

/* A prompt as the text encoder gets it: K chunks, each a window of S = tokenizer_max_length tokens with a
   start and an end token. Their contexts are joined to one of K S rows. */
typedef struct {
    PromptSyntax syntax; /* by whose rule the weights act (diffusion/emphasis.h) */
    int64_t chunks;      /* K */
    int32_t *ids;        /* [K, S] */
    float *weights;   /* [K, S], of which those of start, end and padding tokens are 1; NULL if all are 1 */
    int32_t *empty;   /* [S]: a chunk without text, which ComfyUI's weights need; else NULL */
    int64_t *counts;  /* [K]: the tokens of the text in each chunk */
    int64_t left_out; /* the tokens of the text that are in no chunk */
} Prompt;

typedef enum { LONG_PROMPTS_DEFAULT, LONG_PROMPTS_CUT, LONG_PROMPTS_CHUNKS } LongPrompts;
extern const char *const LONG_PROMPTS_NAMES[]; /* in this order, ending with NULL */

typedef struct {
    PromptSyntax syntax;
    LongPrompts long_prompts; /* by default, plain prompts are cut and others get more chunks */
} PromptOptions;

/* Reads a prompt. A1111's chunks are filled token by token; where one is full and a comma was among its
   last 20 tokens, what follows the comma moves to the next chunk. ComfyUI's are filled word by word.
   Neither cuts a learned word of several vectors. Plain prompts are filled as A1111's. With
   LONG_PROMPTS_CUT only the first chunk is kept, and of a plain prompt as many tokens as fit, which may
   cut such a word as in diffusers. Adds a warning when tokens are left out, and when a plain prompt looks
   as if its brackets were weights. Returns false and adds a message for the faults of segments_parse, for
   a learned word that no chunk can hold, for embedding:name where no learned word has the name, and for
   more than 100 chunks. */
bool prompt_read(const Tokenizer *t, const char *text, PromptOptions options, Prompt *p, Messages *errors,
                 Messages *warnings);
/* Returns a prompt without text: one chunk without tokens. */
Prompt prompt_empty(const Tokenizer *t);
void prompt_free(Prompt *p);

/* Whether the tokens of the prompt include the learned word or a token of one of its further
   vectors, such as "<x>_1". Also whether its text names the word as ComfyUI does, embedding:x. */
bool prompt_uses(const Tokenizer *t, const char *prompt, const char *token);

/* Whether the normalised text of the prompt contains the normalised name of the word anywhere. The tokenizer
   need not know the word yet. */
bool prompt_has_text(const char *prompt, const char *token);

/* Returns the text of a prompt without its weights and without the words, as CLIP reads a text: normalised.
   The prompt must be one that prompt_read accepts with this syntax. The caller frees the text. */
char *prompt_text(const char *prompt, PromptSyntax syntax, const Words *words);

/* Looks for a misspelling of a learned word in a prompt that does not use the word. Returns the part of the
   prompt that resembles the word most, as the prompt has it ("grum" or "<gurm>" for <grum>), or NULL when no
   part resembles it. The caller frees the result. */
char *prompt_nearest(const Tokenizer *t, const char *prompt, const char *token);

/* Turns a token into a name for a file or folder: angle brackets are dropped, and any character
   that could cause trouble in such a name becomes a hyphen ("<my cat>" becomes "my-cat"). The
   caller frees the result. */
char *token_file_name(const char *token);

#endif
