/* SPDX-License-Identifier: MIT */
/* A check of a command's options, from the command line or from a file. */
#ifndef TI_FUZZ_OPTIONS_H
#define TI_FUZZ_OPTIONS_H

#include "cli/options.h"

/* Checks that every value is in its range, and that writing it as JSON and reading that gives the same
   value. */
void options_check(const Command *c, const void *values);

#endif
