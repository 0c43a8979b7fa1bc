/* SPDX-License-Identifier: MIT */
#include "autograd/profile.h"

#include "io/system.h"
#include "tensor/threads.h"

#include <stdlib.h>

static void before(void *user, const Node *n, bool backward) {
    (void)n;
    (void)backward;
    ((Profile *)user)->started = system_seconds();
}

static void after(void *user, const Node *n, bool backward) {
    Profile *p = user;
    double seconds = system_seconds() - p->started;
    int i = 0;
    while (i < p->count && (p->lines[i].op != n->op || p->lines[i].backward != backward)) i++;
    if (i == PROFILE_OPS_MAX) return;
    if (i == p->count) p->lines[p->count++] = (ProfileLine) { .op = n->op, .backward = backward };
    double flops = n->op->flops ? n->op->flops(n) : 0;
    p->lines[i].calls++;
    p->lines[i].seconds += seconds;
    p->lines[i].flops += backward ? flops * n->op->backward_flops : flops;
}

void profile_start(Profile *profile) { *profile = (Profile) { .trace = { before, after, profile } }; }

static int by_seconds(const void *a, const void *b) {
    double x = ((const ProfileLine *)a)->seconds, y = ((const ProfileLine *)b)->seconds;
    return (x < y) - (x > y);
}

Profile profile_sorted(const Profile *profile) {
    Profile sorted = *profile;
    qsort(sorted.lines, (size_t)sorted.count, sizeof sorted.lines[0], by_seconds);
    return sorted;
}
