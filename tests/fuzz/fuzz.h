/* The fuzzer's parts: an input, how it is changed, the targets that read it, and what must hold of what they
   say. */
#ifndef TI_FUZZ_H
#define TI_FUZZ_H

#include "io/base.h"

typedef struct {
    uint64_t state; /* not 0 */
} Random;

/* 0 .. n-1; n from 1 on */
uint64_t draw(Random *r, uint64_t n);

enum { INPUT_MAX = 1 << 16 };

typedef struct {
    size_t size;
    unsigned char bytes[INPUT_MAX];
} Input;

/* A block of just that size, so that the sanitizer sees a byte read too far. */
typedef struct {
    unsigned char *at;
    size_t size;
} Bytes;

/* The well-formed inputs that the others are made of. */
typedef struct {
    Bytes *at;
    int count;
} Seeds;

void seeds_add(Seeds *s, const void *bytes, size_t size);
void seeds_text(Seeds *s, const char *text);
/* A file of the repository; exits where there is none. */
void seeds_file(Seeds *s, const char *path);
/* Several texts as one input of so many parts. */
void seeds_parts(Seeds *s, int count, const char *const *texts);

/* A safetensors file of that header and so many bytes of data; and the repair of its header's length, without
   which most changes would end there. */
void seeds_header(Seeds *s, const char *header, size_t data);
void repair_header(Input *in, Random *r);

/* A parser that reads more than one file gets one input, cut at each PART_END; the last part has all the
   rest. */
enum { PART_END = 0x1e };
Bytes next_part(Bytes *rest, bool last); /* a copy of its own, free() at */

/* A target is a parser and what is known of its format. */
typedef struct {
    const char *name;                             /* without '-' */
    int share;                                    /* of the inputs of `fuzz all`: cheap parsers have more */
    const char *const *words;                     /* what its format is written in; NULL closes the list */
    void (*seeds)(Seeds *s);                      /* adds at least one */
    void (*repair)(Input *in, Random *r);         /* makes a length or checksum hold again; NULL: has none */
    bool (*parse)(const unsigned char *, size_t); /* parses, checks what must hold: accepted? */
} Target;

/* A NULL name closes each list. */
extern const Target WEIGHTS_TARGETS[], CONFIG_TARGETS[], TEXT_TARGETS[], PICTURE_TARGETS[], RUN_TARGETS[],
    MODEL_TARGETS[];

/* Words of JSON that are odd as keys or values; more than one target has use for them. */
extern const char *const JSON_WORDS[];

/* Changes the input: bits, bytes, parts, whole numbers in it (as bytes or digits), tokens of a text, words of
   the format, parts of other seeds. */
void input_mutate(Input *in, const Seeds *seeds, const char *const *words, Random *r);

/* What holds of every parser: a refusal says why, what is accepted has no error, and a message is one line
   without control characters. warnings: NULL, the parser has none. Frees both, returns ok. */
bool verdict(bool ok, Messages *errors, Messages *warnings);

/* One input in n, always the same ones: for checks that take long. */
bool one_in(const unsigned char *bytes, size_t size, uint64_t n);

/* A file to write to and read back; the fuzzer removes it at its end. */
const char *scratch_path(void);

/* All bytes of a block are there to be read. */
void touch(const void *data, size_t size);

#endif
