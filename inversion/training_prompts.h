/* SPDX-License-Identifier: MIT */
/* The prompts with which a word is learned, such as "a photo of a <grum>": those of templates, which all
   pictures share, or captions, where each picture has prompts of its own. */
#ifndef TI_TRAINING_PROMPTS_H
#define TI_TRAINING_PROMPTS_H

#include "inversion/templates.h"

/* Where the prompts come from. */
typedef struct {
    Kind kind;
    const char *templates; /* a name or a file (templates_get), or NULL */
    const char *class; /* what stands before the word, such as "cat" for "a photo of a cat <mimi>", or NULL */
    bool captions;     /* whether each picture has sentences of its own, in the file NAME.txt beside it */
    int64_t vectors;   /* of the word */
    bool progressive;  /* whether there are forms for 1 to `vectors` of them */
    bool per_image;    /* whether there are forms with the pictures' own words */
} PromptSource;

/* The token ids [rows, forms, tokens]. The rows of picture p are first[p] to first[p + 1] - 1, or all rows
   where first is NULL. Most runs have one form. With the progressive extension (progressive.h), form k
   contains the word's first k + 1 vectors. With per-image tokens, twice as many forms follow one another:
   in the second half, "a photo of S* with S_i" stands for "a photo of S*", where S_i is the own word of
   picture i. */
typedef struct {
    int32_t *ids;
    int64_t rows, tokens, longest; /* longest: the tokens of the longest prompt, which may be more than fit */
    int64_t *first;                /* [pictures + 1] or NULL */
    int64_t forms, sizes;          /* sizes: of how many numbers of vectors there are forms */
} TrainingPrompts;

/* Reads the prompts of the word for the pictures at these paths. A line of a caption has "{}", "[name]" or
   the word itself in the word's place. In templates, "[filewords]" stands for the picture's own text, as in
   A1111: its NAME.txt, or else its file's name without the number and the ending. The tokenizer knows only
   the word. The own word of picture i has the id that follows those of the word's vectors and of the
   pictures before it, and no text means it. Returns false and adds a message for each fault: those of
   templates_get, a picture without a caption, text that is too long or is not UTF-8. Call
   training_prompts_free in every case. */
bool training_prompts_read(TrainingPrompts *p, const PromptSource *source, Tokenizer *t, const char *word,
                           char *const paths[], int64_t pictures, Messages *errors);
void training_prompts_free(TrainingPrompts *p);

/* The first row of a picture's prompts, and their number. */
int64_t training_prompts_first(const TrainingPrompts *p, int64_t picture);
int64_t training_prompts_count(const TrainingPrompts *p, int64_t picture);

/* Returns the ids [tokens] of a row, in the form with so many of the word's vectors, and with the picture's
   own word or without it. */
const int32_t *training_prompts_ids(const TrainingPrompts *p, int64_t row, int64_t vectors, bool own);

/* Returns a hash of the ids, and of which of them belong to which picture. */
uint64_t training_prompts_hash(const TrainingPrompts *p, int64_t pictures);

#endif
