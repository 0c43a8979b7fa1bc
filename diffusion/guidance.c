/* SPDX-License-Identifier: MIT */
#include "diffusion/guidance.h"

#include <math.h>

void guide(const float *uncond, const float *cond, float scale, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) out[i] = uncond[i] + scale * (cond[i] - uncond[i]);
}

/* The sum of the squared deviations from the mean, in double since there are many. */
static double squared_deviations(const float *x, int64_t count) {
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) mean += x[i];
    mean /= (double)count;
    for (int64_t i = 0; i < count; i++) squares += (x[i] - mean) * (x[i] - mean);
    return squares;
}

/* In the ratio of two standard deviations the numbers by which the sums are divided cancel. */
void guidance_rescale(const float *cond, float phi, int64_t count, float *eps) {
    double guided = squared_deviations(eps, count);
    if (!(guided > 0)) return;
    float ratio = (float)sqrt(squared_deviations(cond, count) / guided);
    for (int64_t i = 0; i < count; i++) eps[i] = phi * (eps[i] * ratio) + (1 - phi) * eps[i];
}

void guidance_embedding(double scale, int64_t dim, float *out) {
    CHECK(dim >= 4);
    int64_t half = dim / 2;
    float w = (float)(scale - 1) * 1000, step = logf(10000) / (float)(half - 1);
    for (int64_t i = 0; i < half; i++) {
        float angle = w * expf((float)i * -step);
        out[i] = sinf(angle);
        out[half + i] = cosf(angle);
    }
    if (dim % 2 != 0) out[dim - 1] = 0;
}
