/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "cli/progress.h"

#include "cli/console.h"
#include "io/system.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

Progress progress_new(void) {
    return (Progress) { .terminal = isatty(STDERR_FILENO), .start = system_seconds(), .shown = -1e9 };
}

void progress_show(Progress *p, bool last, const char *format, ...) {
    double now = system_seconds();
    if (!last && now - p->shown < (p->terminal ? 0.1 : 10)) return;
    p->shown = now;
    char line[256];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    size_t width = strlen(line);
    if (p->terminal)
        fprintf(stderr, "\r%s%*s", line, width < p->width ? (int)(p->width - width) : 0, "");
    else
        fputs(line, stderr);
    if (last || !p->terminal) fputc('\n', stderr);
    fflush(stderr);
    p->width = last ? 0 : width;
}

void progress_end(Progress *p) {
    if (p->terminal && p->width > 0) fputc('\n', stderr);
    p->width = 0;
}

double progress_elapsed(const Progress *p) { return system_seconds() - p->start; }

double progress_left(const Progress *p, int64_t done, int64_t all) {
    return done > 0 ? progress_elapsed(p) * (double)(all - done) / (double)done : 0;
}

static bool show_wait(void *user, int64_t done, int64_t all) {
    static const double LONG = 2, LARGE = 2e11; /* seconds, and operations that take a second or more */
    Wait *w = user;
    char left[DURATION_TEXT], text[64] = "";
    w->ended = w->ended || (w->go_on && !w->go_on());
    if (w->ended) return false;
    if (w->flops < LARGE && progress_elapsed(&w->progress) < LONG) return true;
    if (done > 0)
        snprintf(text, sizeof text, "  %s left", duration_text(progress_left(&w->progress, done, all), left));
    progress_show(&w->progress, done == all, "%s %lld/%lld%s", w->what, (long long)done, (long long)all,
                  text);
    return true;
}

Watch wait_start(Wait *w, const char *what, double flops, bool (*go_on)(void)) {
    *w = (Wait) { progress_new(), what, flops, go_on, false };
    return (Watch) { show_wait, w };
}
