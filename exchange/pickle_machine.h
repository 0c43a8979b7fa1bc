/* SPDX-License-Identifier: MIT */
/* What the files of the pickle reader share: the state of its stack machine. */
#ifndef TI_PICKLE_MACHINE_H
#define TI_PICKLE_MACHINE_H

#include "exchange/pickle.h"

/* Values and storages are allocated in blocks of this many. */
enum { PICKLE_BLOCK = 1024 };

typedef struct {
    const char *path;
    const unsigned char *start, *at, *end;
    bool strict;
    Pickle *out;
    PickleValue **stack, **memo;
    size_t depth, stack_capacity, memo_count, memo_capacity;
    size_t *marks; /* depths of the stack at its marks */
    size_t mark_count, mark_capacity;
    size_t copied; /* elements of containers that were copied, which are limited as the values are */
    Messages *errors;
    /* The opcode that runs: its argument in the pickle (a number, or the length of a text), and its column
       `kind` in the table of opcodes. */
    uint32_t argument;
    int kind;
    unsigned char table[256]; /* for each opcode 1 + its index in the table of opcodes, or 0 */
} Machine;

/* Add a message and return false: the pickle is damaged, or has too many values. */
bool pickle_fault(Machine *m, const char *what);
bool pickle_too_large(Machine *m);
/* Returns how many of a text's bytes a message shows. */
int pickle_shown(PickleText text);

/* Returns a new value, or NULL after adding a message. */
PickleValue *pickle_new(Machine *m, PickleKind kind);
/* Pushes a value; one that is NULL is a failure that has been reported. */
bool pickle_push(Machine *m, PickleValue *v);
/* Returns the uppermost value, pickle_pop after removing it, or NULL after adding a message when there is
   none above the last mark. */
PickleValue *pickle_pop(Machine *m);
PickleValue *pickle_top(Machine *m);
/* Appends values to a container of this kind. To an object, whose content is not read, nothing is appended.
   */
bool pickle_append(Machine *m, PickleValue *to, PickleKind kind, PickleValue *const *items, size_t count);

/* The opcodes about globals (exchange/pickle_call.c): GLOBAL; STACK_GLOBAL; REDUCE and NEWOBJ, also
   NEWOBJ_EX, whose kind is 1; BUILD; BINPERSID. */
bool pickle_global(Machine *m);
bool pickle_stack_global(Machine *m);
bool pickle_reduce(Machine *m);
bool pickle_build(Machine *m);
bool pickle_persistent(Machine *m);

#endif
