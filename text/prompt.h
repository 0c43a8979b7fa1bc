/* Prompts: the learned words that a prompt may use, and the conversion of a prompt to the token ids that the
   text encoder gets. */
#ifndef TI_PROMPT_H
#define TI_PROMPT_H

#include "text/tokenizer.h"

/* The vectors of all learned words that prompts may use, in the order in which their tokens were added to the
   tokenizer. Initialise with { .width = the text encoder's width D }. */
typedef struct {
    float *learned; /* [vectors, width] */
    int64_t vectors, width;
} Words;

/* Adds a word of n learned vectors [n, width] and adds its placeholder token to the tokenizer. Messages name
   `from`, the file or option that the word comes from. `rename` is advice that follows a message about a
   token that cannot be added; where it is NULL, such a message has neither the advice nor `from`. Returns
   false and adds a message when the width differs from w's, n exceeds 1000, or the token cannot be added
   (tokenizer_add). */
bool words_add(Words *w, Tokenizer *t, const char *token, const float *learned, int64_t n, int64_t width,
               const char *from, const char *rename, Messages *errors);
void words_free(Words *w);

/* Returns the token ids [S] of a prompt with its placeholder tokens expanded, S = tokenizer_max_length;
   free() them. Adds a warning when the prompt has more than S - 2 tokens, so that its end is left out. */
int32_t *prompt_ids(const Tokenizer *t, const char *prompt, Messages *warnings);

/* Whether the tokens of the prompt include the learned word, or one of its vectors by that vector's own name
   ("<x>_1"). */
bool prompt_uses(const Tokenizer *t, const char *prompt, const char *token);

/* Whether the normalised text of the prompt contains the normalised name of the word anywhere. The tokenizer
   need not know the word yet. */
bool prompt_has_text(const char *prompt, const char *token);

/* Looks for a misspelling of a learned word in a prompt that does not use the word. Returns the part of the
   prompt that resembles it most, as it is written there ("grum" or "<gurm>" for <grum>); NULL when nothing
   resembles it. free() the result. */
char *prompt_nearest(const Tokenizer *t, const char *prompt, const char *token);

/* Turns a token into a name for a file or folder: angle brackets are dropped, and any character that could
   cause trouble in such a name becomes a hyphen ("<my cat>" becomes "my-cat"). free() the result. */
char *token_file_name(const char *token);

#endif
