/* What `ti inspect` shows of the three things it knows: files of tensors, models, learned words. Each
   prints text, or JSON if json is set, to standard output. */
#ifndef TI_INSPECT_PARTS_H
#define TI_INSPECT_PARTS_H

#include "cli/console.h"
#include "diffusion/model.h"
#include "io/sha256.h"
#include "weights/embedding.h"
#include "weights/safetensors.h"

/* A file beside the ones that are known by size and hash. */
typedef struct {
    int64_t bytes;
    const char *known;        /* the known file of this size; NULL: there is none */
    char sha256[SHA256_TEXT]; /* empty: not computed */
    bool same;                /* the known file's hash */
} FileIdentity;

/* Of the file with these bytes. Its hash is computed, some 0.3 GB a second, if it has a known file's size or
   hash is set; a word on stderr says so. */
FileIdentity identify(const File *file, bool hash);
void print_identity(const FileIdentity *id);
void add_identity(json_t *document, const FileIdentity *id);

void inspect_tensors(const Safetensors *s, bool hash, bool json);

/* A model: its parts, architecture, types and defaults, as far as they can be read; of a single file what it
   is, too (hash: identify). vae: as in exchange_open_model. tensors: list them. What is wrong goes to errors
   (and into the JSON); then false. */
bool inspect_model(const char *path, const char *vae, bool tensors, bool hash, bool json, Messages *errors,
                   Messages *warnings);

/* The words of a learned embedding; m: the model whose vocabulary stands beside them (NULL: none); nearest:
   words a row. False, with a line, if the model's words have another width. */
bool inspect_words(const char *path, const Embeddings *e, const Model *m, int64_t nearest, bool json,
                   Messages *errors);

/* The tensors as lines, and as a list. */
void print_tensors(const Safetensors *s);
json_t *json_tensors(const Safetensors *s);

#endif
