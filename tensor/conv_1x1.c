/* SPDX-License-Identifier: MIT */
/* A 1x1 convolution at stride 1 without padding is a matrix product for each image b. The factors are x and y
   as they are in memory, so that nothing is copied:

       Y_b [O, H W] = W [O, C] X_b [C, H W] + bias        dX_b = W^T dY_b */
#include "tensor/conv_methods.h"
#include "tensor/product.h"

static int64_t area(const Conv *c) { return c->height * c->width; }

int64_t conv_1x1_workspace(const Conv *c) {
    Tiles forward = gemm_tiles(c->out_channels, area(c), c->in_channels);
    Tiles backward = gemm_tiles(c->in_channels, area(c), c->out_channels);
    return max_i64(weight_product_workspace(c->precision, forward.rows, forward.columns, c->in_channels),
                   weight_product_workspace(c->precision, backward.rows, backward.columns, c->out_channels));
}

/* Computes a tile of Y_b, where x and y are those of image b. The tile is first filled with the bias, to
   which the products are added. */
static void forward_tile(const Conv *c, Tile t, const Weight *weight, const float *bias, const float *x,
                         float *y, float *workspace) {
    float *to = y + t.row * area(c) + t.column;
    for (int64_t r = 0; r < t.rows; r++)
        for (int64_t j = 0; j < t.columns; j++) to[r * area(c) + j] = bias[t.row + r];
    weight_product(c->precision, weight, AS_IS, t.row, t.rows, t.columns, c->in_channels, x + t.column,
                   area(c), true, to, area(c), workspace);
}

void conv_1x1_forward(const Conv *c, const Weight *weight, const float *bias, const float *x, float *y,
                      const ConvMemory *memory) {
    Tiles tiles = gemm_tiles(c->out_channels, area(c), c->in_channels);
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < c->batch * tiles.count; i++) {
        int64_t b = i / tiles.count;
        forward_tile(c, gemm_tile(&tiles, i % tiles.count), weight, bias, x + b * c->in_channels * area(c),
                     y + b * c->out_channels * area(c), conv_thread_workspace(memory));
    }
}

/* Computes a tile of dX_b, and adds it to dx if `add` is true, else overwrites dx. */
static void backward_tile(const Conv *c, Tile t, const Weight *weight, const float *dy, bool add, float *dx,
                          float *workspace) {
    weight_product(c->precision, weight, TRANSPOSED, t.row, t.rows, t.columns, c->out_channels, dy + t.column,
                   area(c), add, dx + t.row * area(c) + t.column, area(c), workspace);
}

void conv_1x1_backward(const Conv *c, const Weight *weight, const float *dy, bool add, float *dx,
                       const ConvMemory *memory) {
    Tiles tiles = gemm_tiles(c->in_channels, area(c), c->out_channels);
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < c->batch * tiles.count; i++) {
        int64_t b = i / tiles.count;
        backward_tile(c, gemm_tile(&tiles, i % tiles.count), weight, dy + b * c->out_channels * area(c), add,
                      dx + b * c->in_channels * area(c), conv_thread_workspace(memory));
    }
}
