/* SPDX-License-Identifier: MIT */
/* Learned embeddings, the words that textual inversion finds: read from a list of tensors, and written as
   safetensors files. */
#ifndef TI_EMBEDDING_H
#define TI_EMBEDDING_H

#include "weights/safetensors.h"

typedef struct {
    char *token;
    char *path;           /* the path of its file, or NULL when it is not known */
    char *name_in_file;   /* the word's name in the file if the user has renamed it to token, else NULL */
    bool optional;        /* whether it comes from a folder of words; it is loaded only if a prompt uses it */
    bool token_from_path; /* whether the file's name is the token, as in A1111 and ComfyUI */
    float *learned;       /* the learned vectors [vectors, width], all finite */
    int64_t vectors, width;
} Embedding;

typedef struct {
    Embedding *words;
    int64_t count; /* at least 1 after reading */
} Embeddings;

/* Reads the words from a file's tensors; path is the file's name. Each tensor is a word, [n, D] or [D], of
   type F64, F32, F16 or BF16. Its name is its token (diffusers). If it is a name that other programs give to
   every word ("emb_params", "*", "weight", ...), the file's name is the token. Returns false and adds a
   message for a word of Stable Diffusion XL (a pair of tensors), a per-layer word, a word that is added after
   the text encoder, another shape or type, and a value that is not finite. */
bool embeddings_of(const char *path, const Safetensors *s, Embeddings *e, Messages *errors);
/* Does the same for the bytes of a safetensors file. */
bool embeddings_parse(const char *path, const void *bytes, size_t size, Embeddings *e, Messages *errors);
void embeddings_free(Embeddings *e);
/* Moves all words of `more` to the end of e. */
void embeddings_append(Embeddings *e, Embeddings *more);

/* Writes the layout of diffusers: {token: [vectors, width]} in F32 with the metadata {"format": "pt"}.
   Returns false and adds a message when the file cannot be written. */
bool embedding_write(const char *path, const char *token, const float *learned, int64_t vectors,
                     int64_t width, Messages *errors);

#endif
