/* SPDX-License-Identifier: MIT */
#include "inversion/loss_weights.h"

#include <math.h>

bool loss_is_weighted(const LossWeights *w) { return w->min_snr > 0 || w->masked; }

Tensor *loss_record(Graph *g, Tensor *pred, Tensor *target, float *weights) {
    if (!weights) return mse_loss(g, pred, target);
    Shape shape = shape3(pred->shape.dim[0], pred->shape.dim[2], pred->shape.dim[3]);
    return weighted_mse_loss(g, pred, target, graph_leaf(g, "weights", shape, weights, NULL));
}

/* diffusers computes the signal-to-noise ratio in fp32 (compute_snr). Where abar is 0, which only happens
   with zero terminal SNR, the quotient for eps is 0 / 0; its limit is 1. */
float min_snr_weight(const NoiseSchedule *schedule, double gamma, int64_t t) {
    float abar = schedule->alphas_cumprod[t], ratio = sqrtf(abar) / sqrtf(1 - abar), snr = ratio * ratio;
    float least = fminf(snr, (float)gamma);
    if (schedule->config.prediction == PREDICT_V) return least / (snr + 1);
    return snr > 0 ? least / snr : 1;
}

void loss_weights_set(const LossWeights *w, const NoiseSchedule *schedule, int64_t t, int64_t count,
                      float *weights, int64_t i, const float *mask) {
    if (!weights) return;
    float weight = w->min_snr > 0 ? min_snr_weight(schedule, w->min_snr, t) : 1;
    for (int64_t k = 0; k < count; k++) weights[i * count + k] = mask ? weight * mask[k] : weight;
}
