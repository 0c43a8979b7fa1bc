/* The line of progress on stderr: rewritten in place on a terminal, a line every ten seconds elsewhere. */
#ifndef TI_PROGRESS_H
#define TI_PROGRESS_H

#include "io/base.h"

typedef struct {
    bool terminal;
    double start, shown; /* system_seconds */
    size_t width;        /* characters of the line on the screen */
} Progress;

Progress progress_new(void);

/* Shows the line, unless it was shown a moment ago; last: shows it in any case and ends it. */
void progress_show(Progress *p, bool last, const char *format, ...) PRINTF_LIKE(3, 4);

/* Seconds since progress_new, and what is left of them after done of all. */
double progress_elapsed(const Progress *p);
double progress_left(const Progress *p, int64_t done, int64_t all);

#endif
