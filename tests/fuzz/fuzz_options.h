/* What holds of a command's options, wherever they come from. */
#ifndef TI_FUZZ_OPTIONS_H
#define TI_FUZZ_OPTIONS_H

#include "cli/options.h"

/* Every value is in its range, and comes back the same from the JSON that records it. */
void options_check(const Command *c, const void *values);

#endif
