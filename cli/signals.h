/* SPDX-License-Identifier: MIT */
/* What asks a run to stop: the signals SIGINT (Ctrl-C), SIGTERM, and SIGHUP, which is sent when the terminal
   is closed; the end of the time that --for gives it; and a rank that is lost (inversion/ranks.h). */
#ifndef TI_SIGNALS_H
#define TI_SIGNALS_H

#include <stdbool.h>

/* From this call on these signals do not end the program; signals_caught reports them, so that the run can
   stop after a step. A second SIGINT or SIGTERM ends the program at once. A signal that is already ignored
   stays ignored, as SIGINT is in a script's background job and SIGHUP under nohup. SIGPIPE is ignored too, so
   that the run survives when the program that reads its output ends. */
void signals_catch(void);

/* The same for a rank other than the first, which only signals_caught tells of a signal: rank 0 decides. */
void signals_follow(void);

/* Returns the number of the last signal that was caught, or 0. */
int signals_caught(void);

/* From now on stop_asked is true once system_seconds reaches this time. */
void stop_at(double time);
/* Whether a signal has come, the time is over or will be after so many seconds more, or the ranks end. */
bool stop_asked(double seconds);
/* Whether nothing asks the run to stop yet, for wait_start. */
bool not_interrupted(void);

/* To be called after everything is saved. From this call on each of these signals ends the program at
   once. */
void signals_release(void);

#endif
