/* SPDX-License-Identifier: MIT */
/* The ops with frozen weights that do nearly all of the arithmetic: linear layers and convolutions. */
#include "autograd/ops.h"
#include "tensor/conv.h"
#include "tensor/gemm_bf16.h"
#include "tensor/share.h"

#include <string.h>

static void check_bias(const Layer *layer, int64_t out) {
    if (layer->bias) CHECK_EQ(shape_count(layer->bias->shape), out);
}

/* ---- linear: with X [R, I], W [O, I], b [O] and Y [R, O]

             Y = X W^T + 1 b^T        dX += dY W ---- */

typedef struct {
    int64_t rows, in, out;
} Linear;

static Linear linear_of(const Node *n) {
    Shape x = n->in[0]->shape, y = n->out->shape;
    int64_t in = x.dim[x.rank - 1];
    return (Linear) { shape_count(x) / in, in, y.dim[y.rank - 1] };
}

/* The weights that a thread converted to fp32 for its last tile. If a panel holds the whole inner dimension,
   the next tile can use them too if it has the same columns. */
typedef struct {
    int64_t column; /* of the tile to which the weights belong; -1 before the first tile */
    Panel weights;
    const float *bias;
} Widened;

/* Multiplies rows of x by columns of the transposed weight (TRANSPOSED), or rows of dy by columns of the
   weight (AS_IS), in bfloat16, straight from the type that the weight has in its file. */
static void bf16_product(const Node *n, Tile t, Layout layout, int64_t k, const float *x, bool add, float *y,
                         int64_t ldy, float *workspace) {
    Factor w = layout == TRANSPOSED ? weight_factor(n->layer.weight, layout, t.column, 0)
                                    : weight_factor(n->layer.weight, layout, 0, t.column);
    gemm_bf16(bf16_kernel(), t.rows, t.columns, k, 1, (Factor) { F32, AS_IS, x + t.row * k, k }, w, add, y,
              ldy, workspace);
}

/* Computes a tile of X W^T, without the bias. */
static void forward_product(const Node *n, Linear l, Tile t, Widened *w, float *y, float *workspace) {
    if (n->precision == PRECISION_BF16) {
        bf16_product(n, t, TRANSPOSED, l.in, n->in[0]->data, false, y, l.out, workspace);
        return;
    }
    for (int64_t i = 0; i < l.in; i += GEMM_INNER) {
        int64_t depth = min_i64(GEMM_INNER, l.in - i);
        if (w->column != t.column || depth < l.in)
            w->weights = weight_panel_transposed(n->layer.weight, t.column, t.columns, i, depth, workspace);
        gemm(AS_IS, AS_IS, t.rows, t.columns, depth, 1, n->in[0]->data + t.row * l.in + i, l.in,
             w->weights.data, w->weights.stride, i > 0, y, l.out);
    }
}

static void linear_forward_tile(const Node *n, Linear l, Tile t, Widened *w) {
    float *bias = node_workspace(n), *y = n->out->data + t.row * l.out + t.column;
    forward_product(n, l, t, w, y, bias + t.columns);
    if (n->layer.bias && w->column != t.column)
        w->bias = weight_vector(n->layer.bias, t.column, t.columns, bias);
    w->column = t.column;
    if (!n->layer.bias) return;
    for (int64_t r = 0; r < t.rows; r++, y += l.out)
#pragma omp simd
        for (int64_t j = 0; j < t.columns; j++) y[j] += w->bias[j];
}

static void linear_backward_tile(const Node *n, Linear l, Tile t, Widened *w) {
    float *dx = n->in[0]->grad + t.row * l.in + t.column;
    bool add = !overwrites_gradient(n, 0);
    if (n->precision == PRECISION_BF16) {
        bf16_product(n, t, AS_IS, l.out, n->out->grad, add, dx, l.in, node_workspace(n));
        return;
    }
    for (int64_t o = 0; o < l.out; o += GEMM_INNER) {
        int64_t depth = min_i64(GEMM_INNER, l.out - o);
        if (w->column != t.column || depth < l.out)
            w->weights = weight_panel(n->layer.weight, o, depth, t.column, t.columns, node_workspace(n));
        gemm(AS_IS, AS_IS, t.rows, t.columns, depth, 1, n->out->grad + t.row * l.out + o, l.out,
             w->weights.data, w->weights.stride, add || o > 0, dx, l.in);
    }
    w->column = t.column;
}

/* Computes all tiles of a product [rows, columns] with this inner length, using all threads. */
static void linear_tiles(const Node *n, Linear l, int64_t columns, int64_t inner,
                         void (*tile)(const Node *, Linear, Tile, Widened *)) {
    Tiles tiles = gemm_tiles(l.rows, columns, inner);
    Share share;
    share_start(&share, tiles.count);
#pragma omp parallel if (tiles.count > 1)
    {
        Widened w = { .column = -1 };
        for (int64_t i; (i = share_next(&share)) >= 0;) tile(n, l, gemm_tile(&tiles, i), &w);
    }
}

static void linear_forward(const Node *n) {
    Linear l = linear_of(n);
    linear_tiles(n, l, l.out, l.in, linear_forward_tile);
}

static void linear_backward(const Node *n) {
    if (!n->in[0]->needs_grad) return;
    Linear l = linear_of(n);
    linear_tiles(n, l, l.in, l.out, linear_backward_tile);
}

/* Room for a panel of weights in fp32 or for a product in bfloat16, and for the bias of a tile. */
static size_t linear_workspace(const Node *n) {
    Linear l = linear_of(n);
    Tiles forward = gemm_tiles(l.rows, l.out, l.in), backward = gemm_tiles(l.rows, l.in, l.out);
    if (n->precision == PRECISION_BF16)
        return (size_t)max_i64(forward.columns + gemm_bf16_workspace(forward.rows, forward.columns, l.in),
                               gemm_bf16_workspace(backward.rows, backward.columns, l.out));
    return (size_t)max_i64(forward.columns * (GEMM_INNER + 1), backward.columns * GEMM_INNER);
}

static double linear_flops(const Node *n) {
    Linear l = linear_of(n);
    return 2.0 * (double)l.rows * (double)l.in * (double)l.out;
}

static const Op LINEAR = { .name = "linear",
                           .forward = linear_forward,
                           .backward = linear_backward,
                           .can_overwrite = IN0,
                           .workspace = linear_workspace,
                           .flops = linear_flops,
                           .backward_flops = 1 };

Tensor *linear(Graph *g, Tensor *x, const Layer *layer) {
    Shape w = layer->weight->shape, y = x->shape;
    CHECK(x->shape.rank >= 1);
    CHECK(w.rank == 2 || (w.rank == 4 && w.dim[2] == 1 && w.dim[3] == 1));
    CHECK_EQ(x->shape.dim[x->shape.rank - 1], w.dim[1]);
    check_bias(layer, w.dim[0]);
    y.dim[y.rank - 1] = w.dim[0];
    return graph_node(g, &LINEAR, (Node) { .in = { x }, .layer = *layer }, y);
}

/* ---- conv2d: tensor/conv.h has the equation and the methods ---- */

static Conv conv_of(const Node *n) {
    Shape x = n->in[0]->shape, y = n->out->shape, w = n->layer.weight->shape;
    return (Conv) { .batch = x.dim[0],
                    .in_channels = x.dim[1],
                    .height = x.dim[2],
                    .width = x.dim[3],
                    .out_channels = y.dim[1],
                    .out_height = y.dim[2],
                    .out_width = y.dim[3],
                    .kernel = w.dim[2],
                    .stride = n->stride,
                    .top = n->padding.top,
                    .left = n->padding.left,
                    .precision = n->precision };
}

static ConvMemory conv_memory(const Node *n) {
    return (ConvMemory) { n->scratch, n->workspaces, n->workspace_floats };
}

static void conv2d_forward(const Node *n) {
    Conv c = conv_of(n);
    conv_forward(conv_method(&c), &c, n->layer.weight, n->layer.bias, n->in[0]->data, n->out->data,
                 conv_memory(n));
}

static void conv2d_backward(const Node *n) {
    if (!n->in[0]->needs_grad) return;
    Conv c = conv_of(n);
    conv_backward(conv_method(&c), &c, n->layer.weight, n->out->grad, !overwrites_gradient(n, 0),
                  n->in[0]->grad, conv_memory(n));
}

static size_t conv2d_workspace(const Node *n) {
    Conv c = conv_of(n);
    return (size_t)conv_workspace(conv_method(&c), &c);
}

static size_t conv2d_scratch(const Node *n) {
    Conv c = conv_of(n);
    return (size_t)conv_scratch(conv_method(&c), &c);
}

static double conv2d_flops(const Node *n) {
    return 2.0 * (double)shape_count(n->out->shape) * (double)shape_count(n->layer.weight->shape) /
           (double)n->layer.weight->shape.dim[0];
}

static const Op CONV2D = { .name = "conv2d",
                           .forward = conv2d_forward,
                           .backward = conv2d_backward,
                           .can_overwrite = IN0,
                           .workspace = conv2d_workspace,
                           .scratch = conv2d_scratch,
                           .flops = conv2d_flops,
                           .backward_flops = 1 };

Tensor *conv2d(Graph *g, Tensor *x, const Layer *layer, int stride, Padding padding) {
    Shape w = layer->weight->shape;
    CHECK(x->shape.rank == 4 && w.rank == 4);
    CHECK_EQ(w.dim[1], x->shape.dim[1]);
    CHECK_EQ(w.dim[2], w.dim[3]);
    CHECK(w.dim[2] == 1 || w.dim[2] == 3);
    CHECK(stride == 1 || stride == 2);
    CHECK(padding.top >= 0 && padding.bottom >= 0 && padding.left >= 0 && padding.right >= 0);
    check_bias(layer, w.dim[0]);
    int64_t height = x->shape.dim[2] + padding.top + padding.bottom - w.dim[2];
    int64_t width = x->shape.dim[3] + padding.left + padding.right - w.dim[3];
    CHECK(height >= 0 && width >= 0);
    Shape y = shape4(x->shape.dim[0], w.dim[0], height / stride + 1, width / stride + 1);
    return graph_node(g, &CONV2D,
                      (Node) { .in = { x }, .layer = *layer, .stride = stride, .padding = padding }, y);
}
