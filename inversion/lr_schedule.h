/* Learning-rate schedules: those of diffusers' get_scheduler, computed in double as there. */
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

typedef struct {
    LrScheduleKind kind;
    double lr;      /* the highest learning rate; for POLYNOMIAL it must be above LR_SCHEDULE_END */
    int64_t warmup; /* steps during which it rises from 0; CONSTANT ignores them */
    int64_t steps;  /* steps of the whole run */
    int cycles;     /* for COSINE_WITH_RESTARTS: how often it falls from the highest to 0 */
} LrSchedule;

/* The learning rate at which POLYNOMIAL ends (diffusers' lr_end). */
#define LR_SCHEDULE_END 1e-7

/* diffusers' names of the schedules, in the order of LrScheduleKind; NULL follows the last. */
extern const char *const LR_SCHEDULE_NAMES[];

/* Returns the learning rate of step 0, 1, ... Steps after the last one are allowed too. */
double lr_schedule_at(const LrSchedule *s, int64_t step);

#endif
