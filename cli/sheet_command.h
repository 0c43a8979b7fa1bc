#ifndef TI_SHEET_COMMAND_H
#define TI_SHEET_COMMAND_H

#include "cli/options.h"

extern const Command SHEET_COMMAND;

/* `ti sheet` with the words after it; the exit status: 0, 1 for an error, 2 for wrong usage. */
int sheet_command(int argc, char *const argv[]);

#endif
