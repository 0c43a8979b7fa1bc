/* SPDX-License-Identifier: MIT */
#include "inversion/progressive.h"

int64_t progressive_start(int64_t p, int64_t k) { return p * k; }

int64_t progressive_count(int64_t p, int64_t n, int64_t step) { return p > 0 ? min_i64(n, 1 + step / p) : n; }

int64_t progressive_learned(int64_t p, int64_t n, int64_t steps) {
    return progressive_count(p, n, max_i64(steps - 1, 0));
}
