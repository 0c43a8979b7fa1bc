/* What the system says of this process: the time and its memory. */
#ifndef TI_SYSTEM_H
#define TI_SYSTEM_H

#include "io/base.h"

/* Seconds on a clock that only goes forward. */
double system_seconds(void);

/* Bytes of memory this process has had resident at its peak. */
int64_t system_peak_memory(void);

/* A hash of the code of the program that runs: another build may give other bits. */
uint64_t system_program_hash(void);

/* What this process could take more: what the machine has free (its page cache is, since mapped weights lie
   there), at most what its cgroup and `ulimit -v` leave it. */
int64_t system_free_memory(void);

/* Opens those of the descriptors 0 to 2 that are closed, on /dev/null: else the first file that is opened
   gets such a number, and what is printed goes into it. False, with errno: that cannot be opened. */
bool system_standard_descriptors(void);

/* Whether a debugger or a tracer follows this process. */
bool system_traced(void);

#endif
