/* SPDX-License-Identifier: MIT */
#include "inversion/scores.h"

#include <math.h>
#include <stdlib.h>

/* Returns the jackknife's error of a score whose values without picture i are `without` [n]. */
static double jackknife(const double *without, int64_t n) {
    if (n < 2) return (double)NAN;
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) mean += without[i] / (double)n;
    for (int64_t i = 0; i < n; i++) squares += (without[i] - mean) * (without[i] - mean);
    return sqrt((double)(n - 1) / (double)n * squares);
}

/* Returns the score of the mean of n numbers. */
static Score mean_of(const double *x, int64_t n) {
    double sum = 0, *without = mem_alloc((size_t)n * sizeof *without);
    for (int64_t i = 0; i < n; i++) sum += x[i];
    for (int64_t i = 0; i < n; i++) without[i] = (sum - x[i]) / (double)(n - 1);
    Score s = { sum / (double)n, jackknife(without, n) };
    free(without);
    return s;
}

/* The mean over j is taken first: mean_j <g_i, r_j> = <g_i, mean_j r_j>. */
Score score_images(const float *pictures, int64_t n, const float *training, int64_t m, int64_t width) {
    double *mean = mem_alloc((size_t)width * sizeof *mean), *x = mem_alloc((size_t)n * sizeof *x);
    for (int64_t j = 0; j < m; j++)
        for (int64_t k = 0; k < width; k++) mean[k] += (double)training[j * width + k] / (double)m;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < width; k++) x[i] += (double)pictures[i * width + k] * mean[k];
    Score s = mean_of(x, n);
    free(mean);
    free(x);
    return s;
}

Score score_text(const float *pictures, int64_t n, const float *text, int64_t width) {
    double *x = mem_alloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = dot_product(pictures + i * width, text, width);
    Score s = mean_of(x, n);
    free(x);
    return s;
}

/* Returns the cosine of (sum - left_out) and the text; left_out may be NULL. */
static double cosine(const double *sum, const float *left_out, const float *text, int64_t width) {
    double product = 0, squares = 0;
    for (int64_t k = 0; k < width; k++) {
        double x = sum[k] - (left_out ? (double)left_out[k] : 0);
        product += x * (double)text[k];
        squares += x * x;
    }
    return product / sqrt(squares);
}

Score score_text_of_mean(const float *pictures, int64_t n, const float *text, int64_t width) {
    double *sum = mem_alloc((size_t)width * sizeof *sum), *without = mem_alloc((size_t)n * sizeof *without);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < width; k++) sum[k] += (double)pictures[i * width + k];
    for (int64_t i = 0; i < n && n > 1; i++) without[i] = cosine(sum, pictures + i * width, text, width);
    Score s = { cosine(sum, NULL, text, width), jackknife(without, n) };
    free(sum);
    free(without);
    return s;
}

Score score_mean(const Score *scores, int64_t count) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += scores[i].value;
        squares += scores[i].error * scores[i].error;
    }
    return (Score) { sum / (double)count, sqrt(squares) / (double)count };
}
