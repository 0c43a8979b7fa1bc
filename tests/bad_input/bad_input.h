/* SPDX-License-Identifier: MIT */
/* Tables of bad input. A case says how the input is made, which command gets it, and what the command must
   print. test_bad_input.c runs the cases and writes messages.md from them. */
#ifndef TI_BAD_INPUT_H
#define TI_BAD_INPUT_H

#include <stdbool.h>

/* Each case starts in a folder of its own that holds model/ (golden/models/narrow), pictures/
   (golden/loop_pictures), samples/ (golden/pictures), clip/ (weights/critters/clip) and word.safetensors (a
   word for that model). */
typedef struct {
    const char *input;   /* what is wrong, for readers; an entry without a command is a heading */
    const char *make;    /* a POSIX shell script that makes the input with the test's HELPERS, or NULL */
    const char *command; /* the arguments of `ti`, as a shell takes them */
    int status;          /* the exit status; 0 when the command must work */
    /* The lines on stderr without "ti: ", without those about the progress (NOTES) and, when the command
       fails, without warnings. An asterisk stands for any text within a line. */
    const char *says;
    const char *limit;  /* a shell command that comes first, such as a ulimit, or NULL */
    const char *makes;  /* a file that must exist afterwards, even if the command fails, or NULL */
    bool prints;        /* the command prints what it could read on stdout although it fails */
    bool unprivileged;  /* the command is not run as root, whom permissions do not restrict */
    bool little_memory; /* the command is run with 3 GB of address space */
} BadInput;

/* Each table is closed by an entry without input. */
extern const BadInput BAD_FILES[], BAD_MODELS[], BAD_CONFIGS[], BAD_PICTURES[], BAD_COMMANDS[], BAD_OUTPUTS[],
    BAD_WORDS[], BAD_PROMPTS[], BAD_SCORES[];

#endif
