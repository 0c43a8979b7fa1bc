/* SPDX-License-Identifier: MIT */
/* The commands, each of which is defined in a file of its own. ti.c makes a table of them. */
#ifndef TI_COMMANDS_H
#define TI_COMMANDS_H

#include "cli/options.h"

extern const Command TRAIN_COMMAND, GENERATE_COMMAND, EVALUATE_COMMAND, SHEET_COMMAND, INSPECT_COMMAND,
    PLAN_COMMAND, TOKENS_COMMAND, RECONSTRUCT_COMMAND, CONVERT_COMMAND, MIX_COMMAND, INVERT_COMMAND;

#endif
