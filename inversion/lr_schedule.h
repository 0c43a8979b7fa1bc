/* SPDX-License-Identifier: MIT */
/* Learning-rate schedules: those of diffusers' get_scheduler, computed in double as they are there. */
#ifndef TI_LR_SCHEDULE_H
#define TI_LR_SCHEDULE_H

#include "io/base.h"

typedef enum {
    CONSTANT,
    CONSTANT_WITH_WARMUP,
    LINEAR,
    COSINE,
    COSINE_WITH_RESTARTS,
    POLYNOMIAL,
    LR_SCHEDULE_KINDS
} LrScheduleKind;

/* Learning rates by step, as A1111 writes them: "0.005:100, 0.001:1000, 0.0005" has the rate 0.005 in steps
   0 to 99, 0.001 up to step 999, and then 0.0005. A plain number is a list of one. */
enum { LR_RATES_MAX = 64 };
typedef struct {
    int64_t count;
    double rate[LR_RATES_MAX];
    /* The step before which a rate ends, in ascending order. The last rate goes on after its own. */
    int64_t end[LR_RATES_MAX];
} LrRates;

/* Parses such a text. Returns NULL, or what is wrong with it as the end of a message. */
const char *lr_rates_parse(const char *text, LrRates *rates);

typedef struct {
    LrScheduleKind kind;
    double lr;      /* the highest learning rate; for POLYNOMIAL it must be above LR_SCHEDULE_END */
    int64_t warmup; /* steps during which the rate rises from 0; CONSTANT ignores them */
    int64_t steps;  /* steps of the whole run */
    int cycles;     /* for COSINE_WITH_RESTARTS: how often the rate falls from the highest to 0 */
    LrRates rates;  /* if there are several, the rate by step, which replaces all of the above */
} LrSchedule;

/* The learning rate at which POLYNOMIAL ends (diffusers' lr_end). */
#define LR_SCHEDULE_END 1e-7

/* diffusers' names of the schedules, in the order of LrScheduleKind, followed by NULL. */
extern const char *const LR_SCHEDULE_NAMES[];

/* Returns the learning rate of step 0, 1, ... Steps after the last one are allowed too. */
double lr_schedule_at(const LrSchedule *s, int64_t step);

#endif
