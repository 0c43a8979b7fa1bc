#define _POSIX_C_SOURCE 200809L
#include "cli/signals.h"

#include "io/system.h"

#include <math.h>
#include <signal.h>
#include <stddef.h>
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

/* After the first signal, a second SIGINT or SIGTERM ends the program at once. SIGHUP counts neither as the
   first nor as the second: a terminal that closes may send it several times, and some supervisors send it
   together with SIGTERM. */
static void on_signal(int signal_number) {
    static const char text[] = "\nti: finishing the step (a second signal stops at once)\n";
    caught = signal_number;
    if (signal_number == SIGHUP) return;
    handle(SIGINT, SIG_DFL);
    handle(SIGTERM, SIG_DFL);
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) return; /* the message cannot be shown any more */
}

void signals_catch(void) {
    handle(SIGINT, on_signal);
    handle(SIGTERM, on_signal);
    handle(SIGHUP, on_signal);
    handle(SIGPIPE, SIG_IGN);
}

int signals_caught(void) { return caught; }

void stop_at(double time) { deadline = time; }

bool stop_asked(double seconds) { return caught || system_seconds() + seconds >= deadline; }
bool not_interrupted(void) { return !stop_asked(0); }

void signals_release(void) {
    handle(SIGINT, SIG_DFL);
    handle(SIGTERM, SIG_DFL);
    handle(SIGHUP, SIG_DFL);
}
