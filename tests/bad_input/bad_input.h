/* Cases of bad input as tables: how the input is made, the command that gets it, and what the command must
   say. test_bad_input.c runs them and writes messages.md from them. */
#ifndef TI_BAD_INPUT_H
#define TI_BAD_INPUT_H

#include <stdbool.h>

/* Each case starts in a folder of its own that holds model/ (golden/models/narrow), pictures/
   (golden/loop_pictures), samples/ (golden/pictures) and word.safetensors (a word for that model). */
typedef struct {
    const char *input;   /* what is wrong, for readers; an entry with nothing else is a heading */
    const char *make;    /* a POSIX shell script that makes the input, with HELPERS of the test, or NULL */
    const char *command; /* the arguments of `ti`, as a shell takes them */
    int status;          /* the exit status; 0 when the command must work */
    /* The lines on stderr without "ti: ", without notes on the progress and, when the command fails, without
       warnings. An asterisk stands for any text within a line. */
    const char *says;
    const char *limit;  /* a shell command that comes first, such as a ulimit, or NULL */
    const char *makes;  /* a file that must exist afterwards although the command may fail, or NULL */
    bool prints;        /* it writes what it could read to stdout although it fails */
    bool unprivileged;  /* it is not run as root, for whom permissions do not count */
    bool little_memory; /* it is run with 3 GB of address space */
} BadInput;

/* Each table is closed by an entry without input. */
extern const BadInput BAD_FILES[], BAD_MODELS[], BAD_CONFIGS[], BAD_PICTURES[], BAD_COMMANDS[], BAD_OUTPUTS[];

#endif
