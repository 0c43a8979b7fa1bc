/* Running the program under test as a user does. TI names it; run from the repository's root. */
#ifndef TI_COMMAND_H
#define TI_COMMAND_H

#include "tests/test.h"

/* A fresh folder under /tmp; free() the name after folder_remove. */
char *folder_new(void);
void folder_remove(const char *folder);

/* The text with the folder in the place of each @; free() it. */
char *with_folder(const char *text, const char *folder);

/* `$TI COMMAND OPTIONS MORE`, its output thrown away; options as a POSIX shell splits them, but < and > are
   themselves. The exit status; -1 if it ended otherwise. On failure the end of stderr is shown. */
int run_ti(const char *command, const char *options, const char *more, const char *folder);

/* `$TI ARGUMENTS` as a shell runs it: its standard output, to be freed, and its exit status. */
char *output_of_ti(const char *arguments, int *status);

/* Each file of the training run in folder a, but the options (the folder's name is among them), is in that of
   run b with the same bytes; and b has nothing else but the word at some steps where it was stopped. */
void expect_same_run(const char *label, const char *a, const char *b);

#endif
