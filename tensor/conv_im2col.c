/* SPDX-License-Identifier: MIT */
/* im2col: convolution as one matrix product, the general method for any stride and any padding.

   The C k k inputs that an output pixel depends on are written as a column of a matrix X. Then, with
   K = C k k rows and N = B H' W' columns,

       X [K, N]:   X[(c,p,q), (b,i,j)] = x[b, c, i stride + p - top, j stride + q - left]   (0 outside)
       Y [O, N] = W [O, K] X,   y[b, o, i, j] = Y[o, (b,i,j)] + bias[o]

   The columns of all images of the batch are side by side, so that small images make a wide product as well.
   Backward is the adjoint of each step: dX = W^T dY, and each number of dX is added to the pixel of dx from
   which the same number of X was copied.

   X is k k times as large as x. Therefore only a piece of it is made at a time: the columns of a few lines,
   where a line is the W' output pixels of one image b and one output row i. */
#include "tensor/conv_methods.h"
#include "tensor/product.h"

#include <string.h>

enum { COLUMNS_FLOATS = 4 << 20 }; /* the largest size of X for a piece, unless a single line is larger */

/* Lines [line, line + lines), numbered through the batch, and their n = lines * W' columns of X. */
typedef struct {
    int64_t line, lines, n;
} Piece;

/* K */
static int64_t inner(const Conv *c) { return c->in_channels * c->kernel * c->kernel; }

static int64_t all_lines(const Conv *c) { return c->batch * c->out_height; }

static int64_t piece_lines(const Conv *c) {
    return min_i64(max_i64(1, COLUMNS_FLOATS / (inner(c) * c->out_width)), all_lines(c));
}

static Piece piece_at(const Conv *c, int64_t line) {
    int64_t lines = min_i64(piece_lines(c), all_lines(c) - line);
    return (Piece) { line, lines, lines * c->out_width };
}

/* The scratch memory has room for a piece's X or, in backward, for its dX and dY. */
int64_t conv_im2col_scratch(const Conv *c) {
    return (inner(c) + c->out_channels) * piece_lines(c) * c->out_width;
}

/* A workspace has room for a product with the weights and, in forward, for a tile of Y. */
int64_t conv_im2col_workspace(const Conv *c) {
    int64_t n = piece_lines(c) * c->out_width, rest = all_lines(c) % piece_lines(c) * c->out_width;
    int64_t most = 0;
    for (int last = 0; last < 2; last++, n = rest) { /* the last piece may be divided into other tiles */
        Tiles t = gemm_tiles(c->out_channels, n, inner(c)), back = gemm_tiles(inner(c), n, c->out_channels);
        most = max_i64(most, t.rows * t.columns +
                                 weight_product_workspace(c->precision, t.rows, t.columns, inner(c)));
        most =
            max_i64(most, weight_product_workspace(c->precision, back.rows, back.columns, c->out_channels));
    }
    return most;
}

/* The part of a line for which tap (p, q) of the kernel reads pixels of the image: outputs j in [first, end)
   read the elements `at`, at + stride, at + 2 stride, ... of a channel of x, and all others read padding. */
typedef struct {
    int64_t first, end, at;
} Overlap;

static Overlap overlap(const Conv *c, int64_t i, int64_t p, int64_t q) {
    int64_t row = i * c->stride + p - c->top, shift = q - c->left; /* column = j stride + shift */
    if (row < 0 || row >= c->height) return (Overlap) { 0, 0, 0 };
    int64_t first = shift < 0 ? ceil_div(-shift, c->stride) : 0;
    int64_t end = shift < c->width ? min_i64(ceil_div(c->width - shift, c->stride), c->out_width) : 0;
    if (first >= end) return (Overlap) { 0, 0, 0 };
    return (Overlap) { first, end, row * c->width + first * c->stride + shift };
}

/* Copies one channel of x to its k k rows of a piece's X. */
static void gather_channel(const Conv *c, Piece piece, const float *x, int64_t channel, float *columns) {
    float *to = columns + channel * c->kernel * c->kernel * piece.n;
    for (int64_t tap = 0; tap < c->kernel * c->kernel; tap++)
        for (int64_t l = piece.line; l < piece.line + piece.lines; l++, to += c->out_width) {
            int64_t b = l / c->out_height, i = l % c->out_height;
            Overlap part = overlap(c, i, tap / c->kernel, tap % c->kernel);
            const float *from = x + (b * c->in_channels + channel) * c->height * c->width + part.at;
            for (int64_t j = 0; j < part.first; j++) to[j] = 0;
            if (c->stride == 1)
                for (int64_t j = part.first; j < part.end; j++) to[j] = from[j - part.first];
            else
                for (int64_t j = part.first; j < part.end; j++) to[j] = from[(j - part.first) * c->stride];
            for (int64_t j = part.end; j < c->out_width; j++) to[j] = 0;
        }
}

/* The adjoint of gather_channel: adds a channel's k k rows of dX to dx. One thread processes a whole channel,
   with taps and lines in a fixed order, so that the sums do not depend on the number of threads. */
static void scatter_channel(const Conv *c, Piece piece, const float *columns, int64_t channel, float *dx) {
    const float *from = columns + channel * c->kernel * c->kernel * piece.n;
    for (int64_t tap = 0; tap < c->kernel * c->kernel; tap++)
        for (int64_t l = piece.line; l < piece.line + piece.lines; l++, from += c->out_width) {
            int64_t b = l / c->out_height, i = l % c->out_height;
            Overlap part = overlap(c, i, tap / c->kernel, tap % c->kernel);
            float *to = dx + (b * c->in_channels + channel) * c->height * c->width + part.at;
            if (c->stride == 1)
                for (int64_t j = part.first; j < part.end; j++) to[j - part.first] += from[j];
            else
                for (int64_t j = part.first; j < part.end; j++) to[(j - part.first) * c->stride] += from[j];
        }
}

static void clear_channel(const Conv *c, int64_t channel, float *dx) {
    int64_t area = c->height * c->width;
    for (int64_t b = 0; b < c->batch; b++)
        memset(dx + (b * c->in_channels + channel) * area, 0, (size_t)area * sizeof(float));
}

/* Returns how many of the columns [column, column + columns) of a piece belong to the image of the first one.
   *at becomes the position in y [B, O, H' W'] of that first column, in channel 0 of its image. */
static int64_t columns_in_image(const Conv *c, Piece piece, int64_t column, int64_t columns, int64_t *at) {
    int64_t area = c->out_height * c->out_width, pixel = piece.line * c->out_width + column;
    *at = pixel / area * c->out_channels * area + pixel % area;
    return min_i64(columns, area - pixel % area);
}

/* Computes a tile of Y in the workspace, and writes it to y with the bias added. */
static void forward_tile(const Conv *c, Piece piece, Tile t, const Weight *weight, const float *bias,
                         const float *columns, float *y, float *workspace) {
    float *result = workspace;
    weight_product(c->precision, weight, AS_IS, t.row, t.rows, t.columns, inner(c), columns + t.column,
                   piece.n, false, result, t.columns, workspace + t.rows * t.columns);
    int64_t area = c->out_height * c->out_width;
    for (int64_t done = 0, at, n; done < t.columns; done += n) {
        n = columns_in_image(c, piece, t.column + done, t.columns - done, &at);
        for (int64_t r = 0; r < t.rows; r++) {
            const float *from = result + r * t.columns + done;
            float *to = y + at + (t.row + r) * area, add = bias[t.row + r];
            for (int64_t j = 0; j < n; j++) to[j] = from[j] + add;
        }
    }
}

void conv_im2col_forward(const Conv *c, const Weight *weight, const float *bias, const float *x, float *y,
                         const ConvMemory *memory) {
    float *columns = memory->scratch;
    for (int64_t line = 0; line < all_lines(c); line += piece_lines(c)) {
        Piece piece = piece_at(c, line);
        Tiles tiles = gemm_tiles(c->out_channels, piece.n, inner(c));
#pragma omp parallel
        {
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < c->in_channels; i++) gather_channel(c, piece, x, i, columns);
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < tiles.count; i++)
                forward_tile(c, piece, gemm_tile(&tiles, i), weight, bias, columns, y,
                             conv_thread_workspace(memory));
        }
    }
}

/* Copies one output channel of dy to its row of a piece's dY [O, n]. */
static void gather_gradient(const Conv *c, Piece piece, const float *dy, int64_t channel, float *row) {
    for (int64_t done = 0, at, n; done < piece.n; done += n) {
        n = columns_in_image(c, piece, done, piece.n - done, &at);
        memcpy(row + done, dy + at + channel * c->out_height * c->out_width, (size_t)n * sizeof(float));
    }
}

/* Computes a tile of dX, which overwrites that part of `columns`. */
static void backward_tile(const Conv *c, Piece piece, Tile t, const Weight *weight, const float *gradient,
                          float *columns, float *workspace) {
    weight_product(c->precision, weight, TRANSPOSED, t.row, t.rows, t.columns, c->out_channels,
                   gradient + t.column, piece.n, false, columns + t.row * piece.n + t.column, piece.n,
                   workspace);
}

void conv_im2col_backward(const Conv *c, const Weight *weight, const float *dy, bool add, float *dx,
                          const ConvMemory *memory) {
    for (int64_t line = 0; line < all_lines(c); line += piece_lines(c)) {
        Piece piece = piece_at(c, line);
        Tiles tiles = gemm_tiles(inner(c), piece.n, c->out_channels);
        float *columns = memory->scratch, *gradient = columns + inner(c) * piece.n;
#pragma omp parallel
        {
#pragma omp for schedule(dynamic)
            for (int64_t o = 0; o < c->out_channels; o++)
                gather_gradient(c, piece, dy, o, gradient + o * piece.n);
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < tiles.count; i++)
                backward_tile(c, piece, gemm_tile(&tiles, i), weight, gradient, columns,
                              conv_thread_workspace(memory));
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < c->in_channels; i++) {
                if (!add && line == 0) clear_channel(c, i, dx);
                scatter_channel(c, piece, columns, i, dx);
            }
        }
    }
}
