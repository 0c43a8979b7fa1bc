/* SPDX-License-Identifier: MIT */
/* A callback by which a caller follows long work and can stop it. */
#ifndef TI_WATCH_H
#define TI_WATCH_H

#include "io/base.h"

/* go_on is called before each part of the work, and once after the last one, with the number of parts that
   are done and the number of all parts. The work stops when go_on returns false. */
typedef struct {
    bool (*go_on)(void *user, int64_t done, int64_t all);
    void *user;
} Watch;

/* Returns whether to continue. watch is NULL when nobody follows the work. */
static inline bool watch_go_on(const Watch *watch, int64_t done, int64_t all) {
    return !watch || watch->go_on(watch->user, done, all);
}

#endif
