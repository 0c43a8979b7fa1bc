/* SPDX-License-Identifier: MIT */
/* Progress on stderr: one line that is rewritten in place on a terminal, and a new line every ten
   seconds elsewhere. */
#ifndef TI_PROGRESS_H
#define TI_PROGRESS_H

#include "io/watch.h"

typedef struct {
    bool terminal;
    double start, shown; /* when the work began and when the line was last shown, by system_seconds */
    size_t width;        /* the length of the line on the screen, in characters */
} Progress;

/* Returns the progress of work that begins now. */
Progress progress_new(void);

/* Shows the line, unless another was shown a moment ago. The last line is always shown, with a newline. */
void progress_show(Progress *p, bool last, const char *format, ...) PRINTF_LIKE(3, 4);

/* Ends the line that is on a terminal's screen, when no last line was shown. */
void progress_end(Progress *p);

/* Work that may be long. Its progress is shown only when it takes more than about two seconds. */
typedef struct {
    Progress progress;
    const char *what;    /* the work, such as "encoding pictures" */
    double flops;        /* its floating-point operations; when they are many, progress is shown at once */
    bool (*go_on)(void); /* returns false when the work should end early; NULL when nothing can end it */
    bool ended;          /* whether go_on has returned false */
} Wait;

/* Starts the progress and returns the watch that the work reports to. The watch points to w, which must
   not move. */
Watch wait_start(Wait *w, const char *what, double flops, bool (*go_on)(void));

/* Return the seconds since progress_new, and an estimate of the seconds until all of the work is done. */
double progress_elapsed(const Progress *p);
double progress_left(const Progress *p, int64_t done, int64_t all);

#endif
