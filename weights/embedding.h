/* Learned embeddings, the words that textual inversion finds, as safetensors files. */
#ifndef TI_EMBEDDING_H
#define TI_EMBEDDING_H

#include "io/base.h"

typedef struct {
    char *token;
    char *path;           /* of its file, or NULL where it is not known */
    char *called;         /* its name in the file where the user gave it another, token; else NULL */
    bool optional;        /* it comes from a folder of words and is loaded only where a prompt uses it */
    bool token_from_path; /* the file has no word, so its own name is the word, as in A1111 and ComfyUI */
    float *learned;       /* the learned vectors [vectors, width], all finite */
    int64_t vectors, width;
} Embedding;

typedef struct {
    Embedding *words;
    int64_t count; /* at least 1 */
} Embeddings;

/* Reads the words from the bytes of a safetensors file, which path names. Each tensor is a word, [n, D] or
   [D], of type F64, F32, F16 or BF16, under its token (diffusers), or under a name that says nothing
   ("emb_params", "emp_params", "*", "weight", "embedding", ...), where the file's name is the token. Returns
   false and adds a message for a word of Stable Diffusion XL (a pair of tensors), a per-layer word, another
   shape or type, and a value that is not finite. */
bool embeddings_parse(const char *path, const void *bytes, size_t size, Embeddings *e, Messages *errors);
void embeddings_free(Embeddings *e);

/* Writes the layout of diffusers: {token: [vectors, width]} in F32 with the metadata {"format": "pt"}.
   Returns false and adds a message when the file cannot be written. */
bool embedding_write(const char *path, const char *token, const float *learned, int64_t vectors,
                     int64_t width, Messages *errors);

#endif
