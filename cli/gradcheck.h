#ifndef TI_GRADCHECK_H
#define TI_GRADCHECK_H

#include "cli/options.h"

extern const Command GRADCHECK_COMMAND;

/* `ti gradcheck` with the words after it; the exit status: 0, 1 for an error, 2 for wrong usage. */
int gradcheck_command(int argc, char *const argv[]);

#endif
