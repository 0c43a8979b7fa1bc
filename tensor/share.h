/* Tiles dealt out to threads: each has a stretch of its own, the same one in op after op, so that it finds in
   its core's cache what it made there; who has finished helps the others. */
#ifndef TI_SHARE_H
#define TI_SHARE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { STRETCHES_MAX = 64 }; /* threads beyond them help */

typedef struct {
    int64_t count;
    int stretches;
    struct {
        _Alignas(64) atomic_int_fast64_t taken; /* a cache line each */
    } stretch[STRETCHES_MAX];
} Share;

/* Before a parallel region: `count` tiles for its threads. */
void share_start(Share *s, int64_t count);
/* Inside it: the calling thread's next tile, -1 when there is none left. */
int64_t share_next(Share *s);

/* The calling thread's own part of workspaces that have so many floats for each thread. */
float *thread_workspace(float *workspaces, size_t floats);

#endif
