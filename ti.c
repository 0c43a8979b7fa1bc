/* SPDX-License-Identifier: MIT */
/* ti: Textual Inversion in plain C. This file finds the command that the first argument names; each command
   has a file of its own in cli/. */
#define _XOPEN_SOURCE 700
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/help.h"
#include "io/file.h"
#include "io/system.h"
#include "tensor/threads.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Command *const COMMANDS[] = { &TRAIN_COMMAND,   &GENERATE_COMMAND,    &EVALUATE_COMMAND,
                                           &SHEET_COMMAND,   &INSPECT_COMMAND,     &PLAN_COMMAND,
                                           &TOKENS_COMMAND,  &RECONSTRUCT_COMMAND, &INVERT_COMMAND,
                                           &CONVERT_COMMAND, &MIX_COMMAND,         NULL };

int main(int argc, char *argv[]) {
    if (!system_standard_descriptors()) {
        fprintf(stderr, "ti: /dev/null: cannot be opened: %s\n", strerror(errno));
        return 1;
    }
    threads_restart(argv);
    signal(SIGXFSZ, SIG_IGN); /* A write beyond the limit of a file's size then fails, and is reported. */
    file_guard();
    /* Jansson leaves parts of a document out when its allocations fail; mem_alloc ends the
       program instead. */
    json_set_alloc_funcs(mem_alloc, free);
    if (argc < 2) {
        help_list(COMMANDS, stderr);
        return 2;
    }
    for (int i = 0; COMMANDS[i]; i++)
        if (strcmp(argv[1], COMMANDS[i]->name) == 0) return command_run(COMMANDS[i], argc - 2, argv + 2);
    if (strcmp(argv[1], "help") == 0) return help_command(COMMANDS, argc - 2, argv + 2);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return help_command(COMMANDS, 0, NULL);
    if (strcmp(argv[1], "--version") == 0) return help_version();
    return help_unknown(COMMANDS, argv[1]);
}
