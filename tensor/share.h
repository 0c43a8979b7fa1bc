/* SPDX-License-Identifier: MIT */
/* Distributes the tiles of an op among threads, with work stealing. Each thread has its own range of
   consecutive tiles: [k count / K, (k + 1) count / K) for thread k of K. The ranges stay the same from one op
   to the next, so that a thread finds its inputs in its core's cache, where it wrote them. A thread that has
   finished its range takes tiles from the ranges of other threads. */
#ifndef TI_SHARE_H
#define TI_SHARE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { RANGES_MAX = 64 }; /* further threads have no range of their own and only steal */

typedef struct {
    int64_t count;
    int ranges;
    struct {
        _Alignas(64) atomic_int_fast64_t taken; /* tiles taken so far, in a cache line of its own */
    } range[RANGES_MAX];
} Share;

/* Must be called before a parallel region whose threads share `count` tiles. */
void share_start(Share *s, int64_t count);
/* Must be called inside the parallel region. Returns the calling thread's next tile, or -1
   when none is left. */
int64_t share_next(Share *s);

/* Returns the calling thread's part of an array that has `floats` floats for each thread. */
float *thread_workspace(float *workspaces, size_t floats);

#endif
