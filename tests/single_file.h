/* Models in one file of the original layout, for tests: their tensors' names, which golden/single.py checked
   with diffusers, and files of them with numbers or with a hole in their place. */
#ifndef TI_SINGLE_FILE_H
#define TI_SINGLE_FILE_H

#include "tensor/tensor.h"

typedef struct {
    const char *original, *part, *name;
    Shape shape; /* diffusers' */
    char flag;   /* '1': a 1x1 convolution in the single file; 'q', 'k', 'v': this third of the tensor; 0 */
} Line;

typedef struct {
    char *text;
    Line *lines;
    int64_t count;
} Names;

/* golden/single/MODEL/names.txt */
Names names_read(const char *model);
void names_free(Names *n);

/* A tensor to write. */
typedef struct {
    char name[200];
    const char *dtype;
    Shape shape;
    const Line
        *lines; /* what it is filled with: one line's numbers, or three one behind the other; NULL: zeros */
    int line_count;
} Entry;

typedef struct {
    Entry *at; /* free() it */
    int64_t count;
} Entries;

Entry *entries_put(Entries *e, const char *name, const char *dtype, Shape shape);
size_t entry_size(const char *dtype); /* bytes of a number: F32, BF16, F16, I32, I64 */

/* A single file's tensors; the text encoder may have a type of its own. The numbers are for F32 and BF16. */
Entries entries_of_names(const Names *names, const char *text_type, const char *type);

/* What full checkpoints carry along. position_ids, which is among it, counts for nothing. */
void entries_put_leftovers(Entries *e);
enum { LEFTOVERS = 9 };

/* A safetensors file of them; without numbers it has a hole there. */
void entries_write(const char *path, const Entries *e, bool numbers);

#endif
