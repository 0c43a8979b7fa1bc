#ifndef TI_EVALUATE_H
#define TI_EVALUATE_H

#include "cli/options.h"

extern const Command EVALUATE_COMMAND;

/* `ti evaluate` with the words after it; the exit status: 0, 1 for an error, 2 for wrong usage. */
int evaluate_command(int argc, char *const argv[]);

#endif
