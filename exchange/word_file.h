/* Learned words in the files of any program. */
#ifndef TI_WORD_FILE_H
#define TI_WORD_FILE_H

#include "weights/embedding.h"

/* Reads a learned word's file as embeddings_parse does. Errors beside its own: no such file, a pickle (.pt, .bin; the line
   says how to convert it). */
bool word_file_read(const char *path, Embeddings *e, Messages *errors);
/* The same from the file's bytes; path names it. */
bool word_file_parse(const char *path, const void *bytes, size_t size, Embeddings *e, Messages *errors);

#endif
