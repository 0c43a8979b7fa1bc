/* SPDX-License-Identifier: MIT */
/* Files of prompts, one on each line. */
#ifndef TI_PROMPT_LIST_H
#define TI_PROMPT_LIST_H

#include "io/base.h"

typedef struct {
    char *prompt, *negative; /* negative is NULL where the line has none */
} PromptLine;

typedef struct {
    PromptLine *lines;
    int64_t count;
} PromptList;

/* Reads a file of prompts. Each line is a prompt, after which a tab and a negative prompt may follow.
   Lines that begin with # and empty lines are skipped, and white space at the ends of a prompt is removed.
   Returns false and adds a message for a file that cannot be read, is not UTF-8 text, has no prompt, or
   more than 1000; and for a line with two tabs or with no prompt before its tab. */
bool prompt_list_read(const char *path, PromptList *l, Messages *errors);
/* Does the same for the bytes of such a file; path is used for messages. */
bool prompt_list_parse(const char *path, const void *bytes, size_t size, PromptList *l, Messages *errors);
void prompt_list_free(PromptList *l);

#endif
