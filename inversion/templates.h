/* SPDX-License-Identifier: MIT */
/* The templates: sentences such as "a photo of a {}", in which the word takes the
   place of "{}" while it is learned. */
#ifndef TI_TEMPLATES_H
#define TI_TEMPLATES_H

#include "text/tokenizer.h"

typedef enum { KIND_OBJECT, KIND_STYLE } Kind;

/* Each line contains "{}" once, in the place of the word. The order of the lines matters,
   since training draws an index. */
typedef struct {
    char **lines;
    int64_t count;
} Templates;

/* Gets a list by its name, or reads a file. The lists are

       diffusers  the reference script's, also taken when name is NULL: 27 for objects, 19 for styles
       paper      the 27 of the paper's appendix, which end with a full stop; it prints none for styles
       code       those of the authors' code: 81 for objects, and the same 19 for styles

   The 81 are the 27, then the 27 twice with "an illustration of" and "a depiction of" where they begin with
   "a photo of". Any other name is the path of a text file with one template on each line, in which empty
   lines and lines that begin with '#' are skipped. Returns false and adds a message for each fault: the list
   has no templates for styles; the file cannot be read, or holds no templates or too many; a line has no "{}"
   or several, is not UTF-8, contains a zero byte, or is longer than 1000 bytes. */
bool templates_get(Templates *t, Kind kind, const char *name, Messages *errors);
/* Whether it is the name of one of the lists. */
bool templates_named(const char *name);
/* Parses the text of such a file; path is for messages. "[name]", as A1111 writes it, and the word itself,
   if it is not NULL, may stand for "{}", which replaces them. */
bool templates_parse(Templates *t, const char *path, const char *text, size_t size, const char *word,
                     Messages *errors);
void templates_free(Templates *t);

/* Returns the template with the word in place of "{}"; free() it. */
char *template_fill(const char *line, const char *word);

#endif
