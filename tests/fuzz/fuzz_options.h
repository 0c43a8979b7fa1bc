/* What holds for a command's options, wherever they come from. */
#ifndef TI_FUZZ_OPTIONS_H
#define TI_FUZZ_OPTIONS_H

#include "cli/options.h"

/* Checks that every value is in its range, and that it is unchanged after it was written as JSON and read. */
void options_check(const Command *c, const void *values);

#endif
