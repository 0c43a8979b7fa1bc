/* SPDX-License-Identifier: MIT */
#include "inversion/lr_schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double LR_MIN = 1e-10, LR_MAX = 100;
static const double PI = 3.14159265358979323846;

const char *const LR_SCHEDULE_NAMES[] = { "constant", "constant_with_warmup", "linear",
                                          "cosine",   "cosine_with_restarts", "polynomial",
                                          NULL };

/* Returns the factor by which lr is multiplied. q runs from 0 at the end of the
   warm-up to 1 at the last step. */
static double factor(const LrSchedule *s, int64_t step) {
    if (s->kind == CONSTANT) return 1;
    if (step < s->warmup) return (double)step / (double)max_i64(1, s->warmup);
    double span = (double)max_i64(1, s->steps - s->warmup), q = (double)(step - s->warmup) / span;
    switch (s->kind) {
    case LINEAR:
        return fmax(0, (double)(s->steps - step) / span);
    case COSINE:
        return fmax(0, 0.5 * (1 + cos(PI * q))); /* rises after the last step, as in diffusers */
    case COSINE_WITH_RESTARTS:
        return q >= 1 ? 0 : fmax(0, 0.5 * (1 + cos(PI * fmod((double)s->cycles * q, 1))));
    case POLYNOMIAL:
        if (step > s->steps) return LR_SCHEDULE_END / s->lr;
        return ((s->lr - LR_SCHEDULE_END) * (1 - q) + LR_SCHEDULE_END) / s->lr;
    default:
        return 1; /* CONSTANT_WITH_WARMUP */
    }
}

double lr_schedule_at(const LrSchedule *s, int64_t step) {
    if (s->rates.count <= 1) return s->lr * factor(s, step);
    int64_t i = 0;
    while (i + 1 < s->rates.count && step >= s->rates.end[i]) i++;
    return s->rates.rate[i];
}

static const char NO_LIST[] =
    "must be a number, or rates and the steps at which they end, such as '0.005:100, 0.001:1000, 0.0005'";

/* Reads a number that ends at one of these characters or at the text's end, and skips it. */
static bool read_number(const char **text, const char *stops, double *x) {
    char *end;
    size_t size = strcspn(*text, stops);
    if (strspn(*text, "+-.0123456789eE ") < size) return false;
    *x = strtod(*text, &end);
    size_t spaces = end > *text ? strspn(end, " ") : 0;
    bool whole = end > *text && end + spaces == *text + size;
    *text += size;
    return whole;
}

const char *lr_rates_parse(const char *text, LrRates *r) {
    bool list = strpbrk(text, ":,") != NULL;
    *r = (LrRates) { 0 };
    for (bool more = true; more;) {
        int64_t i = r->count++;
        double end = 0;
        if (i == LR_RATES_MAX) return "has more than 64 rates";
        if (!read_number(&text, ":,", &r->rate[i])) return list ? NO_LIST : "is not a number";
        if (!(r->rate[i] >= LR_MIN && r->rate[i] <= LR_MAX))
            return list ? "must have rates of 1e-10 to 100" : "must be 1e-10 to 100";
        bool ends = *text == ':';
        if (ends && (text++, !read_number(&text, ",", &end))) return NO_LIST;
        if (ends && (end != floor(end) || end > 1e9 || end <= (i ? (double)r->end[i - 1] : 0)))
            return "must have whole steps in ascending order";
        more = *text == ',';
        if (more && !ends) return NO_LIST;
        r->end[i] = (int64_t)end;
        text += more;
    }
    return NULL;
}
