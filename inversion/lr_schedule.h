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
    LR_SCHEDULE_KINDS
} LrScheduleKind;

typedef struct {
    LrScheduleKind kind;
    double lr;      /* the highest; for POLYNOMIAL above LR_SCHEDULE_END */
    int64_t warmup; /* steps on which it rises from 0; CONSTANT has none */
    int64_t steps;  /* of the whole run */
    int cycles;     /* COSINE_WITH_RESTARTS */
} LrSchedule;

/* Where POLYNOMIAL ends. */
#define LR_SCHEDULE_END 1e-7

/* The names in LrScheduleKind's order, closed by NULL; they are diffusers': "constant_with_warmup". */
extern const char *const LR_SCHEDULE_NAMES[];

/* The learning rate of step 0, 1, ...  Any step may be asked for, also those after the last. */
double lr_schedule_at(const LrSchedule *s, int64_t step);

#endif
