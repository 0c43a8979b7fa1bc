/* SPDX-License-Identifier: MIT */
/* Reads Python's pickles, as far as torch.save writes them. A pickle is a program for a small stack machine,
   and Python's own reader runs it: it imports the classes and calls the functions that the file names.
   Nothing is imported or called here. The reader knows the few functions that make a tensor or a dictionary,
   and builds a tree of values; whatever else a file names is refused, or becomes an object without any
   content. */
#ifndef TI_PICKLE_H
#define TI_PICKLE_H

#include "tensor/tensor.h"

typedef enum {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_REAL,
    PICKLE_TEXT,  /* a string, which is valid UTF-8 */
    PICKLE_BYTES, /* bytes, and also whole numbers of more than 64 bits */
    PICKLE_TUPLE,
    PICKLE_LIST, /* a list or a set */
    PICKLE_DICT, /* items are its keys and values in turn; where a key occurs twice the last one counts */
    PICKLE_GLOBAL,
    PICKLE_STORAGE,
    PICKLE_TENSOR,
    PICKLE_OBJECT, /* of a class whose content is not read */
} PickleKind;

typedef struct PickleValue PickleValue;

/* Part of the pickle's own bytes, without a 0 at its end. */
typedef struct {
    const char *at;
    size_t size;
} PickleText;

/* A block of numbers outside the pickle, which is named by its key. */
typedef struct {
    PickleText key, type; /* type is the name of its class, "FloatStorage" */
    const char *dtype; /* the type's name in a safetensors file, or NULL when it is none of the known ones */
    int64_t element;   /* bytes of an element, 0 when the type is not known */
    int64_t count;     /* number of elements */
    const unsigned char *data; /* [count * element], set by the reader of the file; NULL when not available */
} PickleStorage;

typedef struct {
    PickleStorage *storage;
    int64_t offset, stride[SHAPE_MAX]; /* in elements; every element lies within the storage */
    Shape shape;
} PickleTensor;

struct PickleValue {
    PickleKind kind;
    union {
        bool truth;
        int64_t integer;
        double real;
        PickleText text;
        struct {
            PickleValue **at;
            size_t count, capacity;
        } items;
        struct {
            PickleText module, name;
            int function; /* an index into the table in pickle.c, or -1 for an unknown name */
        } global;
        PickleStorage storage;
        PickleTensor *tensor;
        struct {
            PickleText module, name; /* of its class */
            PickleValue *state;      /* what a ParameterDict was built with; NULL for all others */
        } object;
    } as;
};

typedef struct {
    PickleValue *root, **blocks; /* the values, in blocks of PICKLE_BLOCK */
    size_t count;                /* of values */
    PickleValue *
        *storages; /* [storage_count], the values of the kind PICKLE_STORAGE, in the pickle's order */
    size_t storage_count;
    size_t size; /* of the pickle's bytes, up to and with its last opcode */
} Pickle;

/* The limits of a pickle: its bytes, and its values, stack and memo. The largest that are known (checkpoints
   with optimizer states) have less than a tenth of these. */
enum { PICKLE_BYTES_MAX = 16 << 20, PICKLE_VALUES_MAX = 1000000 };

/* Reads a pickle at the beginning of bytes, which must outlive p; more bytes may follow it. path is for
   messages. With strict, every global that is not in the table in pickle.c refuses the file, wherever it
   stands; otherwise it becomes a value of the kind PICKLE_OBJECT when it is called. Returns false, adds a
   message and leaves nothing to free when the pickle is damaged, names such a global, or exceeds a limit. */
bool pickle_parse(const char *path, const void *bytes, size_t size, bool strict, Pickle *p, Messages *errors);
void pickle_free(Pickle *p);

/* Returns whether a text has these characters. */
bool pickle_text_is(PickleText text, const char *want);
/* Returns a dictionary's value of a key that is a string; NULL when there is none, or when the value (which
   may be NULL) is not a dictionary. */
PickleValue *pickle_get(const PickleValue *dict, const char *key);

#endif
