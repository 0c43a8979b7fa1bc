/* A 1x1 convolution at stride 1 without padding is a matrix product for each image b, on x and y as they lie
   in memory, so that nothing is copied:

       Y_b [O, H W] = W [O, C] X_b [C, H W] + bias        dX_b = W^T dY_b */
#include "tensor/conv_methods.h"
#include "tensor/gemm.h"

static int64_t area(const Conv *c) { return c->height * c->width; }

/* Room for the panel of weights that a tile multiplies with at a time. */
int64_t conv_1x1_workspace(const Conv *c) {
    Tiles forward = gemm_tiles(c->out_channels, area(c), c->in_channels);
    Tiles backward = gemm_tiles(c->in_channels, area(c), c->out_channels);
    return max_i64(forward.rows, backward.rows) * GEMM_INNER;
}

/* A tile of Y_b. x and y are those of the image. It begins as the bias, to which the products are added. */
static void forward_tile(const Conv *c, Tile t, const Weight *weight, const float *bias, const float *x,
                         float *y, float *workspace) {
    float *to = y + t.row * area(c) + t.column;
    for (int64_t r = 0; r < t.rows; r++)
        for (int64_t j = 0; j < t.columns; j++) to[r * area(c) + j] = bias[t.row + r];
    for (int64_t k = 0; k < c->in_channels; k += GEMM_INNER) {
        int64_t depth = min_i64(GEMM_INNER, c->in_channels - k);
        Panel w = weight_panel(weight, t.row, t.rows, k, depth, workspace);
        gemm(AS_IS, AS_IS, t.rows, t.columns, depth, 1, w.data, w.stride, x + k * area(c) + t.column, area(c),
             1, to, area(c));
    }
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

/* A tile of dX_b, overwritten or, with add, accumulated. */
static void backward_tile(const Conv *c, Tile t, const Weight *weight, const float *dy, bool add, float *dx,
                          float *workspace) {
    for (int64_t o = 0; o < c->out_channels; o += GEMM_INNER) {
        int64_t depth = min_i64(GEMM_INNER, c->out_channels - o);
        Panel w = weight_panel(weight, o, depth, t.row, t.rows, workspace);
        gemm(TRANSPOSED, AS_IS, t.rows, t.columns, depth, 1, w.data, w.stride, dy + o * area(c) + t.column,
             area(c), add || o > 0, dx + t.row * area(c) + t.column, area(c));
    }
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
