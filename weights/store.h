/* SPDX-License-Identifier: MIT */
/* Finds weights by name in one or several safetensors files. The loaders of nn/ read from it. */
#ifndef TI_STORE_H
#define TI_STORE_H

#include "tensor/tensor.h"
#include "weights/safetensors.h"

/* A source of weights. For every weight that is missing or does not fit, a message is added to the store's
   errors and loading continues, so that all faults of a folder are reported at once. After ten messages a
   last one says that the others are left out. */
typedef struct Store Store;

/* files [count] (which are not copied) and errors must outlive the store. prefix is put before every name
   that is asked for; it may be "". optional is a prefix that some programs leave out ("text_model."), or
   NULL: each name is looked up both with it and without it. When errors is NULL, a fault is a programming
   error and aborts. */
Store *store_new(const Safetensors *files, int64_t count, const char *prefix, const char *optional,
                 Messages *errors);
void store_free(Store *s);

/* Returns the weight of that name and exactly that shape, which is valid as long as the store. When it is
   missing, has another shape or is not a float, returns NULL and adds a message that names the file, the
   tensor and what is wrong. */
const Weight *store_get(Store *s, Shape shape, const char *format, ...) PRINTF_LIKE(3, 4);

/* Returns whether there is a tensor of that name. */
bool store_has(const Store *s, const char *format, ...) PRINTF_LIKE(2, 3);

/* Returns the shape of the tensor of that name, of rank 0 when there is none. */
Shape store_shape(const Store *s, const char *format, ...) PRINTF_LIKE(2, 3);

/* Returns whether store_get has found tensor number `tensor` of file number `file`. */
bool store_was_read(const Store *s, int64_t file, int64_t tensor);

/* Tensors that no loader asked for, counted in groups by the beginning of their names up to the first dot. */
typedef struct {
    char *prefix;
    int64_t count;
} UnusedGroup;
typedef struct {
    UnusedGroup *groups; /* [group_count], in the order in which they were added */
    int64_t group_count, count, bytes;
} Unused;
/* Adds a tensor; part is put before its name ("unet/") and may be "". The tensor position_ids of old
   checkpoints is not counted, since it only holds 0, 1, 2, ... */
void unused_add(Unused *u, const char *part, const SafeTensor *t);
/* Returns a text such as "7 tensors (3.4 MB): model_ema. (5), betas, ...", which the caller frees. */
char *unused_text(const Unused *u);
void unused_free(Unused *u);

/* Adds the store's tensors (those with its prefix) that store_get has not found. To be called when all are
   loaded. */
void store_unused(const Store *s, const char *part, Unused *u);

/* Returns the path of the store's first file, for messages. */
const char *store_path(const Store *s);

/* Returns a hash (FNV-1a) of all tensors' names, types and shapes and of samples of their bytes, which other
   weights are unlikely to share. It guards against mistakes, not against malice. */
uint64_t store_fingerprint(const Store *s);

#endif
