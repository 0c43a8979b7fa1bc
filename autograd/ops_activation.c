/* SPDX-License-Identifier: MIT */
/* Activations. Each element is computed independently, so any division of a loop among threads
   gives the same bits. */
#include "autograd/ops.h"
#include "tensor/vmath.h"

/* A thread computes the gradients of this many elements before it writes them. */
enum { PIECE = 512 };

/* A shorter loop takes less time than waking the other threads. */
enum { PARALLEL_FROM = 16384 };

static const float QUICK_GELU = 1.702f;

/* silu is the case a = 1, quick_gelu the case a = 1.702:

       y = x s,  s = 1 / (1 + e^(-a x))              dx += dy s (1 + a x (1 - s))

   docs/autograd.md derives the gradient. */
static void swish_forward(const Node *n, float a) {
    const float *x = n->in[0]->data;
    float *y = n->out->data;
    int64_t count = shape_count(n->out->shape);
#pragma omp parallel for simd schedule(static) if (count >= PARALLEL_FROM)
    for (int64_t i = 0; i < count; i++) y[i] = x[i] * vsigmoid(a * x[i]);
}

static void swish_backward(const Node *n, float a) {
    int64_t count = shape_count(n->out->shape);
#pragma omp parallel for schedule(static) if (count >= PARALLEL_FROM)
    for (int64_t at = 0; at < count; at += PIECE) {
        const float *x = n->in[0]->data + at, *dy = n->out->grad + at;
        float dx[PIECE];
        int64_t size = min_i64(PIECE, count - at);
#pragma omp simd
        for (int64_t i = 0; i < size; i++) {
            float s = vsigmoid(a * x[i]);
            dx[i] = dy[i] * s * (1.0f + a * x[i] * (1.0f - s));
        }
        write_gradient(n, 0, at, dx, size);
    }
}

static void silu_forward(const Node *n) { swish_forward(n, 1); }
static void silu_backward(const Node *n) { swish_backward(n, 1); }

static const Op SILU = {
    .name = "silu", .forward = silu_forward, .backward = silu_backward, .can_overwrite = IN0, .reads = IN0
};

Tensor *silu(Graph *g, Tensor *x) { return graph_node(g, &SILU, (Node) { .in = { x } }, x->shape); }

/* With Phi the cumulative normal distribution and phi = Phi' its density:

       y = x Phi(x)              dx += dy (Phi(x) + x phi(x)) */
static void gelu_forward(const Node *n) {
    const float *x = n->in[0]->data;
    float *y = n->out->data;
    int64_t count = shape_count(n->out->shape);
#pragma omp parallel for simd schedule(static) if (count >= PARALLEL_FROM)
    for (int64_t i = 0; i < count; i++) y[i] = x[i] * vnormal(x[i]).cdf;
}

static void gelu_backward(const Node *n) {
    int64_t count = shape_count(n->out->shape);
#pragma omp parallel for schedule(static) if (count >= PARALLEL_FROM)
    for (int64_t at = 0; at < count; at += PIECE) {
        const float *x = n->in[0]->data + at, *dy = n->out->grad + at;
        float dx[PIECE];
        int64_t size = min_i64(PIECE, count - at);
#pragma omp simd
        for (int64_t i = 0; i < size; i++) {
            Normal p = vnormal(x[i]);
            dx[i] = dy[i] * (p.cdf + x[i] * p.density);
        }
        write_gradient(n, 0, at, dx, size);
    }
}

static const Op GELU = {
    .name = "gelu", .forward = gelu_forward, .backward = gelu_backward, .can_overwrite = IN0, .reads = IN0
};

Tensor *gelu(Graph *g, Tensor *x) { return graph_node(g, &GELU, (Node) { .in = { x } }, x->shape); }

static void quick_gelu_forward(const Node *n) { swish_forward(n, QUICK_GELU); }
static void quick_gelu_backward(const Node *n) { swish_backward(n, QUICK_GELU); }

static const Op QUICK_GELU_OP = { .name = "quick_gelu",
                                  .forward = quick_gelu_forward,
                                  .backward = quick_gelu_backward,
                                  .can_overwrite = IN0,
                                  .reads = IN0 };

Tensor *quick_gelu(Graph *g, Tensor *x) {
    return graph_node(g, &QUICK_GELU_OP, (Node) { .in = { x } }, x->shape);
}

/* Each row of x is (a, b), and gelu is applied to the second half:

       y = a gelu(b) = a b Phi(b)              da += dy b Phi(b),  db += dy a (Phi(b) + b phi(b)) */
static void geglu_forward(const Node *n) {
    int64_t count = shape_count(n->out->shape), d = n->out->shape.dim[n->out->shape.rank - 1];
#pragma omp parallel for schedule(static) if (count >= PARALLEL_FROM)
    for (int64_t r = 0; r < count / d; r++) {
        const float *a = n->in[0]->data + 2 * d * r, *b = a + d;
        float *y = n->out->data + d * r;
#pragma omp simd
        for (int64_t i = 0; i < d; i++) y[i] = a[i] * (b[i] * vnormal(b[i]).cdf);
    }
}

static void geglu_backward(const Node *n) {
    int64_t count = shape_count(n->out->shape), d = n->out->shape.dim[n->out->shape.rank - 1];
#pragma omp parallel for schedule(static) if (count >= PARALLEL_FROM)
    for (int64_t r = 0; r < count / d; r++)
        for (int64_t at = 0; at < d; at += PIECE) {
            const float *a = n->in[0]->data + 2 * d * r + at, *b = a + d, *dy = n->out->grad + d * r + at;
            float da[PIECE], db[PIECE];
            int64_t size = min_i64(PIECE, d - at);
#pragma omp simd
            for (int64_t i = 0; i < size; i++) {
                Normal p = vnormal(b[i]);
                da[i] = dy[i] * (b[i] * p.cdf);
                db[i] = dy[i] * a[i] * (p.cdf + b[i] * p.density);
            }
            write_gradient(n, 0, 2 * d * r + at, da, size);
            write_gradient(n, 0, 2 * d * r + d + at, db, size);
        }
}

static const Op GEGLU = {
    .name = "geglu", .forward = geglu_forward, .backward = geglu_backward, .can_overwrite = IN0, .reads = IN0
};

Tensor *geglu(Graph *g, Tensor *x) {
    Shape out = x->shape;
    CHECK(out.rank >= 1 && out.dim[out.rank - 1] % 2 == 0);
    out.dim[out.rank - 1] /= 2;
    return graph_node(g, &GEGLU, (Node) { .in = { x } }, out);
}
