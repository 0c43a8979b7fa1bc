#include "cli/profile.h"

#include "cli/machine.h"

#include <stdio.h>
#include <stdlib.h>

static void before(void *user, const Node *n, bool backward) {
    (void)n;
    (void)backward;
    ((Profile *)user)->started = machine_seconds();
}

static void after(void *user, const Node *n, bool backward) {
    Profile *p = user;
    double seconds = machine_seconds() - p->started;
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

void profile_print(const Profile *profile, int64_t passes) {
    Profile sorted = *profile;
    qsort(sorted.lines, (size_t)sorted.count, sizeof sorted.lines[0], by_seconds);
    double seconds = 0, flops = 0;
    for (int i = 0; i < sorted.count; i++) {
        seconds += sorted.lines[i].seconds;
        flops += sorted.lines[i].flops;
    }
    double n = passes > 0 ? (double)passes : 1, peak = machine_peak_flops();
    printf("%-20s %-8s %7s %10s %9s %8s %7s\n", "op", "pass", "calls", "ms a step", "GFLOP/s", "of peak",
           "share");
    for (int i = 0; i < sorted.count; i++) {
        const ProfileLine *l = &sorted.lines[i];
        printf("%-20s %-8s %7.0f %10.3f ", l->op->name, l->backward ? "backward" : "forward",
               (double)l->calls / n, 1e3 * l->seconds / n);
        if (l->flops > 0)
            printf("%9.1f %7.0f%%", l->flops / l->seconds * 1e-9, 100 * l->flops / l->seconds / peak);
        else
            printf("%9s %8s", "", "");
        printf(" %6.1f%%\n", 100 * l->seconds / seconds);
    }
    printf("%-20s %-8s %7s %10.3f %9.1f %7.0f%% %6.1f%%\n", "all", "", "", 1e3 * seconds / n,
           flops / seconds * 1e-9, 100 * flops / seconds / peak, 100.0);
    printf("peak, of matrix products in cache: %.1f GFLOP/s\n", peak * 1e-9);
}
