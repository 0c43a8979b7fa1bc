/* SPDX-License-Identifier: MIT */
/* The loss of the paper's equation (2), || eps - eps_theta(z_t, t, c_theta(y)) ||^2, as a mean
   over all elements. */
#include "autograd/ops.h"
#include "tensor/vmath.h"

/* With p the prediction and t the target:

       loss = mean((p - t)^2)              dp += dloss 2 (p - t) / count */
static void mse_loss_forward(const Node *n) {
    const float *p = n->in[0]->data, *t = n->in[1]->data;
    int64_t count = shape_count(n->in[0]->shape);
    n->out->data[0] = (float)(vsum_squared_difference(p, t, count) / (double)count);
}

static void mse_loss_backward(const Node *n) {
    if (!n->in[0]->needs_grad) return;
    const float *p = n->in[0]->data, *t = n->in[1]->data;
    float *dp = n->in[0]->grad;
    int64_t count = shape_count(n->in[0]->shape);
    float scale = (float)(2.0 * (double)n->out->grad[0] / (double)count);
#pragma omp simd
    for (int64_t i = 0; i < count; i++) dp[i] += scale * (p[i] - t[i]);
}

static const Op MSE_LOSS = {
    .name = "mse_loss", .forward = mse_loss_forward, .backward = mse_loss_backward, .reads = IN0 | IN1
};

Tensor *mse_loss(Graph *g, Tensor *pred, Tensor *target) {
    CHECK(shape_equal(pred->shape, target->shape));
    CHECK(!target->needs_grad); /* backward computes no gradient for the target */
    return graph_node(g, &MSE_LOSS, (Node) { .in = { pred, target } }, shape1(1));
}

/* With a weight w for each pixel of a picture, the same for all its channels:

       loss = mean(w (p - t)^2)            dp += dloss 2 w (p - t) / count */
static void weighted_mse_loss_forward(const Node *n) {
    const float *p = n->in[0]->data, *t = n->in[1]->data, *w = n->in[2]->data;
    Shape shape = n->in[0]->shape;
    int64_t pixels = shape.dim[2] * shape.dim[3], channels = shape.dim[1], count = shape_count(shape);
    double sum = 0;
    for (int64_t i = 0; i < count; i += pixels, p += pixels, t += pixels) {
        const float *weights = w + i / (channels * pixels) * pixels;
        for (int64_t k = 0; k < pixels; k++) {
            double difference = (double)p[k] - (double)t[k];
            sum += (double)weights[k] * difference * difference;
        }
    }
    n->out->data[0] = (float)(sum / (double)count);
}

static void weighted_mse_loss_backward(const Node *n) {
    if (!n->in[0]->needs_grad) return;
    const float *p = n->in[0]->data, *t = n->in[1]->data, *w = n->in[2]->data;
    float *dp = n->in[0]->grad;
    Shape shape = n->in[0]->shape;
    int64_t pixels = shape.dim[2] * shape.dim[3], channels = shape.dim[1], count = shape_count(shape);
    float scale = (float)(2.0 * (double)n->out->grad[0] / (double)count);
    for (int64_t i = 0; i < count; i += pixels, p += pixels, t += pixels, dp += pixels) {
        const float *weights = w + i / (channels * pixels) * pixels;
#pragma omp simd
        for (int64_t k = 0; k < pixels; k++) dp[k] += scale * weights[k] * (p[k] - t[k]);
    }
}

static const Op WEIGHTED_MSE_LOSS = { .name = "weighted_mse_loss",
                                      .forward = weighted_mse_loss_forward,
                                      .backward = weighted_mse_loss_backward,
                                      .reads = IN0 | IN1 | IN2 };

Tensor *weighted_mse_loss(Graph *g, Tensor *pred, Tensor *target, Tensor *weights) {
    Shape shape = pred->shape;
    CHECK(shape_equal(shape, target->shape) && shape.rank == 4);
    CHECK(shape_equal(weights->shape, shape3(shape.dim[0], shape.dim[2], shape.dim[3])));
    CHECK(!target->needs_grad && !weights->needs_grad);
    return graph_node(g, &WEIGHTED_MSE_LOSS, (Node) { .in = { pred, target, weights } }, shape1(1));
}
