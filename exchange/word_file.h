/* SPDX-License-Identifier: MIT */
/* Reads learned words from the files of various programs. */
#ifndef TI_WORD_FILE_H
#define TI_WORD_FILE_H

#include "weights/embedding.h"

/* All functions here return false and add a message when there are no words to read; otherwise the caller
   frees *e with embeddings_free. */

/* Reads the file of a learned word, whatever program wrote it: a safetensors file, a file of torch.save (.pt,
   .bin), or a PNG with a word in it. Which it is follows from its content. What holds for its tensors is said
   at embeddings_of. */
bool word_file_read(const char *path, Embeddings *e, Messages *errors);
/* Reads a source as a user gives it. FILE is a file. NAME=FILE gives the only word of a file another name,
   unless a file of that whole name exists. FOLDER means all such files in it, by their endings: their words
   are optional, and a warning is added for each file without words. Pictures without a word are passed over.
   */
bool words_read(const char *source, Embeddings *e, Messages *errors, Messages *warnings);

/* Does the same as word_file_read for a file's bytes. path is used for messages and for a word without a
   name. */
bool word_file_parse(const char *path, const void *bytes, size_t size, Embeddings *e, Messages *errors);

#endif
