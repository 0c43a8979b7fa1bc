/* SPDX-License-Identifier: MIT */
#include "inversion/norm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double KAPPA = 1e-4;

bool norm_rule_parse(const char *text, NormRule *rule) {
    *rule = (NormRule) { .kind = NORM_FIXED };
    if (strcmp(text, "free") == 0) rule->kind = NORM_FREE;
    if (strcmp(text, "sphere") == 0) rule->kind = NORM_SPHERE;
    if (rule->kind != NORM_FIXED || strcmp(text, "median") == 0) return true;
    return text_is_number(text, &rule->length) && rule->length > 0 && rule->length <= 1e6;
}

void vectors_rescale(const NormRule *rule, int64_t n, int64_t width, float *v) {
    if (rule->kind != NORM_FIXED) return;
    for (int64_t k = 0; k < n; k++, v += width) {
        double norm = sqrt(dot_product(v, v, width));
        if (norm <= 0) continue;
        float factor = (float)(rule->length / norm);
        for (int64_t i = 0; i < width; i++) v[i] *= factor;
    }
}

bool sphere_step(const NormRule *rule, double lr, int64_t width, float *v, const float *v0,
                 const float *grad) {
    if (rule->kind != NORM_SPHERE) return false;
    double norm = sqrt(dot_product(v, v, width)), norm0 = sqrt(dot_product(v0, v0, width)), radial = 0,
           size = 0, turned = 0, length = rule->length;
    if (norm <= 0 || norm0 <= 0) return true;
    double *u = mem_alloc((size_t)width * sizeof *u), *g = mem_alloc((size_t)width * sizeof *g);
    for (int64_t i = 0; i < width; i++) {
        u[i] = (double)v[i] / norm;
        g[i] = length * (double)grad[i] - KAPPA * (double)v0[i] / norm0;
        radial += g[i] * u[i];
    }
    for (int64_t i = 0; i < width; i++) {
        g[i] -= radial * u[i];
        size += g[i] * g[i];
    }
    for (int64_t i = 0; i < width; i++) {
        u[i] -= lr * g[i] / (sqrt(size) + 1e-8);
        turned += u[i] * u[i];
    }
    for (int64_t i = 0; i < width; i++) v[i] = (float)(length * u[i] / sqrt(turned));
    free(u);
    free(g);
    return true;
}
