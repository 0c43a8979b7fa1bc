#ifndef TI_RECONSTRUCT_H
#define TI_RECONSTRUCT_H

#include "cli/options.h"

extern const Command RECONSTRUCT_COMMAND;

/* `ti reconstruct` with the words after it; the exit status: 0, 1 for an error, 2 for wrong usage. */
int reconstruct_command(int argc, char *const argv[]);

#endif
