/* Where a step's time goes, by op: a Trace that adds up seconds and operations. */
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

/* A copy, the most expensive lines first. */
Profile profile_sorted(const Profile *profile);

#endif
