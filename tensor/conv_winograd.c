/* SPDX-License-Identifier: MIT */
/* Winograd's fast convolution F(4x4, 3x3), for 3x3 kernels at stride 1 (Lavin and Gray, arXiv 1509.09308).

   One dimension. Four outputs of a kernel g with three taps depend on six inputs d:

       y_i = sum_q g_q d_(i+q)        0 <= i < 4, 0 <= q < 3                                            (1)

   This is y = T' d (' transposes) with the 6 x 4 matrix T[i+q][i] = g_q. T also multiplies polynomials: for
   any four coefficients v, T v are the six coefficients of g(x) v(x), with g(x) = g_0 + g_1 x + g_2 x^2 and
   v(x) = v_0 + ... + v_3 x^3. A polynomial of degree 5 is determined by its values at six points, and at each
   point one multiplication, g(p) times v(p), gives the value. So T = B diag(G g) A, where G evaluates g at
   the six points, A evaluates v, and B goes back from six values to coefficients (Lagrange's interpolation,
   whose denominators are moved into G). Its transpose turns (1) into

       y = A' [(G g) * (B' d)]        * multiplies element by element                                   (2)

   with 6 multiplications instead of 12. The points here are 0, a, -a, b, -b and infinity, where the value of
   a polynomial is its leading coefficient. With a1 = a, a2 = a^2, a3 = a^3, b1 = b, b2 = b^2, b3 = b^3:

            [ a2 b2    0   -a2-b2    0     1  0 ]
            [   0   -a1 b2  -b2     a1     1  0 ]    The row of a finite point p has the coefficients
       B' = [   0    a1 b2  -b2    -a1     1  0 ]    of the product of (x - q) over all other finite
            [   0   -b1 a2  -a2     b1     1  0 ]    points q; the last row, that of infinity, has those
            [   0    b1 a2  -a2    -b1     1  0 ]    of the product over all finite points.
            [   0    a2 b2    0   -a2-b2   0  1 ]

            [ s0     0      0   ]
            [ sa   sa a1  sa a2 ]    The row of p is [1, p, p^2] divided by the product of (p - q):
        G = [ sa  -sa a1  sa a2 ]
            [ sb   sb b1  sb b2 ]    s0 = 1 / (a2 b2), sa = 1 / (2 a2 (a2 - b2)), sb = 1 / (2 b2 (b2 - a2))
            [ sb  -sb b1  sb b2 ]
            [  0     0      1   ]

            [ 1   1    1   1    1   0 ]
       A' = [ 0   a1  -a1  b1  -b1  0 ]    The column of p is [1, p, p^2, p^3].
            [ 0   a2   a2  b2   b2  0 ]
            [ 0   a3  -a3  b3  -b3  1 ]

   Two dimensions. Applying (2) along the columns and then along the rows gives a tile of 4 x 4 outputs Y from
   6 x 6 inputs d and a 3 x 3 kernel g, with 36 multiplications instead of 144:

       Y = A' [(G g G') * (B' d B)] A                                                                   (3)

   All channels. The sum over input channels c can be taken before A. So at each of the 36 points p (pairs of
   the six above) there is a matrix product over all tiles t of the batch and all output channels o:

       V = B' d B     U = G g G'     M[p][t][o] = sum_c V[p][t][c] U[p][c][o]     y = A' M A + bias

   Backward is the same computation: the gradient of a 3x3 convolution at stride 1 is the convolution of dy
   with the kernel rotated by half a turn and its two channel axes exchanged; a padding of t pixels becomes 2
   - t.

   In memory V, U and M are 36 matrices each, one after the other:

                  V[p]                         U[p]                         M[p]
             input channels               output channels              output channels
            +-------+-------+            +-------+-------+            +-------+-------+
     tile 0 | Lanes | Lanes |  channel 0 | Lanes | Lanes |     tile 0 | Lanes | Lanes |
     tile 1 |       |       |  channel 1 |       |       |     tile 1 |       |       |
       ...  |       |       |     ...    |       |       |       ...  |       |       |
            +-------+-------+            +-------+-------+            +-------+-------+
       a row is v_row Lanes         a row is `row` Lanes         a row is `row` Lanes
       V[p + 1] begins v_step       U[p + 1] begins u_step       M[p + 1] begins m_step
       Lanes after V[p]             Lanes after U[p]             Lanes after M[p]

   A `Lanes` is 16 adjacent floats: one number for each of 16 channels, where each channel is a lane.

   The transforms B', G and A' do the same arithmetic on every channel, so they work on whole Lanes, with one
   vector instruction for 16 channels. They read and write V, U and M in the layout that the matrix products
   need. The products are efficient even for few tiles, since a row of each matrix has many channels. In an
   image the pixels of one channel are adjacent, and so are the taps of one kernel in the weight. They are
   transposed when they are read (read_tile, make_u).

   U would be 4 times as large as the weights, so it is not kept. A job computes it for some output channels
   (a panel) and some input channels (`depth`) at a time, so that it fits into the cache of a core. This costs
   about 100 operations for each pair of channels, while the product costs 72 for each pair and tile. Large
   images are processed in pieces, so that the size of V is bounded as well. The relative error is about 2e-6,
   and that of im2col 3e-7. */
#include "tensor/conv_methods.h"
#include "tensor/gemm.h"
#include "tensor/transpose.h"

#include <string.h>

/* The side of a tile's square of outputs and of its square of inputs; the numbers of points, of weights in a
   kernel, and of lanes. */
enum { OUT_SIDE = 4, IN_SIDE = OUT_SIDE + 2, POINTS = IN_SIDE * IN_SIDE, TAPS = 9, LANES = TRANSPOSE_SIDE };
typedef float Lanes[LANES];

/* The points a = 3/4 and b = 3/2 and their powers. The largest error is a quarter of that with the usual
   points 1 and 2. All constants of the transforms are exact in fp32 except s0, sa and sb. */
static const float a1 = 0.75f, a2 = 0.5625f, a3 = 0.421875f, b1 = 1.5f, b2 = 2.25f, b3 = 3.375f;

/* The next three functions multiply by the matrices B', G and A' in one dimension: from 6 values to 6, from 3
   to 6, and from 6 to 4. They read values that are `step` Lanes apart, and write values that are `to_step`
   Lanes apart. `to` may be the input itself.

   to = B' d */
static inline void transform_data_1d(Lanes *d, int64_t step, Lanes *to, int64_t to_step) {
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        float d0 = d[0][l], d1 = d[step][l], d2 = d[2 * step][l];
        float d3 = d[3 * step][l], d4 = d[4 * step][l], d5 = d[5 * step][l];
        float even_a = d4 - b2 * d2, odd_a = a1 * (d3 - b2 * d1);
        float even_b = d4 - a2 * d2, odd_b = b1 * (d3 - a2 * d1);
        to[0][l] = a2 * b2 * d0 - (a2 + b2) * d2 + d4;
        to[to_step][l] = even_a + odd_a;
        to[2 * to_step][l] = even_a - odd_a;
        to[3 * to_step][l] = even_b + odd_b;
        to[4 * to_step][l] = even_b - odd_b;
        to[5 * to_step][l] = a2 * b2 * d1 - (a2 + b2) * d3 + d5;
    }
}

/* to = G g */
static inline void transform_kernel_1d(Lanes *g, int64_t step, Lanes *to, int64_t to_step) {
    const float scale_0 = 1 / (a2 * b2), scale_a = 1 / (2 * a2 * (a2 - b2)),
                scale_b = 1 / (2 * b2 * (b2 - a2));
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        float g0 = g[0][l], g1 = g[step][l], g2 = g[2 * step][l];
        float even_a = scale_a * (g0 + a2 * g2), odd_a = scale_a * a1 * g1;
        float even_b = scale_b * (g0 + b2 * g2), odd_b = scale_b * b1 * g1;
        to[0][l] = scale_0 * g0;
        to[to_step][l] = even_a + odd_a;
        to[2 * to_step][l] = even_a - odd_a;
        to[3 * to_step][l] = even_b + odd_b;
        to[4 * to_step][l] = even_b - odd_b;
        to[5 * to_step][l] = g2;
    }
}

/* to = A' m */
static inline void transform_output_1d(Lanes *m, int64_t step, Lanes *to, int64_t to_step) {
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        float m0 = m[0][l], m1 = m[step][l], m2 = m[2 * step][l];
        float m3 = m[3 * step][l], m4 = m[4 * step][l], m5 = m[5 * step][l];
        float even_a = m1 + m2, odd_a = m1 - m2, even_b = m3 + m4, odd_b = m3 - m4;
        to[0][l] = m0 + even_a + even_b;
        to[to_step][l] = a1 * odd_a + b1 * odd_b;
        to[2 * to_step][l] = a2 * even_a + b2 * even_b;
        to[3 * to_step][l] = a3 * odd_a + b3 * odd_b + m5;
    }
}

/* The transforms in both dimensions process first every column, then every row. `step` is the distance in
   Lanes from one point's matrix to the next in V, U and M. Input d[r][s] of a tile is at
   d[r * HALF_ROW + s]; read_tile explains why. */
enum { HALF_ROW = LANES / 2 };

/* v = B' d B. Overwrites d. */
static inline void transform_data(Lanes *d, Lanes *v, int64_t step) {
    for (int q = 0; q < IN_SIDE; q++) transform_data_1d(d + q, HALF_ROW, d + q, HALF_ROW);
    for (int p = 0; p < IN_SIDE; p++) transform_data_1d(d + p * HALF_ROW, 1, v + p * IN_SIDE * step, step);
}

/* u = G g G' */
static inline void transform_kernel(Lanes *g, Lanes *u, int64_t step) {
    Lanes columns[IN_SIDE * 3]; /* transformed along the columns */
    for (int q = 0; q < 3; q++) transform_kernel_1d(g + q, 3, columns + q, 3);
    for (int p = 0; p < IN_SIDE; p++) transform_kernel_1d(columns + p * 3, 1, u + p * IN_SIDE * step, step);
}

/* y = A' m A */
static inline void transform_output(Lanes *m, int64_t step, Lanes *y) {
    Lanes columns[OUT_SIDE * IN_SIDE];
    for (int q = 0; q < IN_SIDE; q++) transform_output_1d(m + q * step, IN_SIDE * step, columns + q, IN_SIDE);
    for (int p = 0; p < OUT_SIDE; p++) transform_output_1d(columns + p * IN_SIDE, 1, y + p * OUT_SIDE, 1);
}

/* How a convolution is divided. The tiles of the batch are processed in pieces. For each piece, the threads
   first compute V for all input channels, in the scratch memory. The rest of the work is divided into jobs,
   each for a panel of output channels and a block of the piece's tiles. A job computes the U that it needs
   in its thread's workspace. */
typedef struct {
    int64_t down, across, tiles;    /* tiles in an image's height and width, and in the batch */
    int64_t piece;                  /* tiles of a piece */
    int64_t panel, block;           /* output channels and tiles of a job */
    int64_t depth;                  /* input channels for which U is computed at a time */
    int64_t v_row, row;             /* length in Lanes of a row of V, and of a row of U and M */
    int64_t v_step, u_step, m_step; /* Lanes from one point's matrix to the next one's */
} Winograd;

/* Bounds of a division, in this order: floats of V in a piece, floats of U, output channels of a panel, the
   number of panels that is aimed at so that there are jobs for all threads, and tiles of a block. */
enum { V_FLOATS = 4 << 20, U_FLOATS = 1 << 16, PANEL_MAX = 64, PANELS_WANTED = 8, BLOCK_MAX = 128 };

/* Divides a length into the fewest equal parts of at most `most` and returns the size of a part. */
static int64_t equal_part(int64_t length, int64_t most) { return ceil_div(length, ceil_div(length, most)); }
/* Does the same, but rounds the size up to whole Lanes. */
static int64_t lanes_part(int64_t length, int64_t most) {
    return min_i64(length, ceil_div(equal_part(length, most), LANES) * LANES);
}

/* Makes a distance between matrices an odd number of Lanes. At a distance that is a power of two, the same
   row of all points would fall into few sets of the cache. */
static int64_t padded(int64_t n) { return n | 1; }

static Winograd winograd_of(const Conv *c) {
    Winograd w = { .down = ceil_div(c->out_height, OUT_SIDE), .across = ceil_div(c->out_width, OUT_SIDE) };
    w.tiles = c->batch * w.down * w.across;
    w.panel = lanes_part(c->out_channels, min_i64(PANEL_MAX, ceil_div(c->out_channels, PANELS_WANTED)));
    w.depth = lanes_part(c->in_channels, max_i64(LANES, U_FLOATS / (POINTS * w.panel)));
    w.v_row = ceil_div(w.depth, LANES);
    w.row = ceil_div(w.panel, LANES);
    w.piece = equal_part(w.tiles, max_i64(1, V_FLOATS / (POINTS * c->in_channels)));
    w.block = equal_part(w.piece, BLOCK_MAX);
    w.v_step = padded(w.piece * w.v_row);
    w.u_step = padded(w.depth * w.row);
    w.m_step = padded(w.block * w.row);
    return w;
}

/* Returns the convolution that computes dx from dy; its kernel is the rotated one. */
static Conv gradient_conv(const Conv *c) {
    return (Conv) { .batch = c->batch,
                    .in_channels = c->out_channels,
                    .height = c->out_height,
                    .width = c->out_width,
                    .out_channels = c->in_channels,
                    .out_height = c->height,
                    .out_width = c->width,
                    .kernel = 3,
                    .stride = 1,
                    .top = 2 - c->top,
                    .left = 2 - c->left };
}

/* Returns the number of floats of V for a piece. */
static int64_t scratch_of(const Conv *c) {
    Winograd w = winograd_of(c);
    return LANES * POINTS * ceil_div(c->in_channels, w.depth) * w.v_step;
}

int64_t conv_winograd_scratch(const Conv *c) {
    Conv back = gradient_conv(c);
    return max_i64(scratch_of(c), scratch_of(&back));
}

/* A thread's workspace has three parts: the weights of a panel and LANES input channels in fp32, then U, then
   M. Returns the size of the first part in Lanes. */
static int64_t weight_lanes(const Winograd *w) { return padded(TAPS * LANES * w->row); }

static int64_t workspace_of(const Conv *c) {
    Winograd w = winograd_of(c);
    return LANES * (weight_lanes(&w) + POINTS * (w.u_step + w.m_step));
}

int64_t conv_winograd_workspace(const Conv *c) {
    Conv back = gradient_conv(c);
    return max_i64(workspace_of(c), workspace_of(&back));
}

/* One convolution, forward or backward. In backward, `conv` is gradient_conv, x is dy and y is dx.
   The weight is the layer's own in both cases; if `rotate` is true, its kernels are read rotated and
   its channel axes exchanged. */
typedef struct {
    Winograd w;
    const Conv *conv;
    const Weight *weight;
    bool rotate, add; /* add: the result is added to y instead of overwriting it */
    const float *bias, *x;
    float *y;
    Lanes *v;
    int64_t first, tiles; /* of the current piece */
} Work;

/* The image that a tile belongs to, and the row and column of its first output. */
typedef struct {
    int64_t b, row, column;
} TilePosition;

static TilePosition tile_position(const Winograd *w, int64_t tile) {
    return (TilePosition) { tile / w->across / w->down, tile / w->across % w->down * OUT_SIDE,
                            tile % w->across * OUT_SIDE };
}

/* Reads a tile's 6 x 6 inputs d of LANES channels, where the first channel begins at x, into three squares of
   16 x 16 floats, which the caller transposes. A row of a square is one channel. It contains two rows of the
   tile, each filled up with zeros from 6 numbers to HALF_ROW = 8. The first square has r = 0, the second
   r = 2, and the third r = 4:

                     0                                     8
                    +-------------------------------------+-------------------------------------------+
         channel 0  | d[r][0] d[r][1] ... d[r][5]   0   0 | d[r+1][0] d[r+1][1] ... d[r+1][5]   0   0 |
         channel 1  |                 ...                 |                    ...                    |
            ...     |                                     |                                           |
         channel 15 |                                     |                                           |
                    +-------------------------------------+-------------------------------------------+

   After the transposition, the rows of a square are Lanes: d[r][s] of channel l is lane l of Lanes 8 r + s,
   counted over all three squares. With only one row of the tile in a row of a square, most of the square
   would be empty, and six squares would have to be transposed. Each of the two rows has half of the square's
   row, so that one vector instruction copies it. If fewer than LANES channels are left, the last one is
   repeated; the copies are not part of any product. */
static inline void read_tile(const Conv *c, TilePosition p, const float *x, int64_t channels,
                             Lanes *squares) {
    int64_t row = p.row - c->top, column = p.column - c->left;
    /* Columns [first, end) of the tile lie in the image; all others are padding. */
    int first = (int)max_i64(0, -column), end = (int)min_i64(IN_SIDE, c->width - column);
    for (int r = 0; r < IN_SIDE; r++) {
        float *to = squares[r * HALF_ROW / LANES * LANES] + r * HALF_ROW % LANES;
        bool inside = row + r >= 0 && row + r < c->height;
        for (int l = 0; l < LANES; l++, to += LANES) {
            int64_t from = (min_i64(l, channels - 1) * c->height + row + r) * c->width + column;
            if (inside)
#pragma omp simd
                for (int s = 0; s < HALF_ROW; s++) to[s] = s >= first && s < end ? x[from + s] : 0;
            else
                memset(to, 0, HALF_ROW * sizeof(float));
        }
    }
}

/* Returns where V of a tile of the piece begins, at the first point, for the input channels from `channel`
   on. The layout of V is [channels / depth][point][tile][depth]. */
static Lanes *v_at(const Work *k, int64_t tile, int64_t channel) {
    return k->v + channel / k->w.depth * POINTS * k->w.v_step + tile * k->w.v_row +
           channel % k->w.depth / LANES;
}

/* Computes V of a tile of the piece, for the LANES input channels from `channel` on. */
static void make_v(const Work *k, int64_t tile, int64_t channel) {
    const Conv *c = k->conv;
    TilePosition p = tile_position(&k->w, k->first + tile);
    Lanes d[IN_SIDE * HALF_ROW];
    read_tile(c, p, k->x + (p.b * c->in_channels + channel) * c->height * c->width, c->in_channels - channel,
              d);
    for (int e = 0; e < IN_SIDE * HALF_ROW; e += LANES) transpose_square(d[e]);
    transform_data(d, v_at(k, tile, channel), k->w.v_step);
}

/* Copies `count` floats, at most LANES, and fills the lanes beyond them with zeros. */
static inline void read_lanes(const float *from, int64_t count, float *to) {
    if (count >= LANES) /* a copy of constant size compiles to a vector instruction */
        memcpy(to, from, LANES * sizeof(float));
    else
        for (int l = 0; l < LANES; l++) to[l] = l < count ? from[l] : 0;
}

/* Computes U of output channels [o, o + channels) and input channels [i, i + depth). The weights [O, C 9] are
   read transposed, so that the numbers of LANES output channels for the same tap are adjacent. */
static void make_u(const Work *k, int64_t o, int64_t channels, int64_t i, int64_t depth, Lanes *u,
                   float *space) {
    Lanes g[TAPS];
    for (int64_t c = 0; c < depth; c += LANES) {
        int64_t taps = min_i64(LANES, depth - c) * TAPS;
        const float *from = weight_panel_transposed(k->weight, o, channels, (i + c) * TAPS, taps, space).data;
        for (int64_t t = 0; t < taps; t += TAPS)
            for (int64_t l = 0; l < channels; l += LANES) {
                weight_prefetch(k->weight, o + l + t / TAPS, (i + c + LANES) * TAPS, LANES * TAPS);
                for (int e = 0; e < TAPS; e++) read_lanes(from + (t + e) * channels + l, channels - l, g[e]);
                transform_kernel(g, u + (c + t / TAPS) * k->w.row + l / LANES, k->w.u_step);
            }
    }
}

/* a[i], b[i], c[i] = from[3 i], from[3 i + 1], from[3 i + 2]. This loop becomes vector code, which a loop
   over one tap of each kernel would not. */
static inline void deinterleave(const float *restrict from, int n, float *restrict a, float *restrict b,
                                float *restrict c) {
#pragma omp simd
    for (int i = 0; i < n; i++) {
        a[i] = from[3 * i];
        b[i] = from[3 * i + 1];
        c[i] = from[3 * i + 2];
    }
}

/* Reads up to LANES kernels that lie one after the other, rotated by half a turn: tap 8 - e of kernel l
   becomes lane l of g[e]. The first step separates the three columns of all kernels, the second each column's
   three rows. */
static inline void read_rotated(const float *kernels, int64_t count, Lanes *g) {
    float last[TAPS * LANES], columns[3][3 * LANES];
    if (count < LANES) {
        memset(last, 0, sizeof last);
        kernels = memcpy(last, kernels, (size_t)(count * TAPS) * sizeof(float));
    }
    deinterleave(kernels, 3 * LANES, columns[0], columns[1], columns[2]);
    for (int q = 0; q < 3; q++) deinterleave(columns[q], LANES, g[8 - q], g[5 - q], g[2 - q]);
}

/* Does what make_u does, for the gradient: here the input channels are rows of the weight, and the
   output channels are columns. */
static void make_u_rotated(const Work *k, int64_t o, int64_t channels, int64_t i, int64_t depth, Lanes *u,
                           float *space) {
    Lanes g[TAPS];
    for (int64_t c = 0; c < depth; c += LANES) {
        int64_t rows = min_i64(LANES, depth - c);
        Panel from = weight_panel(k->weight, i + c, rows, o * TAPS, channels * TAPS, space);
        for (int64_t r = 0; r < rows; r++) {
            weight_prefetch(k->weight, i + c + r + LANES, o * TAPS, channels * TAPS);
            for (int64_t l = 0; l < channels; l += LANES) {
                read_rotated(from.data + r * from.stride + l * TAPS, channels - l, g);
                transform_kernel(g, u + (c + r) * k->w.row + l / LANES, k->w.u_step);
            }
        }
    }
}

/* Adds V U to M at every point, for a block's tiles and a panel's channels. For the first input channels,
   where i is 0, V U overwrites M. */
static void multiply(const Work *k, int64_t channels, int64_t i, int64_t depth, int64_t tile, int64_t tiles,
                     Lanes *u, Lanes *m) {
    const Winograd *w = &k->w;
    for (int p = 0; p < POINTS; p++)
        gemm(AS_IS, AS_IS, tiles, channels, depth, 1, v_at(k, tile, i)[p * w->v_step], w->v_row * LANES,
             u[p * w->u_step], w->row * LANES, i > 0, m[p * w->m_step], w->row * LANES);
}

/* Writes one tile of one channel's plane y: adds the outputs to y if `add` is true, else overwrites y with
   the outputs + `shift`, the bias. The 4 x 4 outputs are a row of the transposed square; those beyond the
   image's edge are left out. */
static inline void write_tile(const Conv *c, TilePosition p, const float *outputs, float shift, bool add,
                              float *y) {
    int64_t rows = min_i64(OUT_SIDE, c->out_height - p.row),
            columns = min_i64(OUT_SIDE, c->out_width - p.column);
    float *to = y + p.row * c->out_width + p.column;
    for (int64_t r = 0; r < rows; r++, to += c->out_width, outputs += OUT_SIDE)
        for (int64_t s = 0; s < columns; s++) to[s] = outputs[s] + (add ? to[s] : shift);
}

/* Computes y = A' M A + bias of a tile of the piece, for up to LANES output channels from o on, where m is
   their M at the first point. The 4 x 4 outputs of 16 channels are a square of 16 x 16 numbers, whose rows
   are pixels before the transposition and channels after it. */
static void write_outputs(const Work *k, int64_t tile, int64_t o, int64_t channels, Lanes *m) {
    const Conv *c = k->conv;
    Lanes outputs[OUT_SIDE * OUT_SIDE];
    transform_output(m, k->w.m_step, outputs);
    transpose_square(outputs[0]);
    TilePosition p = tile_position(&k->w, k->first + tile);
    float *y = k->y + (p.b * c->out_channels + o) * c->out_height * c->out_width;
    for (int64_t l = 0; l < min_i64(LANES, channels); l++, y += c->out_height * c->out_width)
        write_tile(c, p, outputs[l], k->bias ? k->bias[o + l] : 0, k->add, y);
}

/* Runs a job: the panel of output channels from o on, for the block of the piece's tiles from `tile` on. */
static void run_job(const Work *k, int64_t o, int64_t tile, float *workspace) {
    int64_t channels = min_i64(k->w.panel, k->conv->out_channels - o);
    int64_t tiles = min_i64(k->w.block, k->tiles - tile);
    Lanes *u = (Lanes *)workspace + weight_lanes(&k->w), *m = u + POINTS * k->w.u_step;
    for (int64_t i = 0; i < k->conv->in_channels; i += k->w.depth) {
        int64_t depth = min_i64(k->w.depth, k->conv->in_channels - i);
        (k->rotate ? make_u_rotated : make_u)(k, o, channels, i, depth, u, workspace);
        multiply(k, channels, i, depth, tile, tiles, u, m);
    }
    for (int64_t l = 0; l < channels; l += LANES)
        for (int64_t t = 0; t < tiles; t++)
            write_outputs(k, tile + t, o + l, channels - l, m + t * k->w.row + l / LANES);
}

/* Computes a whole convolution, one piece after the other: for each piece first V, then the jobs. */
static void convolve(Work k, const ConvMemory *memory) {
    int64_t panels = ceil_div(k.conv->out_channels, k.w.panel);
    k.v = (Lanes *)memory->scratch;
    for (; k.first < k.w.tiles; k.first += k.w.piece) {
        k.tiles = min_i64(k.w.piece, k.w.tiles - k.first);
        int64_t jobs = panels * ceil_div(k.tiles, k.w.block);
#pragma omp parallel
        {
#pragma omp for schedule(dynamic, 8)
            for (int64_t i = 0; i < ceil_div(k.conv->in_channels, LANES) * k.tiles; i++)
                make_v(&k, i % k.tiles, i / k.tiles * LANES);
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < jobs; i++)
                run_job(&k, i % panels * k.w.panel, i / panels * k.w.block, conv_thread_workspace(memory));
        }
    }
}

void conv_winograd_forward(const Conv *c, const Weight *weight, const float *bias, const float *x, float *y,
                           const ConvMemory *memory) {
    convolve((Work) { .w = winograd_of(c), .conv = c, .weight = weight, .bias = bias, .x = x, .y = y },
             memory);
}

void conv_winograd_backward(const Conv *c, const Weight *weight, const float *dy, bool add, float *dx,
                            const ConvMemory *memory) {
    Conv back = gradient_conv(c);
    convolve((Work) { .w = winograd_of(&back),
                      .conv = &back,
                      .weight = weight,
                      .rotate = true,
                      .add = add,
                      .x = dy,
                      .y = dx },
             memory);
}
