/* Bad input as tables: how it is made, which command gets it, what that must say.
   tests/bad_input/test_bad_input.c runs them, and writes tests/bad_input/messages.md from them. */
#ifndef TI_BAD_INPUT_H
#define TI_BAD_INPUT_H

#include <stdbool.h>

/* Each case starts in a folder of its own that holds model/ (golden/models/narrow), pictures/
   (golden/loop_pictures), samples/ (golden/pictures) and word.safetensors (a word for that model). */
typedef struct {
    const char *input;   /* what is wrong, for readers; a row with nothing else is a heading */
    const char *make;    /* POSIX shell that makes it (see HELPERS in the test); NULL: nothing to make */
    const char *command; /* the words after `ti`, as a shell takes them */
    int status;          /* 0: it must work */
    /* The lines on stderr without "ti: ", notes on what goes on and (unless it works) warnings; * is any text
       of a line. */
    const char *says;
    const char *limit;  /* shell before the command, such as a ulimit */
    const char *makes;  /* the file that must be there afterwards, though it fails */
    bool prints;        /* it writes to stdout, though it fails: what could be read */
    bool unprivileged;  /* not as root, whom no permission stops */
    bool little_memory; /* with 3 GB of address space */
} BadInput;

/* Closed by a row without input. */
extern const BadInput BAD_FILES[], BAD_MODELS[], BAD_CONFIGS[], BAD_PICTURES[], BAD_COMMANDS[], BAD_OUTPUTS[];

#endif
