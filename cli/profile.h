/* Where a step's time goes, by op: a Trace that adds up seconds and operations, and the table it makes. */
#ifndef TI_PROFILE_H
#define TI_PROFILE_H

#include "autograd/graph.h"

enum { PROFILE_OPS_MAX = 64 };

typedef struct {
    const Op *op;
    bool backward;
    int64_t calls;
    double seconds, flops;
} ProfileLine;

typedef struct {
    ProfileLine lines[PROFILE_OPS_MAX];
    int count;
    double started;
    Trace trace;
} Profile;

/* profile must stay where it is while graphs use profile->trace. */
void profile_start(Profile *profile);

/* The table on stdout, the most expensive first; passes: how many runs to divide by ("a step"). What each op reaches is
   also a share of machine_peak_flops; a convolution's operations are those of the direct algorithm, so that Winograd's
   can be above 100 %. */
void profile_print(const Profile *profile, int64_t passes);

#endif
