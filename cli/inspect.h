#ifndef TI_INSPECT_H
#define TI_INSPECT_H

#include "cli/options.h"

extern const Command INSPECT_COMMAND;

/* `ti inspect` with the words after it; the exit status: 0, 1 for an error, 2 for wrong usage. */
int inspect_command(int argc, char *const argv[]);

#endif
