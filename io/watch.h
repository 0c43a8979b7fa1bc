/* Long work that somebody watches: shown as it goes, and ended when it is to end. */
#ifndef TI_WATCH_H
#define TI_WATCH_H

#include "io/base.h"

/* go_on is asked before each part of the work, and once after the last one, with how many are done of all;
   false ends it. */
typedef struct {
    bool (*go_on)(void *user, int64_t done, int64_t all);
    void *user;
} Watch;

/* watch may be NULL: nobody watches. */
static inline bool watch_go_on(const Watch *watch, int64_t done, int64_t all) {
    return !watch || watch->go_on(watch->user, done, all);
}

#endif
