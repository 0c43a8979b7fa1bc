#include "inversion/lr_schedule.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

const char *const LR_SCHEDULE_NAMES[] = { "constant", "constant_with_warmup", "linear",
                                          "cosine",   "cosine_with_restarts", "polynomial",
                                          NULL };

/* The factor by which lr is multiplied. q runs from 0 at the end of the warm-up to 1 at the last step. */
static double factor(const LrSchedule *s, int64_t step) {
    if (s->kind == CONSTANT) return 1;
    if (step < s->warmup) return (double)step / (double)max_i64(1, s->warmup);
    double span = (double)max_i64(1, s->steps - s->warmup), q = (double)(step - s->warmup) / span;
    switch (s->kind) {
    case LINEAR:
        return fmax(0, (double)(s->steps - step) / span);
    case COSINE:
        return fmax(0, 0.5 * (1 + cos(PI * q))); /* after the last step it rises again, as diffusers' does */
    case COSINE_WITH_RESTARTS:
        return q >= 1 ? 0 : fmax(0, 0.5 * (1 + cos(PI * fmod((double)s->cycles * q, 1))));
    case POLYNOMIAL:
        if (step > s->steps) return LR_SCHEDULE_END / s->lr;
        return ((s->lr - LR_SCHEDULE_END) * (1 - q) + LR_SCHEDULE_END) / s->lr;
    default:
        return 1; /* CONSTANT_WITH_WARMUP */
    }
}

double lr_schedule_at(const LrSchedule *s, int64_t step) { return s->lr * factor(s, step); }
