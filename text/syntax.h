/* SPDX-License-Identifier: MIT */
/* The syntaxes in which weights are written into prompts: A1111's and ComfyUI's. docs/prompts.md has the
   rules on a page. */
#ifndef TI_SYNTAX_H
#define TI_SYNTAX_H

#include "io/base.h"

typedef enum { SYNTAX_PLAIN, SYNTAX_A1111, SYNTAX_COMFY } PromptSyntax;
extern const char *const PROMPT_SYNTAX_NAMES[]; /* in this order, ending with NULL */

/* A part of a prompt with the same weight throughout, or the place of a BREAK, which has no text. */
typedef struct {
    char *text;
    double weight;
    bool is_break;
} Segment;

typedef struct {
    Segment *at;
    int64_t count;
} Segments;

/* Splits a prompt. Under SYNTAX_PLAIN it is one segment. Returns false and adds a message for a weight
   that is no finite number, for brackets that are nested more than 100 deep, and for what A1111 would do
   in the course of the steps: [a:b:n], [a|b], AND and a weight of the whole prompt. */
bool segments_parse(const char *prompt, PromptSyntax syntax, Segments *s, Messages *errors);
void segments_free(Segments *s);

/* Whether a prompt seems to be written for another program: with (text:1.2), doubled brackets, BREAK or
   embedding:name. */
bool prompt_looks_weighted(const char *prompt);

#endif
