/* The commands: a file each, and this table of them for ti.c and help. */
#ifndef TI_COMMANDS_H
#define TI_COMMANDS_H

#include "cli/options.h"

extern const Command TRAIN_COMMAND, GENERATE_COMMAND, EVALUATE_COMMAND, SHEET_COMMAND, INSPECT_COMMAND,
    PLAN_COMMAND, TOKENS_COMMAND, RECONSTRUCT_COMMAND;

#endif
