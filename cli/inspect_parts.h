/* What `ti inspect` shows of the three things it knows: files of tensors, model folders, learned words. Each
   prints text, or JSON if json is set, to standard output. */
#ifndef TI_INSPECT_PARTS_H
#define TI_INSPECT_PARTS_H

#include "cli/console.h"
#include "weights/embedding.h"
#include "weights/safetensors.h"

/* What a weights file is, by its tensors' names and shapes. */
const char *weights_family(const Safetensors *s);
/* Are these tensors words rather than weights? embeddings_read takes whatever has the shapes. */
bool looks_like_words(const Safetensors *s);

void inspect_tensors(const Safetensors *s, bool json);

/* A folder's parts, architecture, types and defaults, as far as they can be read. tensors: list them too.
   What is wrong goes to errors (and into the JSON); then false. */
bool inspect_folder(const char *path, bool tensors, bool json, Messages *errors, Messages *warnings);

/* The words of a learned embedding; m: the model whose vocabulary stands beside them (NULL: none); nearest:
   words a row. False, with a line, if the model's words have another width. */
bool inspect_words(const char *path, const Embeddings *e, const Model *m, int64_t nearest, bool json,
                   Messages *errors);

/* The tensors as lines, and as a list. */
void print_tensors(const Safetensors *s);
cJSON *json_tensors(const Safetensors *s);

#endif
