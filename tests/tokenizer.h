/* SPDX-License-Identifier: MIT */
/* Helpers of the tests of the tokenizer. */
#ifndef TI_TEST_TOKENIZER_H
#define TI_TEST_TOKENIZER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"
#include "text/tokenizer.h"

enum { MAX_LENGTH_CRITTERS = 32, MAX_LENGTH_CLIP = 77 };

/* The first two members of every vocabulary that the tests write as JSON text. */
#define SPECIALS "\"<|startoftext|>\": 0, \"<|endoftext|>\": 1"

/* Loads the tokenizer of the embedded model when name is "critters", and CLIP's own otherwise. pad is the
   padding token, NULL when it is the end token. */
static inline Tokenizer *make_tokenizer(const char *name, char *pad) {
    Messages errors = { 0 };
    Tokenizer *t = NULL;
    if (strcmp(name, "critters") == 0) {
        TokenizerConfig config = { .model_max_length = MAX_LENGTH_CRITTERS, .pad_token = pad };
        t = tokenizer_load("weights/critters/tokenizer/vocab.json", "weights/critters/tokenizer/merges.txt",
                           &config, &errors);
    } else {
        TokenizerConfig config = { .model_max_length = MAX_LENGTH_CLIP, .pad_token = pad };
        t = tokenizer_load(NULL, "weights/clip/merges.txt", &config, &errors);
    }
    if (!t) {
        fprintf(stderr, "%s", errors.text);
        exit(1);
    }
    return t;
}

#endif
