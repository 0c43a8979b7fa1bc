/* SPDX-License-Identifier: MIT */
/* A profile: a Trace that adds up the seconds and operations of each op, separately
   for forward and backward. */
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

/* Clears the profile and prepares profile->trace for graph_trace. The trace points to the profile, which must
   not be moved while a graph uses it. */
void profile_start(Profile *profile);

/* Returns a copy in which the lines are sorted by their seconds, the largest first. */
Profile profile_sorted(const Profile *profile);

#endif
