/* SPDX-License-Identifier: MIT */
#include "tensor/share.h"

#include <omp.h>

void share_start(Share *s, int64_t count) {
    s->count = count;
    s->ranges = omp_get_max_threads() < RANGES_MAX ? omp_get_max_threads() : RANGES_MAX;
    for (int k = 0; k < s->ranges; k++) atomic_init(&s->range[k].taken, 0);
}

int64_t share_next(Share *s) {
    int thread = omp_get_thread_num();
    for (int k = 0; k < s->ranges; k++) {
        int from = (thread + k) % s->ranges;
        int64_t first = from * s->count / s->ranges, end = (from + 1) * s->count / s->ranges;
        if (first + atomic_load_explicit(&s->range[from].taken, memory_order_relaxed) >= end) continue;
        int64_t tile = first + atomic_fetch_add_explicit(&s->range[from].taken, 1, memory_order_relaxed);
        if (tile < end) return tile;
    }
    return -1;
}

float *thread_workspace(float *workspaces, size_t floats) {
    return workspaces + (size_t)omp_get_thread_num() * floats;
}
