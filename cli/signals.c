#define _POSIX_C_SOURCE 200809L
#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

/* A handler has no other way to tell than a variable of the whole program. */
static volatile sig_atomic_t caught;

static void handle(int signal_number, void (*handler)(int)) {
    struct sigaction now, action = { .sa_handler = handler, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    if (sigaction(signal_number, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
        sigaction(signal_number, &action, NULL);
}

/* SIGHUP is not counted, neither as the first nor as the second: where a terminal goes it comes several
   times, and from some supervisors together with SIGTERM. */
static void on_signal(int signal_number) {
    static const char text[] = "\nti: finishing the step (once more: stops at once)\n";
    caught = signal_number;
    if (signal_number == SIGHUP) return;
    handle(SIGINT, SIG_DFL);
    handle(SIGTERM, SIG_DFL);
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) return; /* nobody there to read it */
}

void signals_catch(void) {
    handle(SIGINT, on_signal);
    handle(SIGTERM, on_signal);
    handle(SIGHUP, on_signal);
    handle(SIGPIPE, SIG_IGN);
}

int signals_caught(void) { return caught; }

void signals_release(void) {
    handle(SIGINT, SIG_DFL);
    handle(SIGTERM, SIG_DFL);
    handle(SIGHUP, SIG_DFL);
}
