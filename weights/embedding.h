/* Learned embeddings: the words that textual inversion finds, as safetensors. */
#ifndef TI_EMBEDDING_H
#define TI_EMBEDDING_H

#include "io/base.h"

typedef struct {
    char *token;
    char *path;           /* of its file; NULL: not known */
    char *called;         /* its name there, where token is another; NULL: it is not */
    bool optional;        /* of a folder of words, and loaded where a prompt uses it */
    bool token_from_path; /* the file does not say it: the file's own name, as in A1111 and ComfyUI */
    float *learned;       /* [vectors, width], finite */
    int64_t vectors, width;
} Embedding;

typedef struct {
    Embedding *words;
    int64_t count; /* at least 1 */
} Embeddings;

/* Reads {"<token>": [n, D] or [D], ...} (diffusers), {"emb_params": [n, D]}, or emp_params, and a tensor
   whose name says nothing ("*", "weight", "embedding", ...), F64, F32, F16 or BF16, from the bytes of a
   safetensors file; path names it. Errors: Stable Diffusion XL's pairs, per-layer words, other shapes and
   types, values that are not finite. */
bool embeddings_parse(const char *path, const void *bytes, size_t size, Embeddings *e, Messages *errors);
void embeddings_free(Embeddings *e);

/* Writes the diffusers layout: {token: [vectors, width]} in F32, metadata {"format": "pt"}. */
bool embedding_write(const char *path, const char *token, const float *learned, int64_t vectors,
                     int64_t width, Messages *errors);

#endif
