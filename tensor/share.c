#include "tensor/share.h"

#include <omp.h>

void share_start(Share *s, int64_t count) {
    s->count = count;
    s->stretches = omp_get_max_threads() < STRETCHES_MAX ? omp_get_max_threads() : STRETCHES_MAX;
    for (int k = 0; k < s->stretches; k++) atomic_init(&s->stretch[k].taken, 0);
}

int64_t share_next(Share *s) {
    int thread = omp_get_thread_num();
    for (int k = 0; k < s->stretches; k++) {
        int from = (thread + k) % s->stretches;
        int64_t first = from * s->count / s->stretches, end = (from + 1) * s->count / s->stretches;
        if (first + atomic_load_explicit(&s->stretch[from].taken, memory_order_relaxed) >= end) continue;
        int64_t tile = first + atomic_fetch_add_explicit(&s->stretch[from].taken, 1, memory_order_relaxed);
        if (tile < end) return tile;
    }
    return -1;
}

float *thread_workspace(float *workspaces, size_t floats) {
    return workspaces + (size_t)omp_get_thread_num() * floats;
}
