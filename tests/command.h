/* SPDX-License-Identifier: MIT */
/* Folders for tests, and functions that run the program under test as a user would. The environment variable
   TI holds the program's path, and tests run in the root folder of the repository. */
#ifndef TI_COMMAND_H
#define TI_COMMAND_H

#include "tests/test.h"

/* Creates a folder with a unique name under /tmp and returns its path; free() it after folder_remove. */
char *folder_new(void);
void folder_remove(const char *folder);

/* Returns the text with each @ replaced by the folder; free() it. */
char *with_folder(const char *text, const char *folder);

/* Makes safety_checker/ and feature_extractor/ in the folder, as a model of Stable Diffusion 1.x has them,
   with the picture encoder of the embedded model's CLIP. */
void make_safety_checker(const char *folder);

/* Runs `$TI COMMAND OPTIONS MORE` and discards its output. The options are split as a POSIX shell does it,
   except that < and > are ordinary characters. On failure the end of stderr, which is kept in the folder, is
   printed. Returns the exit status; -1 when the program did not exit normally. */
int run_ti(const char *command, const char *options, const char *more, const char *folder);

/* Runs `$TI ARGUMENTS` in a shell. Returns its standard output, which the caller frees, and stores the exit
   status. */
char *output_of_ti(const char *arguments, int *status);

/* Returns whether two files of the folder hold pictures with the same pixels. Their texts, which say how they
   were made, may differ. */
bool same_pixels(const char *folder, const char *a, const char *b);

/* Checks that two folders of training runs hold the same files with the same bytes. options.json is left out,
   since it contains the name of its folder. The folder b may also have other checkpoints
   learned_embeds-steps-*, since a run that is stopped writes one. */
void expect_same_run(const char *label, const char *a, const char *b);

#endif
