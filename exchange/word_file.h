/* Learned words in the files of various programs. */
#ifndef TI_WORD_FILE_H
#define TI_WORD_FILE_H

#include "weights/embedding.h"

/* These return false and add a message when there are no words to read; otherwise the caller frees *e
   with embeddings_free. */

/* Reads the file of a learned word as embeddings_parse does. In addition to that function's errors, the file
   may not be readable, or it may be a pickle (.pt, .bin); the message then says how to convert it. */
bool word_file_read(const char *path, Embeddings *e, Messages *errors);
/* Reads a source as a user gives it. FILE is a file. NAME=FILE gives the only word of a file another name,
   unless a file of that whole name exists. FOLDER means all .safetensors files in it: their words are
   optional ones, and each file without words gives a warning. */
bool words_read(const char *source, Embeddings *e, Messages *errors, Messages *warnings);

/* The same as word_file_read for a file's bytes; path is used for messages and for a word without a name. */
bool word_file_parse(const char *path, const void *bytes, size_t size, Embeddings *e, Messages *errors);

#endif
