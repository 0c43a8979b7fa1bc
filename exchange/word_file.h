/* Learned words in the files of any program. */
#ifndef TI_WORD_FILE_H
#define TI_WORD_FILE_H

#include "weights/embedding.h"

/* Reads a learned word's file as embeddings_parse does. Errors beside its own: no such file, a pickle (.pt,
   .bin; the line says how to convert it). */
bool word_file_read(const char *path, Embeddings *e, Messages *errors);
/* The same from a source, as a user names it: FILE; NAME=FILE, which gives the file's only word another name
   (a file whose name has a = in it is a FILE); or FOLDER, all of whose .safetensors files with words are
   read, as optional ones, the others passed over with a warning each. */
bool words_read(const char *source, Embeddings *e, Messages *errors, Messages *warnings);

/* The same from the file's bytes; path names it. */
bool word_file_parse(const char *path, const void *bytes, size_t size, Embeddings *e, Messages *errors);

#endif
