/* `ti help`: the list of commands, and what is made of their option tables: --help, a man page, completion
   for shells. */
#ifndef TI_HELP_H
#define TI_HELP_H

#include "cli/options.h"

/* The list of commands; NULL closes it. */
void help_list(const Command *const commands[], FILE *out);

/* `ti help [COMMAND] [--man] [--completion bash|zsh]` */
int help_command(const Command *const commands[], int argc, char *const argv[]);

/* "ti: there is no command X", the nearest one named; exit status 2. */
int help_unknown(const Command *const commands[], const char *word);

/* The files that packages install. */
void help_man(const Command *const commands[], FILE *out);
void help_completion_bash(const Command *const commands[], FILE *out);
void help_completion_zsh(const Command *const commands[], FILE *out);

#endif
