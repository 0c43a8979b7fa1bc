/* SPDX-License-Identifier: MIT */
/* `ti help` and `ti --version`: the list of commands, and the manual page and shell completions that are made
   from their option tables. */
#ifndef TI_HELP_H
#define TI_HELP_H

#include "cli/options.h"

/* The one place of the version, which follows Semantic Versioning (docs/stability.md). tools/dist.sh reads it
   from this line. */
#define TI_VERSION "1.0.0"

/* Prints the list of commands. Here and below, `commands` ends with NULL. */
void help_list(const Command *const commands[], FILE *out);

/* Runs `ti help [COMMAND] [--man] [--completion bash|zsh|fish]` and returns its exit status. */
int help_command(const Command *const commands[], int argc, char *const argv[]);

/* Runs `ti --version` and returns its exit status. It prints the version, and the facts about the build and
   the machine that a bug report needs. */
int help_version(void);

/* Prints a message that there is no such command, which names the most similar one, and returns the exit
   status 2. */
int help_unknown(const Command *const commands[], const char *name);

/* Print the files that `make install` installs. */
void help_man(const Command *const commands[], FILE *out);
void help_completion_bash(const Command *const commands[], FILE *out);
void help_completion_zsh(const Command *const commands[], FILE *out);
void help_completion_fish(const Command *const commands[], FILE *out);

#endif
