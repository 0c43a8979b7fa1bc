/* SPDX-License-Identifier: MIT */
/* Declarations that the fuzzer's files share: inputs and their mutation, the targets that parse them, and
   checks that hold for every parser. */
#ifndef TI_FUZZ_H
#define TI_FUZZ_H

#include "io/base.h"

typedef struct {
    uint64_t state; /* never 0 */
} Random;

/* Returns a random number from 0 to n - 1, for n >= 1. */
uint64_t draw(Random *r, uint64_t n);

enum { INPUT_MAX = 1 << 16 };

typedef struct {
    size_t size;
    unsigned char bytes[INPUT_MAX];
} Input;

/* Allocated memory of exactly this size, so that the sanitizer notices a read beyond its end. */
typedef struct {
    unsigned char *at;
    size_t size;
} Bytes;

/* The well-formed inputs from which a target's inputs are made. */
typedef struct {
    Bytes *at;
    int count;
} Seeds;

void seeds_add(Seeds *s, const void *bytes, size_t size);
void seeds_text(Seeds *s, const char *text);
/* Adds a file of the repository, or exits with status 1 if it cannot be read. */
void seeds_file(Seeds *s, const char *path);
/* Adds one input of several parts, separated by PART_END. */
void seeds_parts(Seeds *s, int count, const char *const *texts);

/* seeds_header adds a safetensors file with this header and with `data` bytes of data. repair_header corrects
   the length that precedes the header, without which most mutations would be refused at once. */
void seeds_header(Seeds *s, const char *header, size_t data);
void repair_header(Input *in, Random *r);

/* A parser that reads several files gets one input, which is split at each PART_END; the last part is all
   that is left. next_part removes the next part from rest and returns it as a copy, whose `at` the caller
   frees. */
enum { PART_END = 0x1e };
Bytes next_part(Bytes *rest, bool last);

/* A target is a parser and what is known about its format. */
typedef struct {
    const char *name;                     /* contains no '-' */
    int share;                            /* its share of the inputs of `fuzz all`; fast parsers have more */
    const char *const *words;             /* tokens of its format; NULL ends the list */
    void (*seeds)(Seeds *s);              /* adds at least one seed */
    void (*repair)(Input *in, Random *r); /* corrects a length or a checksum; NULL if the format has none */
    /* Parses an input, checks the result, and returns whether the input is accepted. */
    bool (*parse)(const unsigned char *bytes, size_t size);
} Target;

/* Each list ends with a NULL name. */
extern const Target WEIGHTS_TARGETS[], CONFIG_TARGETS[], TEXT_TARGETS[], PICTURE_TARGETS[], RUN_TARGETS[],
    MODEL_TARGETS[], PROMPT_TARGETS[], TORCH_TARGETS[];

/* JSON tokens that are unusual as keys or values, for all targets that parse JSON. */
extern const char *const JSON_WORDS[];

/* Mutates the input: bits, bytes, whole numbers (binary or in digits), tokens of a text, words of the format,
   repeated or removed parts, and parts of other seeds. */
void input_mutate(Input *in, const Seeds *seeds, const char *const *words, Random *r);

/* Checks what holds for every parser: it adds errors exactly when it refuses its input, and each message is
   one line without control characters. warnings is NULL for a parser that adds none. Frees the messages and
   returns ok. */
bool verdict(bool ok, Messages *errors, Messages *warnings);

/* Returns true for about one input in n, and always the same for the same input. It selects the inputs for
   checks that take long. */
bool one_in(const unsigned char *bytes, size_t size, uint64_t n);

/* Returns the path of a file that targets can write and read; the fuzzer removes the file when it ends. */
const char *scratch_path(void);

/* Reads the first and the last byte of a block, so that the sanitizer checks its bounds. */
void touch(const void *data, size_t size);

#endif
