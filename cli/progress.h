/* Progress on stderr: one line that is rewritten in place on a terminal, and a new line every ten
   seconds elsewhere. */
#ifndef TI_PROGRESS_H
#define TI_PROGRESS_H

#include "io/watch.h"

typedef struct {
    bool terminal;
    double start, shown; /* when it began and when the line was last shown, by system_seconds */
    size_t width;        /* of the line on the screen, in characters */
} Progress;

/* A progress that begins now. */
Progress progress_new(void);

/* Shows the line, unless it was shown a moment ago. The last line is shown in any case and ended. */
void progress_show(Progress *p, bool last, const char *format, ...) PRINTF_LIKE(3, 4);

/* The progress of work that takes longer than about two seconds. Nothing is shown for shorter work. */
typedef struct {
    Progress progress;
    const char *what; /* the work, such as "encoding pictures" */
    double flops;     /* the floating-point operations of all of it; large work is shown from its beginning */
    bool (*go_on)(void); /* returns false to end the work early; NULL when nothing does */
    bool ended;          /* go_on has returned false */
} Wait;

/* Starts the progress and returns the watch that the work reports to. The watch points to w, which must
   not move. */
Watch wait_start(Wait *w, const char *what, double flops, bool (*go_on)(void));

/* The seconds since progress_new, and an estimate of the seconds until all is done. */
double progress_elapsed(const Progress *p);
double progress_left(const Progress *p, int64_t done, int64_t all);

#endif
