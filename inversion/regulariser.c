/* SPDX-License-Identifier: MIT */
#include "inversion/regulariser.h"

void regulariser_add(double weight, double scale, int64_t n, int64_t width, const float *v, const float *v0,
                     float *grad) {
    if (weight <= 0) return;
    float factor = (float)(scale * 2 * weight / (double)n);
    for (int64_t i = 0; i < n * width; i++) grad[i] += factor * (v[i] - v0[i]);
}
