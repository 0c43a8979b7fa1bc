/* Shares the tiles of an op out among threads, with work stealing. Each thread has a range of consecutive
   tiles of its own: [k count / K, (k + 1) count / K) for thread k of K. These are the same in one op after
   the other, so that a thread finds its inputs in its core's cache, where it wrote them. A thread that has
   finished its range takes tiles of the others'. */
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

/* To be called before a parallel region whose threads are to share `count` tiles. */
void share_start(Share *s, int64_t count);
/* To be called inside it: returns the calling thread's next tile, or -1 when none is left. */
int64_t share_next(Share *s);

/* The calling thread's part of an array that holds `floats` floats for each thread. */
float *thread_workspace(float *workspaces, size_t floats);

#endif
