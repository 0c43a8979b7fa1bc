/* The line of progress on stderr: rewritten in place on a terminal, a line every ten seconds elsewhere. */
#ifndef TI_PROGRESS_H
#define TI_PROGRESS_H

#include "io/watch.h"

typedef struct {
    bool terminal;
    double start, shown; /* system_seconds */
    size_t width;        /* characters of the line on the screen */
} Progress;

Progress progress_new(void);

/* Shows the line, unless it was shown a moment ago; last: shows it in any case and ends it. */
void progress_show(Progress *p, bool last, const char *format, ...) PRINTF_LIKE(3, 4);

/* A wait of more than about two seconds, shown as it goes; one that is shorter is not. */
typedef struct {
    Progress progress;
    const char *what;    /* "encoding pictures" */
    double flops;        /* of all of it: what is large is shown from its beginning */
    bool (*go_on)(void); /* false ends it; NULL: nothing does */
    bool ended;          /* it has: the work is not done, or its result is not wanted */
} Wait;

/* Starts it; the wait must stay where it is. */
Watch wait_start(Wait *w, const char *what, double flops, bool (*go_on)(void));

/* Seconds since progress_new, and what is left of them after done of all. */
double progress_elapsed(const Progress *p);
double progress_left(const Progress *p, int64_t done, int64_t all);

#endif
