/* Winograd's convolution F(4x4, 3x3) for 3x3 kernels at stride 1 (Lavin and Gray, arXiv 1509.09308).

   A tile of 4 x 4 outputs of one channel pair depends on 6 x 6 inputs d and 9 weights g. Evaluating the
   polynomials they stand for at 6 points turns the convolution into a product for each point:

       Y = A' [ (G g G') * (B' d B) ] A      (* by elements; A, B, G constant)

   36 multiplications instead of 144. The sum over input channels can be taken before A, so each of the 36
   points p is a matrix product over all tiles of the batch one after the other:

       V[p] [tiles, C] = B' d B    U[p] [C, O] = G g G'    M[p] = V[p] U[p] [tiles, O]    y = A' M A + bias

   Backward is the same computation: the gradient of a 3x3 convolution at stride 1 is the convolution of dy
   with the kernel rotated by half a turn and its two channel axes exchanged; padding p becomes 2 - p.

   U would be 4 times as large as the weights, so it is not kept: it is made for a panel of output channels
   at a time, in the cache of the core that uses it, at the cost of some 100 operations where the product
   spends 72 a tile. Large images are worked through in pieces. The relative error is about 2e-6 (im2col:
   3e-7).

   Transforms work on LANES channels at once, a lane each: element i of a tile stands in one row. So the last
   axis of all three is one of channels, and a product is efficient however few tiles there are. */
#include "tensor/conv_methods.h"
#include "tensor/gemm.h"
#include "tensor/transpose.h"

#include <string.h>

enum { SIDE = 4, SPAN = SIDE + 2, POINTS = SPAN * SPAN, TAPS = 9, LANES = TRANSPOSE_SIDE };
typedef float Lanes[LANES];

/* One-dimensional transforms of rows `step` apart to rows `to_step` apart: of the data, 6 values to 6; of the
   kernel, 3 to 6; of the product, 6 to 4. to may be what it is made from.

   The points are 0, a, -a, b, -b, infinity. 3/4 and 3/2 instead of the usual 1 and 2 cut the largest error to
   a quarter, and all of these are exact in fp32 but the two divisors. */
static const float a1 = 0.75f, a2 = 0.5625f, a3 = 0.421875f, b1 = 1.5f, b2 = 2.25f, b3 = 3.375f;

/* B': the row of a point p is the product of (x - q) over all others. */
static inline void data_row(Lanes *d, int64_t step, Lanes *to, int64_t to_step) {
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

/* G: g(p) / the product of (p - q) */
static inline void kernel_row(Lanes *g, int64_t step, Lanes *to, int64_t to_step) {
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

/* A': the powers of the points */
static inline void product_row(Lanes *m, int64_t step, Lanes *to, int64_t to_step) {
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

/* The same in both dimensions; `step`: from one point to the next. A tile's rows of data are DATA_STEP apart,
   so that LANES values are two whole ones. */
enum { DATA_STEP = LANES / 2 };

static inline void transform_data(Lanes *d, Lanes *v, int64_t step) {
    for (int q = 0; q < SPAN; q++) data_row(d + q, DATA_STEP, d + q, DATA_STEP);
    for (int p = 0; p < SPAN; p++) data_row(d + p * DATA_STEP, 1, v + p * SPAN * step, step);
}

static inline void transform_kernel(Lanes *g, Lanes *u, int64_t step) {
    Lanes half[SPAN * 3];
    for (int q = 0; q < 3; q++) kernel_row(g + q, 3, half + q, 3);
    for (int p = 0; p < SPAN; p++) kernel_row(half + p * 3, 1, u + p * SPAN * step, step);
}

static inline void transform_product(Lanes *m, int64_t step, Lanes *y) {
    Lanes half[SIDE * SPAN];
    for (int q = 0; q < SPAN; q++) product_row(m + q * step, SPAN * step, half + q, SPAN);
    for (int p = 0; p < SIDE; p++) product_row(half + p * SPAN, 1, y + p * SIDE, 1);
}

/* How one convolution is worked through. V is made for a piece of the tiles and shared. The rest of the work
   is cut into jobs, a panel of output channels for a block of the piece's tiles: each makes the U that it
   needs for itself, some input channels at a time, so that U stays in the cache of one core. */
typedef struct {
    int64_t down, across, tiles;    /* tiles of an image's height and width, and of the batch */
    int64_t piece;                  /* tiles at a time */
    int64_t panel, block;           /* of a job: output channels and tiles */
    int64_t depth;                  /* input channels at a time */
    int64_t v_row, row;             /* of V, and of U and M: a row, in Lanes */
    int64_t v_step, u_step, m_step; /* from one point's matrix to the next, in Lanes */
} Winograd;

enum { V_FLOATS = 4 << 20, U_FLOATS = 1 << 16, PANEL_MAX = 64, PANELS_WANTED = 8, BLOCK_MAX = 128 };

/* length cut into the fewest equal parts of at most `most`; the second, in whole lanes */
static int64_t equal_part(int64_t length, int64_t most) { return ceil_div(length, ceil_div(length, most)); }
static int64_t lanes_part(int64_t length, int64_t most) {
    return min_i64(length, ceil_div(equal_part(length, most), LANES) * LANES);
}

/* An odd number: at a distance of a power of two, all rows would share few cache sets. */
static int64_t padded(int64_t n) { return n | 1; }

static Winograd winograd_of(const Conv *c) {
    Winograd w = { .down = ceil_div(c->out_height, SIDE), .across = ceil_div(c->out_width, SIDE) };
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

/* The convolution that computes this one's gradient. */
static Conv turned(const Conv *c) {
    return (Conv) {
        c->batch, c->out_channels, c->out_height, c->out_width, c->in_channels, c->height, c->width, 3,
        1,        2 - c->top,      2 - c->left
    };
}

static int64_t scratch_of(const Conv *c) {
    Winograd w = winograd_of(c);
    return LANES * POINTS * ceil_div(c->in_channels, w.depth) * w.v_step;
}

int64_t conv_winograd_scratch(const Conv *c) {
    Conv back = turned(c);
    return max_i64(scratch_of(c), scratch_of(&back));
}

/* The weights of LANES input channels and a panel; U; M. */
static int64_t weights_lanes(const Winograd *w) { return padded(TAPS * LANES * w->row); }

static int64_t workspace_of(const Conv *c) {
    Winograd w = winograd_of(c);
    return LANES * (weights_lanes(&w) + POINTS * (w.u_step + w.m_step));
}

int64_t conv_winograd_workspace(const Conv *c) {
    Conv back = turned(c);
    return max_i64(workspace_of(c), workspace_of(&back));
}

/* One convolution as its loops see it. rotate: conv is a turned convolution and weight the one it was turned
   from. */
typedef struct {
    Winograd w;
    const Conv *conv;
    const Weight *weight;
    bool rotate, add; /* add: to what is in y */
    const float *bias, *x;
    float *y;
    Lanes *v;
    int64_t first, tiles; /* the piece */
} Work;

/* Where a tile stands: in image b, its first output. */
typedef struct {
    int64_t b, row, column;
} Place;

static Place place_of(const Winograd *w, int64_t tile) {
    return (Place) { tile / w->across / w->down, tile / w->across % w->down * SIDE, tile % w->across * SIDE };
}

/* A tile's inputs of LANES channels, a row of `squares` each; these are still to be transposed. x: the first
   channel. Lanes too many repeat the last channel. */
static inline void read_tile(const Conv *c, Place p, const float *x, int64_t channels, Lanes *squares) {
    int64_t row = p.row - c->top, column = p.column - c->left;
    int first = (int)max_i64(0, -column), end = (int)min_i64(SPAN, c->width - column);
    for (int r = 0; r < SPAN; r++) {
        float *to = squares[r * DATA_STEP / LANES * LANES] + r * DATA_STEP % LANES;
        bool inside = row + r >= 0 && row + r < c->height;
        for (int l = 0; l < LANES; l++, to += LANES) {
            int64_t from = (min_i64(l, channels - 1) * c->height + row + r) * c->width + column;
            if (inside)
#pragma omp simd
                for (int s = 0; s < DATA_STEP; s++) to[s] = s >= first && s < end ? x[from + s] : 0;
            else
                memset(to, 0, DATA_STEP * sizeof(float));
        }
    }
}

/* Where V of a tile and of channels from this one on begins: a matrix [tiles, depth] for each point, and
   these again for the next `depth` channels. */
static Lanes *v_at(const Work *k, int64_t tile, int64_t channel) {
    return k->v + channel / k->w.depth * POINTS * k->w.v_step + tile * k->w.v_row +
           channel % k->w.depth / LANES;
}

/* V of LANES channels of a tile of the piece. */
static void make_v(const Work *k, int64_t tile, int64_t channel) {
    const Conv *c = k->conv;
    Place p = place_of(&k->w, k->first + tile);
    Lanes d[SPAN * DATA_STEP];
    read_tile(c, p, k->x + (p.b * c->in_channels + channel) * c->height * c->width, c->in_channels - channel,
              d);
    for (int e = 0; e < SPAN * DATA_STEP; e += LANES) transpose_square(d[e]);
    transform_data(d, v_at(k, tile, channel), k->w.v_step);
}

static inline void read_lanes(const float *from, int64_t count, float *to) {
    if (count >= LANES) /* a copy of known size is a vector move */
        memcpy(to, from, LANES * sizeof(float));
    else
        for (int l = 0; l < LANES; l++) to[l] = l < count ? from[l] : 0;
}

/* U of output channels [o, o + channels) and input channels [i, i + depth). */
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

/* from[3 i + q] to to[q][i]: a loop that becomes vector code, which reading one tap of each kernel would
   not. */
static inline void deal(const float *restrict from, int n, float *restrict a, float *restrict b,
                        float *restrict c) {
#pragma omp simd
    for (int i = 0; i < n; i++) {
        a[i] = from[3 * i];
        b[i] = from[3 * i + 1];
        c[i] = from[3 * i + 2];
    }
}

/* Kernels, one after the other, to a lane each and rotated: first the columns are dealt out, then each
   column's rows. */
static inline void read_rotated(const float *kernels, int64_t count, Lanes *g) {
    float last[TAPS * LANES], columns[3][3 * LANES];
    if (count < LANES) {
        memset(last, 0, sizeof last);
        kernels = memcpy(last, kernels, (size_t)(count * TAPS) * sizeof(float));
    }
    deal(kernels, 3 * LANES, columns[0], columns[1], columns[2]);
    for (int q = 0; q < 3; q++) deal(columns[q], LANES, g[8 - q], g[5 - q], g[2 - q]);
}

/* The same of a turned convolution: its input channels are the weight's rows. */
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

/* M += V U at every point (M = V U for the first input channels) */
static void multiply(const Work *k, int64_t channels, int64_t i, int64_t depth, int64_t tile, int64_t tiles,
                     Lanes *u, Lanes *m) {
    const Winograd *w = &k->w;
    for (int p = 0; p < POINTS; p++)
        gemm(AS_IS, AS_IS, tiles, channels, depth, 1, v_at(k, tile, i)[p * w->v_step], w->v_row * LANES,
             u[p * w->u_step], w->row * LANES, i > 0, m[p * w->m_step], w->row * LANES);
}

/* One tile's outputs of a channel, a row of a transposed square. */
static inline void write_tile(const Conv *c, Place p, const float *outputs, float shift, bool add, float *y) {
    int64_t rows = min_i64(SIDE, c->out_height - p.row), columns = min_i64(SIDE, c->out_width - p.column);
    float *to = y + p.row * c->out_width + p.column;
    for (int64_t r = 0; r < rows; r++, to += c->out_width, outputs += SIDE)
        for (int64_t s = 0; s < columns; s++) to[s] = outputs[s] + (add ? to[s] : shift);
}

/* y of a tile and of LANES output channels from o on (fewer at the end). m: their first point */
static void write_product(const Work *k, int64_t tile, int64_t o, int64_t channels, Lanes *m) {
    const Conv *c = k->conv;
    Lanes outputs[SIDE * SIDE];
    transform_product(m, k->w.m_step, outputs);
    transpose_square(outputs[0]);
    Place p = place_of(&k->w, k->first + tile);
    float *y = k->y + (p.b * c->out_channels + o) * c->out_height * c->out_width;
    for (int64_t l = 0; l < min_i64(LANES, channels); l++, y += c->out_height * c->out_width)
        write_tile(c, p, outputs[l], k->bias ? k->bias[o + l] : 0, k->add, y);
}

/* The output channels from o on, for the piece's tiles from `tile` on. */
static void run_job(const Work *k, int64_t o, int64_t tile, float *workspace) {
    int64_t channels = min_i64(k->w.panel, k->conv->out_channels - o);
    int64_t tiles = min_i64(k->w.block, k->tiles - tile);
    Lanes *u = (Lanes *)workspace + weights_lanes(&k->w), *m = u + POINTS * k->w.u_step;
    for (int64_t i = 0; i < k->conv->in_channels; i += k->w.depth) {
        int64_t depth = min_i64(k->w.depth, k->conv->in_channels - i);
        (k->rotate ? make_u_rotated : make_u)(k, o, channels, i, depth, u, workspace);
        multiply(k, channels, i, depth, tile, tiles, u, m);
    }
    for (int64_t l = 0; l < channels; l += LANES)
        for (int64_t t = 0; t < tiles; t++)
            write_product(k, tile + t, o + l, channels - l, m + t * k->w.row + l / LANES);
}

/* The work of both passes. */
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
                run_job(&k, i % panels * k.w.panel, i / panels * k.w.block, conv_own(memory));
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
    Conv back = turned(c);
    convolve((Work) { .w = winograd_of(&back),
                      .conv = &back,
                      .weight = weight,
                      .rotate = true,
                      .add = add,
                      .x = dy,
                      .y = dx },
             memory);
}
