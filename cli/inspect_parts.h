/* SPDX-License-Identifier: MIT */
/* The reports of `ti inspect` on files of tensors, models and learned words. Each is printed to standard
   output, as text or, when json is set, as JSON. */
#ifndef TI_INSPECT_PARTS_H
#define TI_INSPECT_PARTS_H

#include "cli/console.h"
#include "diffusion/model.h"
#include "io/picture_text.h"
#include "io/sha256.h"
#include "weights/embedding.h"
#include "weights/safetensors.h"

/* A file compared with the published files of known size and hash. */
typedef struct {
    int64_t bytes;
    const char *known;        /* the name of the published file of this size, or NULL */
    char sha256[SHA256_TEXT]; /* empty when it was not computed */
    bool same;                /* whether the hash is that of the published file as well */
} FileIdentity;

/* Compares a file with the published ones. Its hash, which takes a second for 0.3 GB, is computed when it has
   the size of a published file or when hash is set; for a large file a message on stderr says so. */
FileIdentity identify(const File *file, bool hash);
void print_identity(const FileIdentity *id);
void add_identity(json_t *document, const FileIdentity *id);

/* Reports on a file of tensors. hash is passed to identify. */
void inspect_tensors(const Safetensors *s, bool hash, bool json);

/* Reports on a model: its parts, architecture, types and defaults, as far as they can be read, and the
   identity of a single file, for which hash is passed to identify. vae is passed to exchange_open_model. The
   tensors are listed when `tensors` is set. Returns false and adds a message for each fault; the JSON has
   these messages as well. */
bool inspect_model(const char *path, const char *vae, bool tensors, bool hash, bool json, Messages *errors,
                   Messages *warnings);

/* Reports on learned words. m is the model with whose vocabulary their vectors are compared, or NULL;
   `nearest` is the number of nearest words to show for each vector. Returns false and adds a message when the
   vectors have another width than the model's. */
bool inspect_words(const char *path, const Embeddings *e, const Model *m, int64_t nearest, bool json,
                   Messages *errors);

/* Prints a picture's texts: the parameters as they stand, and then "ti" and its JSON on a line. Returns false
   and adds a message when it has neither. */
bool inspect_picture(const char *path, const PictureText *text, bool json, Messages *errors);

/* The list of a file's tensors, as text and as JSON. */
void print_tensors(const Safetensors *s);
json_t *json_tensors(const Safetensors *s);

#endif
