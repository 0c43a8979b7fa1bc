/* Weights by name, out of one or several safetensors files: what nn's loaders read. */
#ifndef TI_STORE_H
#define TI_STORE_H

#include "tensor/tensor.h"
#include "weights/safetensors.h"

/* A source of weights. Every fault that a loader meets becomes a line in errors, and loading goes on, so
   that all that is wrong with a folder is reported at once (after ten of them the rest of a store's is left
   out). */
typedef struct Store Store;

/* files (not copied), errors: must outlive the store. prefix: what stands before every name in the file and
   is not asked for, or "". optional: a prefix that some writers leave out ("text_model."): a name is found
   with or without it, however it is asked for; or NULL. errors NULL: a fault is a programming error and
   aborts. */
Store *store_new(const Safetensors *files, int64_t count, const char *prefix, const char *optional,
                 Messages *errors);
void store_free(Store *s);

/* The weight of that name and exactly that shape. Missing, of another shape or of no float type: a line
   that names the file, the tensor and both shapes, and NULL. The pointer is good as long as the store. */
const Weight *store_get(Store *s, Shape shape, const char *format, ...) PRINTF_LIKE(3, 4);

/* Is there a tensor of that name? */
bool store_has(const Store *s, const char *format, ...) PRINTF_LIKE(2, 3);

/* The shape of that tensor, rank 0 if there is none. */
Shape store_shape(const Store *s, const char *format, ...) PRINTF_LIKE(2, 3);

/* After loading: the float tensors under the prefix that nobody got, how many and the first one's name: a
   sign that the architecture is another than the config says. */
int64_t store_unread(const Store *s, const char **first);

/* A number that another file of weights is unlikely to have: of each file's size, header and sampled bytes
   (FNV-1a). Guards against mistakes, not against malice. */
uint64_t store_fingerprint(const Store *s);

#endif
