/* safetensors: 8 bytes of header size (little-endian), a JSON header {"name": {"dtype", "shape",
   "data_offsets"}, ..., "__metadata__": {"key": "value"}}, then the tensors' bytes without a gap. The file
   is mapped; nothing is copied. */
#ifndef TI_SAFETENSORS_H
#define TI_SAFETENSORS_H

#include "io/file.h"
#include "io/text.h"
#include "tensor/tensor.h"

typedef struct {
    Weight weight;     /* weight.dtype means something only where is_float; data of any alignment */
    const char *dtype; /* as the file names it: "F32", "I64", ... */
    bool is_float;     /* F32, F16 or BF16 */
    size_t size;       /* bytes at weight.data */
} SafeTensor;

typedef struct {
    char *path;
    File file;           /* size 0 where the bytes are the caller's */
    SafeTensor *tensors; /* [count], by name */
    int64_t count;
    void *header;   /* the parsed header, which the names and metadata are part of */
    char **renamed; /* [renamed_count]: names that are not the header's */
    int64_t renamed_count;
} Safetensors;

/* Maps and checks the file as safetensors' own implementation does: header within 100 MB and within the
   file, strict JSON (io/json.h) that begins with '{', known types, each tensor's bytes = product of
   its shape times its type's size without overflow, the tensors' bytes one after the other without hole or
   overlap up to the file's end, metadata of strings. Stricter than that: no name stands twice, at most 8
   dimensions, no number from 2^53 on. One line and false where that does not hold. */
bool safetensors_open(const char *path, Safetensors *s, Messages *errors);
/* The same on bytes in memory, which must outlive s. path only names them. */
bool safetensors_parse(const char *path, const void *bytes, size_t size, Safetensors *s, Messages *errors);
void safetensors_close(Safetensors *s);

/* The same tensors as a list of its own, which is closed by itself; s must outlive it. */
Safetensors safetensors_view(const Safetensors *s);
/* Gives tensors other names: rename returns a new one, which is freed with s, or NULL where the name
   stays. */
void safetensors_rename(Safetensors *s, char *(*rename)(const char *name));

/* False, with one line, if tensors are of a float type that is not read, as those of F8 checkpoints. */
bool safetensors_readable(const Safetensors *s, Messages *errors);

/* NULL if there is none of that name. */
const SafeTensor *safetensors_find(const Safetensors *s, const char *name);
/* NULL if there is none. */
const char *safetensors_metadata(const Safetensors *s, const char *key);

/* The first name, of a tensor or of a metadata's key, that is not among these; NULL if there is none. */
const char *safetensors_unknown(const Safetensors *s, const char *const names[], int64_t count);

/* One thing to write, in fp32. */
typedef struct {
    const char *name;
    Shape shape;
    const float *data;
} NamedTensor;

/* Writes F32 tensors and the metadata, pairs of key and value (pairs of them), so that the bytes are those
   of safetensors.torch.save_file: tensors in name order, header padded to 8 with spaces. More than one
   metadata pair comes in the given order (there it is any order). The file appears whole or not at all.
   Names and values: UTF-8. */
bool safetensors_write(const char *path, const NamedTensor *tensors, int64_t count,
                       const char *const (*metadata)[2], int64_t pairs, Messages *errors);

/* The bytes of such a file with tensors of any type: each one's weight.name, weight.shape, weight.data, dtype
   and size count. free(at). */
Text safetensors_bytes(const SafeTensor *tensors, int64_t count, const char *const (*metadata)[2],
                       int64_t pairs);

/* The same for tensors that do not fit into memory together: opens the output and writes the header. The
   caller then writes each tensor's floats in the given order, and commits. data is not read; no name stands
   twice. */
void safetensors_begin(Output *out, const char *path, const NamedTensor *tensors, int64_t count,
                       const char *const (*metadata)[2], int64_t pairs);

#endif
