/* SPDX-License-Identifier: MIT */
#include "nn/encoder.h"

#include "autograd/finite.h"

#include <math.h>
#include <stdlib.h>

Encoder encoder_new(const Vae *vae, int64_t height, int64_t width, PlanOptions plan) {
    Encoder e = { .graph = graph_new(), .height = height, .width = width, .precision = plan.precision };
    Shape shape = shape4(1, vae->config.in_channels, height, width);
    e.picture = mem_alloc((size_t)shape_count(shape) * sizeof(float));
    e.parameters = vae_encode(e.graph, vae, graph_leaf(e.graph, "picture", shape, e.picture, NULL));
    e.plan = graph_plan(e.graph, e.parameters, plan);
    return e;
}

void encoder_free(Encoder *e) {
    graph_free(e->graph);
    free(e->picture);
    *e = (Encoder) { 0 };
}

bool encoder_run(const Encoder *e, Messages *errors) {
    graph_forward(e->graph);
    return check_finite(e->graph, e->parameters, "the VAE's output for a picture", errors);
}

void posterior_sample(const float *parameters, const float *n, int64_t count, float scaling_factor,
                      float *out) {
    const float *mean = parameters, *logvar = parameters + count;
    for (int64_t i = 0; i < count; i++) {
        float std = expf(0.5f * fminf(fmaxf(logvar[i], -30.0f), 20.0f));
        out[i] = (mean[i] + std * n[i]) * scaling_factor;
    }
}
