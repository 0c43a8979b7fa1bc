/* SPDX-License-Identifier: MIT */
/* What the operating system tells a process: the time, its memory, its code, its descriptors. */
#ifndef TI_SYSTEM_H
#define TI_SYSTEM_H

#include "io/base.h"

/* Returns the time in seconds of a clock that never goes backwards and whose zero is arbitrary. */
double system_seconds(void);

/* Returns the peak of this process's resident memory, in bytes. */
int64_t system_peak_memory(void);

/* Returns a hash of the running program's code, by which builds that may compute other bits are
   distinguished. */
uint64_t system_program_hash(void);

/* Returns how many more bytes of memory this process could use: the machine's free memory, limited by the
   process's cgroups and by `ulimit -v`. The page cache, which holds mapped weights among others, counts as
   free. */
int64_t system_free_memory(void);

/* Opens /dev/null for each of the descriptors 0 to 2 that is closed; otherwise the next file that is opened
   would get that number, and printed text would go into it. Returns false and sets errno when /dev/null
   cannot be opened. */
bool system_standard_descriptors(void);

/* Returns whether a debugger or a tracer is attached to this process. */
bool system_traced(void);

#endif
