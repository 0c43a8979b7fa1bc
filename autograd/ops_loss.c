/* The loss of the paper's equation (2), || eps - eps_theta(z_t, t, c_theta(y)) ||^2, taken as a mean over all
   elements. */
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
    CHECK(!target->needs_grad); /* backward computes none for it */
    return graph_node(g, &MSE_LOSS, (Node) { .in = { pred, target } }, shape1(1));
}
