/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "cli/signals.h"

#include "inversion/ranks.h"
#include "io/system.h"

#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* Global variables: a signal handler has no other way to report anything, and the deadline is asked for in
   the same places as the signal. */
static volatile sig_atomic_t caught;
static double deadline = INFINITY; /* by system_seconds */

/* Installs a handler, unless the signal is ignored. */
static void handle(int signal_number, void (*handler)(int)) {
    struct sigaction now, action = { .sa_handler = handler, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    if (sigaction(signal_number, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
        sigaction(signal_number, &action, NULL);
}

/* What the first signal does. A step of several ranks is given up, since mpirun waits for one second only. */
static const char FINISHING[] = "\nti: finishing the step (a second signal stops at once)\n";
static const char SAVING[] = "\nti: saving the last step (a second signal stops at once)\n";

/* After the first signal, a second SIGINT or SIGTERM ends the program at once. SIGHUP counts neither as the
   first nor as the second: a terminal that closes may send it several times, and some supervisors send it
   together with SIGTERM. */
static void on_signal(int signal_number) {
    const char *text = ranks_count() > 1 ? SAVING : FINISHING;
    caught = signal_number;
    if (signal_number == SIGHUP) return;
    handle(SIGINT, SIG_DFL);
    handle(SIGTERM, SIG_DFL);
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return; /* the message cannot be shown any more */
}

static void on_signal_of_other_rank(int signal_number) { caught = signal_number; }

void signals_follow(void) {
    handle(SIGINT, on_signal_of_other_rank);
    handle(SIGTERM, on_signal_of_other_rank);
    handle(SIGHUP, on_signal_of_other_rank);
}

void signals_catch(void) {
    handle(SIGINT, on_signal);
    handle(SIGTERM, on_signal);
    handle(SIGHUP, on_signal);
    handle(SIGPIPE, SIG_IGN);
}

int signals_caught(void) { return caught; }

void stop_at(double time) { deadline = time; }

bool stop_asked(double seconds) { return caught || system_seconds() + seconds >= deadline || !ranks_go_on(); }
bool not_interrupted(void) { return !stop_asked(0); }

void signals_release(void) {
    handle(SIGINT, SIG_DFL);
    handle(SIGTERM, SIG_DFL);
    handle(SIGHUP, SIG_DFL);
}
