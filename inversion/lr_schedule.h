/* Learning rate schedules: diffusers' get_scheduler, in double as there. */
#ifndef TI_SCHEDULE_H
#define TI_SCHEDULE_H

#include "io/base.h"

typedef enum {
    CONSTANT,
    CONSTANT_WITH_WARMUP,
    LINEAR,
    COSINE,
    COSINE_WITH_RESTARTS,
    POLYNOMIAL,
    SCHEDULE_KINDS
} ScheduleKind;

typedef struct {
    ScheduleKind kind;
    double lr;      /* the highest; for POLYNOMIAL above SCHEDULE_LR_END */
    int64_t warmup; /* steps on which it rises from 0; CONSTANT has none */
    int64_t steps;  /* of the whole run */
    int cycles;     /* COSINE_WITH_RESTARTS */
} Schedule;

/* Where POLYNOMIAL ends. */
#define SCHEDULE_LR_END 1e-7

/* The names in ScheduleKind's order, closed by NULL; they are diffusers': "constant_with_warmup". */
extern const char *const SCHEDULE_NAMES[];

/* The learning rate of step 0, 1, ...  Any step may be asked for, also those after the last. */
double schedule_lr(const Schedule *s, int64_t step);

#endif
