/* SPDX-License-Identifier: MIT */
/* Writes learned words as other programs read them. */
#ifndef TI_CONVERT_H
#define TI_CONVERT_H

#include "weights/embedding.h"

typedef enum { TO_DIFFUSERS, TO_A1111, TO_A1111_PNG, TO_KOHYA, TO_SD_CPP } WordTarget;

/* The targets' names, in the order of WordTarget, ending with NULL. */
extern const char *const WORD_TARGETS[];

typedef struct {
    WordTarget target;
    const char *out;  /* the file to write; a folder when there are several words, which exists */
    const char *word; /* the name of the only word, or NULL for the name that follows the program's rules */
    const char *picture; /* of TO_A1111_PNG, or NULL for the run's validation picture, or a plain card */
} ConvertOptions;

/* Returns the name by which the program's users write a word, which the caller frees: without angle brackets
   where they cannot be part of a file's name, in lower case for sd.cpp. */
char *word_name_for(WordTarget target, const char *token);

/* Returns the path at which a word is written: out, or a file in that folder when there are several words.
   The caller frees it. */
char *word_path_for(const ConvertOptions *o, const Embedding *e, bool several);

/* Writes a word to a path from word_path_for. A run's folder in which the word's file lies says which step
   and model it comes from. Adds a note for what the program will understand in another way. Returns false and
   adds a message when the file cannot be written, or the picture not be read. */
bool word_write_for(const ConvertOptions *o, const Embedding *e, const char *path, Messages *errors,
                    Messages *notes);

#endif
