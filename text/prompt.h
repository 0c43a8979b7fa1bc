/* Prompts: learned words by their tokens, and text as what the text encoder gets. */
#ifndef TI_PROMPT_H
#define TI_PROMPT_H

#include "text/tokenizer.h"

/* The learned vectors that prompts may use: rows [vectors, width], the tokenizer's added tokens in their
   order. Starts from { .width = the text encoder's }. */
typedef struct {
    float *learned;
    int64_t vectors, width;
} Words;

/* Adds a word of n vectors [n, width] under its token, which the tokenizer knows from then on; from: where it
   comes from, for messages; rename: what to do if the token cannot be added, NULL: from and that are left
   out. Errors: a token that exists, another width than w's. */
bool words_add(Words *w, Tokenizer *t, const char *token, const float *learned, int64_t n, int64_t width,
               const char *from, const char *rename, Messages *errors);
void words_free(Words *w);

/* The ids [max_length] of a prompt, its placeholders expanded; a warning if it is too long. free() them. */
int32_t *prompt_ids(const Tokenizer *t, const char *prompt, Messages *warnings);

/* Does the prompt have the learned word, or one of its vectors by its own name? */
bool prompt_uses(const Tokenizer *t, const char *prompt, const char *token);

/* Could it have the word, which the tokenizer need not know yet: is its name in the text, in any case of the
   letters? */
bool prompt_has_text(const char *prompt, const char *token);

/* For a word that the prompt does not have: what stands there that is likely to be meant by it, as it is
   written, such as "grum" or "<gurm>" for <grum>; NULL if nothing is near. free() it. */
char *prompt_nearest(const Tokenizer *t, const char *prompt, const char *token);

/* A token as the name of a file or folder, without brackets and with nothing that such a name must not have:
   "<my cat>" is "my-cat"; free() it. */
char *token_file_name(const char *token);

#endif
