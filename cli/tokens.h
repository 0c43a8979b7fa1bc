#ifndef TI_TOKENS_H
#define TI_TOKENS_H

#include "cli/options.h"

extern const Command TOKENS_COMMAND;

/* `ti tokens` with the words after it; the exit status: 0, 1 for an error, 2 for wrong usage. */
int tokens_command(int argc, char *const argv[]);

#endif
