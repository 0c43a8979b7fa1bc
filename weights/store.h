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

/* Did anybody get tensor number `tensor` of file number `file`? */
bool store_was_read(const Store *s, int64_t file, int64_t tensor);

/* Tensors that nobody asked for, counted by what their names begin with, up to the first dot. */
typedef struct {
    char *prefix;
    int64_t count;
} UnusedGroup;
typedef struct {
    UnusedGroup *groups; /* [group_count], in the order in which they came */
    int64_t group_count, count, bytes;
} Unused;
/* part: stands before the name ("unet/"), or "". position_ids, which old checkpoints carry, is not counted:
   it is 0, 1, 2, ... */
void unused_add(Unused *u, const char *part, const SafeTensor *t);
/* "7 tensors (3.4 MB): model_ema. (5), betas, ..."; free() it. */
char *unused_text(const Unused *u);
void unused_free(Unused *u);

/* After loading: adds the tensors under the prefix that nobody got. */
void store_unused(const Store *s, const char *part, Unused *u);

/* Of its first file, for messages. */
const char *store_path(const Store *s);

/* A number that another file of weights is unlikely to have: of each file's size, header and sampled bytes
   (FNV-1a). Guards against mistakes, not against malice. */
uint64_t store_fingerprint(const Store *s);

#endif
