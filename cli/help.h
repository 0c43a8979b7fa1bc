/* `ti help`: the list of commands, and what is made of their option tables: --help, a man page, completion for
   shells. */
#ifndef TI_HELP_H
#define TI_HELP_H

#include "cli/options.h"

/* A row of the program's table of commands. */
typedef struct {
    const Command *command;
    const char *summary; /* a few words */
    int (*run)(int argc, char *const argv[]);
} CommandEntry;

/* The list of commands. */
void help_list(const CommandEntry *commands, int count, FILE *out);

/* `ti help [COMMAND] [--man] [--completion bash|zsh]` */
int help_command(const CommandEntry *commands, int count, int argc, char *const argv[]);

/* "ti: there is no command X", the nearest one named; exit status 2. */
int help_unknown(const CommandEntry *commands, int count, const char *word);

/* The files that packages install. */
void help_man(const CommandEntry *commands, int count, FILE *out);
void help_completion_bash(const CommandEntry *commands, int count, FILE *out);
void help_completion_zsh(const CommandEntry *commands, int count, FILE *out);

#endif
