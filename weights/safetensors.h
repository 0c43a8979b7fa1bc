/* SPDX-License-Identifier: MIT */
/* Reads and writes safetensors files: 8 bytes with the header's size (little-endian), a JSON header {"name":
   {"dtype", "shape", "data_offsets"}, ..., "__metadata__": {"key": "value"}}, then the tensors' bytes without
   a gap. A file is mapped into memory, and its tensors are not copied. */
#ifndef TI_SAFETENSORS_H
#define TI_SAFETENSORS_H

#include "io/file.h"
#include "io/text.h"
#include "tensor/tensor.h"

typedef struct {
    Weight weight;     /* weight.dtype is set only if is_float; the data may have any alignment */
    const char *dtype; /* the type's name in the file, such as "F32" or "I64" */
    bool is_float;     /* whether it is F32, F16 or BF16 */
    size_t size;       /* the number of bytes at weight.data */
} SafeTensor;

typedef struct {
    char *path;
    File file;           /* {0} when the bytes belong to the caller */
    SafeTensor *tensors; /* [count], in the order of their names */
    int64_t count;
    void *header;   /* the parsed JSON header, which owns the names and the metadata */
    char **renamed; /* [renamed_count], the names from safetensors_rename, which the header does not own */
    int64_t renamed_count;
} Safetensors;

/* Maps the file and checks what safetensors' own implementation checks: the header has at most 100 MB and
   ends within the file, it is strict JSON (io/json.h) that begins with '{', all types are known, the size of
   each tensor's bytes is the product of its shape times its type's size without overflow, the tensors' bytes
   follow each other without gap or overlap up to the end of the file, and all metadata are strings. In
   addition no name may occur twice, a tensor has at most 8 dimensions, and all numbers are below 2^53.
   Returns false and adds one message when one of these conditions does not hold. */
bool safetensors_open(const char *path, Safetensors *s, Messages *errors);
/* Does the same for bytes in memory, which must outlive s. path is only used for messages. */
bool safetensors_parse(const char *path, const void *bytes, size_t size, Safetensors *s, Messages *errors);
void safetensors_close(Safetensors *s);

/* Returns a second list of the same tensors, in which they can be renamed. s must outlive it, and the caller
   closes both. */
Safetensors safetensors_view(const Safetensors *s);
/* Renames tensors. rename(name) returns a newly allocated name, which is freed with s, or NULL to keep the
   old name. */
void safetensors_rename(Safetensors *s, char *(*rename)(const char *name));

/* Returns false and adds a message when a tensor has a float type that cannot be read, such as F8. */
bool safetensors_readable(const Safetensors *s, Messages *errors);

/* Returns the tensor of that name, or NULL when there is none. */
const SafeTensor *safetensors_find(const Safetensors *s, const char *name);
/* Returns the value of a key in the metadata, or NULL when there is none. */
const char *safetensors_metadata(const Safetensors *s, const char *key);

/* Returns the first name of a tensor or key of the metadata that is not among names [count], or NULL when
   there is none. */
const char *safetensors_unknown(const Safetensors *s, const char *const names[], int64_t count);

/* A tensor in fp32 to be written. */
typedef struct {
    const char *name;
    Shape shape;
    const float *data;
} NamedTensor;

/* Writes F32 tensors and the metadata [pairs], each a key and its value. The bytes are those of
   safetensors.torch.save_file: tensors in the order of their names, the header padded with spaces to a
   multiple of 8. The metadata keep the given order (the reference's order varies). Names and values are
   UTF-8. The file appears whole or not at all. Returns false and adds a message when it cannot be written. */
bool safetensors_write(const char *path, const NamedTensor *tensors, int64_t count,
                       const char *const (*metadata)[2], int64_t pairs, Messages *errors);

/* Returns the bytes of such a file with tensors of any type. It reads each tensor's weight.name,
   weight.shape, weight.data, dtype and size. The caller frees the text's `at`. */
Text safetensors_bytes(const SafeTensor *tensors, int64_t count, const char *const (*metadata)[2],
                       int64_t pairs);

/* Begins such a file for tensors that do not fit into memory together: opens the output and writes the
   header. The caller then writes each tensor's floats in the given order and commits the output. The tensors'
   data are not read here, and no name may occur twice. */
void safetensors_begin(Output *out, const char *path, const NamedTensor *tensors, int64_t count,
                       const char *const (*metadata)[2], int64_t pairs);

#endif
