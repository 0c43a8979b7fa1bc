/* SPDX-License-Identifier: MIT */
/* Normalisation. The statistics, mean and rstd = 1 / sqrt(variance + eps), take two passes over the data,
   since the formula E[x^2] - E[x]^2 loses all digits when the mean is large. Backward recomputes the
   statistics, which is cheaper than keeping them. With h = (x - mean) rstd and q = w dy:

       y = w h + b              dx += rstd (q - mean(q) - h mean(q h))

   where the means are over all elements that were normalised together. */
#include "autograd/ops.h"
#include "tensor/vmath.h"

/* A smaller tensor takes less time than waking the other threads. */
enum { PARALLEL_FROM = 8192 };

typedef struct {
    float mean, rstd;
} Statistics;

static Statistics statistics(const float *x, int64_t count, float eps) {
    float mean = (float)(vsum(x, count) / (double)count);
    double variance = vsum_squares(x, mean, count) / (double)count;
    return (Statistics) { mean, (float)(1 / sqrt(variance + (double)eps)) };
}

static void check_layer(const Layer *layer, int64_t channels) {
    CHECK(shape_equal(layer->weight->shape, shape1(channels)));
    CHECK(shape_equal(layer->bias->shape, shape1(channels)));
}

/* ---- group_norm: the channels of a group are contiguous, C / groups * positions floats ---- */

typedef struct {
    int64_t channels, positions, size; /* of one group: its channels, elements per channel, elements */
    int64_t count;                     /* groups in the whole batch, over which the loops run */
} Groups;

static Groups groups_of(const Node *n) {
    Shape s = n->out->shape;
    int64_t channels = s.dim[1] / n->groups, positions = shape_count(s) / (s.dim[0] * s.dim[1]);
    return (Groups) { channels, positions, channels * positions, s.dim[0] * n->groups };
}

static void group_norm_forward(const Node *n) {
    Groups k = groups_of(n);
#pragma omp parallel for schedule(static) if (k.count * k.size >= PARALLEL_FROM)
    for (int64_t tile = 0; tile < k.count; tile++) {
        const float *x = n->in[0]->data + tile * k.size;
        float *y = n->out->data + tile * k.size, *workspace = node_workspace(n);
        int64_t first = tile % n->groups * k.channels;
        const float *w = weight_vector(n->layer.weight, first, k.channels, workspace);
        const float *b = weight_vector(n->layer.bias, first, k.channels, workspace + k.channels);
        Statistics s = statistics(x, k.size, n->eps);
        for (int64_t c = 0; c < k.channels; c++) {
            float scale = w[c] * s.rstd, shift = b[c];
#pragma omp simd
            for (int64_t p = 0; p < k.positions; p++)
                y[c * k.positions + p] = (x[c * k.positions + p] - s.mean) * scale + shift;
        }
    }
}

static void group_norm_backward(const Node *n) {
    bool overwrite = overwrites_gradient(n, 0);
    Groups k = groups_of(n);
#pragma omp parallel for schedule(static) if (k.count * k.size >= PARALLEL_FROM)
    for (int64_t tile = 0; tile < k.count; tile++) {
        const float *x = n->in[0]->data + tile * k.size, *dy = n->out->grad + tile * k.size;
        float *dx = n->in[0]->grad + tile * k.size;
        const float *w =
            weight_vector(n->layer.weight, tile % n->groups * k.channels, k.channels, node_workspace(n));
        Statistics s = statistics(x, k.size, n->eps);
        double mean_q = 0, mean_qh = 0; /* w is constant in a channel, so it multiplies the channel's sums */
        for (int64_t c = 0; c < k.channels; c++) {
            const float *dyc = dy + c * k.positions, *xc = x + c * k.positions;
            mean_q += (double)w[c] * vsum(dyc, k.positions);
            mean_qh += (double)w[c] * (double)s.rstd * vdot_centred(dyc, xc, s.mean, k.positions);
        }
        float a = (float)(mean_q / (double)k.size), b = (float)(mean_qh / (double)k.size) * s.rstd;
        for (int64_t c = 0; c < k.channels; c++) {
            float weight = w[c];
            int64_t at = c * k.positions;
#pragma omp simd
            for (int64_t p = at; p < at + k.positions; p++)
                dx[p] = (overwrite ? 0 : dx[p]) + s.rstd * (dy[p] * weight - a - (x[p] - s.mean) * b);
        }
    }
}

static size_t group_norm_workspace(const Node *n) { return 2 * (size_t)groups_of(n).channels; }

static double norm_flops(const Node *n) { return 8 * (double)shape_count(n->out->shape); }

static const Op GROUP_NORM = { .name = "group_norm",
                               .forward = group_norm_forward,
                               .backward = group_norm_backward,
                               .can_overwrite = IN0,
                               .reads = IN0,
                               .workspace = group_norm_workspace,
                               .flops = norm_flops,
                               .backward_flops = 2 };

Tensor *group_norm(Graph *g, Tensor *x, const Layer *layer, int groups, float eps) {
    CHECK(x->shape.rank >= 3 && groups > 0 && x->shape.dim[1] % groups == 0);
    check_layer(layer, x->shape.dim[1]);
    return graph_node(g, &GROUP_NORM, (Node) { .in = { x }, .layer = *layer, .groups = groups, .eps = eps },
                      x->shape);
}

/* ---- layer_norm: each row is normalised, and a thread takes 16 rows at a time ---- */

enum { ROWS = 16 };

static void layer_norm_forward(const Node *n) {
    Shape shape = n->out->shape;
    int64_t d = shape.dim[shape.rank - 1], rows = shape_count(shape) / d;
#pragma omp parallel for schedule(static) if (rows * d >= PARALLEL_FROM)
    for (int64_t tile = 0; tile < ceil_div(rows, ROWS); tile++) {
        float *workspace = node_workspace(n);
        const float *w = weight_vector(n->layer.weight, 0, d, workspace);
        const float *b = weight_vector(n->layer.bias, 0, d, workspace + d);
        for (int64_t r = tile * ROWS; r < min_i64(rows, (tile + 1) * ROWS); r++) {
            const float *x = n->in[0]->data + r * d;
            float *y = n->out->data + r * d;
            Statistics s = statistics(x, d, n->eps);
#pragma omp simd
            for (int64_t i = 0; i < d; i++) y[i] = (x[i] - s.mean) * s.rstd * w[i] + b[i];
        }
    }
}

static void layer_norm_backward(const Node *n) {
    bool overwrite = overwrites_gradient(n, 0);
    Shape shape = n->out->shape;
    int64_t d = shape.dim[shape.rank - 1], rows = shape_count(shape) / d;
#pragma omp parallel for schedule(static) if (rows * d >= PARALLEL_FROM)
    for (int64_t tile = 0; tile < ceil_div(rows, ROWS); tile++) {
        float *workspace = node_workspace(n), *q = workspace + d;
        const float *w = weight_vector(n->layer.weight, 0, d, workspace);
        for (int64_t r = tile * ROWS; r < min_i64(rows, (tile + 1) * ROWS); r++) {
            const float *x = n->in[0]->data + r * d, *dy = n->out->grad + r * d;
            float *dx = n->in[0]->grad + r * d;
            Statistics s = statistics(x, d, n->eps);
#pragma omp simd
            for (int64_t i = 0; i < d; i++) q[i] = dy[i] * w[i];
            float a = (float)(vsum(q, d) / (double)d);
            float b = (float)(vdot_centred(q, x, s.mean, d) * (double)s.rstd / (double)d) * s.rstd;
#pragma omp simd
            for (int64_t i = 0; i < d; i++)
                dx[i] = (overwrite ? 0 : dx[i]) + s.rstd * (q[i] - a - (x[i] - s.mean) * b);
        }
    }
}

static size_t layer_norm_workspace(const Node *n) {
    return 2 * (size_t)n->out->shape.dim[n->out->shape.rank - 1];
}

static const Op LAYER_NORM = { .name = "layer_norm",
                               .forward = layer_norm_forward,
                               .backward = layer_norm_backward,
                               .can_overwrite = IN0,
                               .reads = IN0,
                               .workspace = layer_norm_workspace,
                               .flops = norm_flops,
                               .backward_flops = 2 };

Tensor *layer_norm(Graph *g, Tensor *x, const Layer *layer, float eps) {
    check_layer(layer, x->shape.dim[x->shape.rank - 1]);
    return graph_node(g, &LAYER_NORM, (Node) { .in = { x }, .layer = *layer, .eps = eps }, x->shape);
}
