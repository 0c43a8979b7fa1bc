#ifndef TI_PLAN_COMMAND_H
#define TI_PLAN_COMMAND_H

#include "cli/options.h"

extern const Command PLAN_COMMAND;

/* `ti plan` with the words after it; the exit status: 0, 1 for an error, 2 for wrong usage. */
int plan_command(int argc, char *const argv[]);

#endif
