/* Winograd's convolution F(m x m, 3x3) for 3x3 kernels at stride 1, m = 2 or 4 (Lavin and Gray, arXiv
   1509.09308).

   A tile of m x m outputs of one channel pair depends on (m+2) x (m+2) inputs d and 9 weights g. Evaluating
   the polynomials they stand for at m + 2 points turns the convolution into a product for each point:

       Y = A' [ (G g G') * (B' d B) ] A      (* by elements; A, B, G constant)

   (m+2)^2 multiplications instead of 9 m^2: 16 for 36 at m = 2, 36 for 144 at m = 4. The sum over input
   channels can be taken before A, so each of the P = (m+2)^2 points is a matrix product over all tiles of the
   batch side by side:

       V[p] [C, tiles] = B' d B    U[p] [O, C] = G g G'    M[p] = U[p] V[p] [O, tiles]    y = A' M A + bias

   Backward is the same computation: the gradient of a 3x3 convolution at stride 1 is the convolution of dy
   with the kernel rotated by half a turn and its two channel axes exchanged; padding p becomes 2 - p. U[p]
   then is [C', O'] as it lies in memory and is read transposed.

   U would be P/9 times as large as the weights, so it is not kept: it is made for a panel of output channels
   at a time, in the cache of the core that uses it, at the cost of some 100 operations where the product spends
   2 P tiles. Large images are worked through in pieces. The relative error is about 2e-6 for m = 4 and 6e-7 for m = 2 (im2col: 3e-7).

   Transforms work on LANES tiles (or channel pairs) at once, a lane each: element i of the tiles stands in
   one row. */
#include "tensor/conv_methods.h"
#include "tensor/gemm.h"
#include "tensor/transpose.h"

#include <string.h>

enum { LANES = 16, POINTS_MAX = 6 };
typedef float Lanes[LANES];

/* One-dimensional transforms on rows `step` apart: of the data, in place; of the kernel, 3 values to m + 2;
   of the product, m + 2 values to m, in place. */

/* m = 4: the points 0, a, -a, b, -b, infinity. 3/4 and 3/2 instead of the usual 1 and 2 cut the largest error
   to a quarter, and all of these are exact in fp32 but the two divisors. */
static const float a1 = 0.75f, a2 = 0.5625f, a3 = 0.421875f, b1 = 1.5f, b2 = 2.25f, b3 = 3.375f;

static inline void data4(Lanes *d,
                         int step) { /* B': row of a point p: the product of (x - q) over all others */
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        float d0 = d[0][l], d1 = d[step][l], d2 = d[2 * step][l];
        float d3 = d[3 * step][l], d4 = d[4 * step][l], d5 = d[5 * step][l];
        float even_a = d4 - b2 * d2, odd_a = a1 * (d3 - b2 * d1);
        float even_b = d4 - a2 * d2, odd_b = b1 * (d3 - a2 * d1);
        d[0][l] = a2 * b2 * d0 - (a2 + b2) * d2 + d4;
        d[step][l] = even_a + odd_a;
        d[2 * step][l] = even_a - odd_a;
        d[3 * step][l] = even_b + odd_b;
        d[4 * step][l] = even_b - odd_b;
        d[5 * step][l] = a2 * b2 * d1 - (a2 + b2) * d3 + d5;
    }
}

static inline void kernel4(Lanes *g, int step, Lanes *u, int u_step) { /* G: g(p) / the product of (p - q) */
    const float scale_0 = 1 / (a2 * b2), scale_a = 1 / (2 * a2 * (a2 - b2)),
                scale_b = 1 / (2 * b2 * (b2 - a2));
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        float g0 = g[0][l], g1 = g[step][l], g2 = g[2 * step][l];
        float even_a = scale_a * (g0 + a2 * g2), odd_a = scale_a * a1 * g1;
        float even_b = scale_b * (g0 + b2 * g2), odd_b = scale_b * b1 * g1;
        u[0][l] = scale_0 * g0;
        u[u_step][l] = even_a + odd_a;
        u[2 * u_step][l] = even_a - odd_a;
        u[3 * u_step][l] = even_b + odd_b;
        u[4 * u_step][l] = even_b - odd_b;
        u[5 * u_step][l] = g2;
    }
}

static inline void product4(Lanes *m, int step) { /* A': the powers of the points */
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        float m0 = m[0][l], m1 = m[step][l], m2 = m[2 * step][l];
        float m3 = m[3 * step][l], m4 = m[4 * step][l], m5 = m[5 * step][l];
        float even_a = m1 + m2, odd_a = m1 - m2, even_b = m3 + m4, odd_b = m3 - m4;
        m[0][l] = m0 + even_a + even_b;
        m[step][l] = a1 * odd_a + b1 * odd_b;
        m[2 * step][l] = a2 * even_a + b2 * even_b;
        m[3 * step][l] = a3 * odd_a + b3 * odd_b + m5;
    }
}

/* m = 2: the points 0, 1, -1, infinity */

static inline void data2(Lanes *d, int step) {
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        float d0 = d[0][l], d1 = d[step][l], d2 = d[2 * step][l], d3 = d[3 * step][l];
        d[0][l] = d0 - d2;
        d[step][l] = d1 + d2;
        d[2 * step][l] = d2 - d1;
        d[3 * step][l] = d1 - d3;
    }
}

static inline void kernel2(Lanes *g, int step, Lanes *u, int u_step) {
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        float g0 = g[0][l], g1 = g[step][l], g2 = g[2 * step][l], even = (g0 + g2) * 0.5f, odd = g1 * 0.5f;
        u[0][l] = g0;
        u[u_step][l] = even + odd;
        u[2 * u_step][l] = even - odd;
        u[3 * u_step][l] = g2;
    }
}

static inline void product2(Lanes *m, int step) {
#pragma omp simd
    for (int l = 0; l < LANES; l++) {
        float m0 = m[0][l], m1 = m[step][l], m2 = m[2 * step][l], m3 = m[3 * step][l];
        m[0][l] = m0 + m1 + m2;
        m[step][l] = m1 - m2 - m3;
    }
}

/* A tile's rows of data are so far apart: of m + 2 values and filled up, so that a square holds whole ones. */
static inline int data_step(int side) { return side == 4 ? 8 : 4; }
enum { DATA_MAX = POINTS_MAX * 8 };

/* The same in both dimensions; the rows of a tile of kernels or products are m + 2 apart. */

static inline void data(int side, Lanes *d) {
    int n = side + 2, step = data_step(side);
    for (int q = 0; q < n; q++) side == 4 ? data4(d + q, step) : data2(d + q, step);
    for (int p = 0; p < n; p++) side == 4 ? data4(d + p * step, 1) : data2(d + p * step, 1);
}

static inline void kernel(int side, Lanes *g, Lanes *u) {
    Lanes half[POINTS_MAX * 3];
    int n = side + 2;
    for (int q = 0; q < 3; q++) side == 4 ? kernel4(g + q, 3, half + q, 3) : kernel2(g + q, 3, half + q, 3);
    for (int p = 0; p < n; p++)
        side == 4 ? kernel4(half + p * 3, 1, u + p * n, 1) : kernel2(half + p * 3, 1, u + p * n, 1);
}

static inline void product(int side, Lanes *m) {
    int n = side + 2;
    for (int q = 0; q < n; q++) side == 4 ? product4(m + q, n) : product2(m + q, n);
    for (int p = 0; p < side; p++) side == 4 ? product4(m + p * n, 1) : product2(m + p * n, 1);
}

/* How one convolution is worked through. V is made for a piece of the tiles and shared. The rest of the work is cut into
   jobs, a panel of output channels for a block of the piece's tiles: each makes the U that it needs for itself, some
   input channels at a time, so that U stays in the cache of one core. */
typedef struct {
    int side, points;
    int64_t down, across, tiles;    /* tiles of an image's height and width, and of the batch */
    int64_t piece;                  /* tiles at a time */
    int64_t panel, columns;         /* of a job: output channels and tiles */
    int64_t depth;                  /* input channels at a time */
    int64_t v_step, u_step, m_step; /* floats from one point's matrix to the next */
} Winograd;

enum { V_FLOATS = 4 << 20, U_FLOATS = 3 << 16, PANEL_MAX = 64, PANELS_WANTED = 8, COLUMNS_MAX = 128 };

/* length cut into the fewest equal parts of at most `most`; the second, in whole lanes */
static int64_t equal_part(int64_t length, int64_t most) { return ceil_div(length, ceil_div(length, most)); }
static int64_t lanes_part(int64_t length, int64_t most) {
    return min_i64(length, ceil_div(equal_part(length, most), LANES) * LANES);
}

/* Whole lanes, and then one row more: at a distance of a power of two, all points would share few cache sets. */
static int64_t padded(int64_t n) { return (ceil_div(n, 2 * LANES) * 2 + 1) * LANES; }

static Winograd winograd_of(int side, const Conv *c) {
    Winograd w = { .side = side, .points = (side + 2) * (side + 2) };
    w.down = ceil_div(c->out_height, side);
    w.across = ceil_div(c->out_width, side);
    w.tiles = c->batch * w.down * w.across;
    w.panel = lanes_part(c->out_channels, min_i64(PANEL_MAX, ceil_div(c->out_channels, PANELS_WANTED)));
    w.depth = lanes_part(c->in_channels, max_i64(LANES, U_FLOATS / (w.points * w.panel)));
    w.piece = equal_part(w.tiles, max_i64(LANES, V_FLOATS / (w.points * c->in_channels)));
    w.columns = equal_part(w.piece, COLUMNS_MAX);
    w.v_step = padded(c->in_channels * w.piece);
    w.u_step = padded(w.depth * w.panel);
    w.m_step = padded(w.panel * w.columns);
    return w;
}

/* The convolution that computes this one's gradient. */
static Conv turned(const Conv *c) {
    return (Conv) {
        c->batch, c->out_channels, c->out_height, c->out_width, c->in_channels, c->height, c->width, 3,
        1,        2 - c->top,      2 - c->left
    };
}

int64_t conv_winograd_scratch(int side, const Conv *c) {
    Conv back = turned(c);
    Winograd w = winograd_of(side, c), w_back = winograd_of(side, &back);
    return w.points * max_i64(w.v_step, w_back.v_step);
}

/* One row of a panel of weights, U and M. */
static int64_t row_floats(const Winograd *w) { return padded(9 * max_i64(w->depth, w->panel)); }

static int64_t workspace_of(int side, const Conv *c) {
    Winograd w = winograd_of(side, c);
    return row_floats(&w) + w.points * (w.u_step + w.m_step);
}

int64_t conv_winograd_workspace(int side, const Conv *c) {
    Conv back = turned(c);
    return max_i64(workspace_of(side, c), workspace_of(side, &back));
}

/* A lane's place: tile (i, j) of image b, in a channel. The index runs over channels, then over a piece's
   tiles. */
typedef struct {
    int64_t channel, tile, b, i, j;
} Place;

static void place_tile(const Winograd *w, Place *p) {
    p->j = p->tile % w->across;
    p->i = p->tile / w->across % w->down;
    p->b = p->tile / w->across / w->down;
}

static Place place_at(const Winograd *w, int64_t first, int64_t n, int64_t index) {
    Place p = { .channel = index / n, .tile = first + index % n };
    place_tile(w, &p);
    return p;
}

static void place_next(const Winograd *w, int64_t first, int64_t n, Place *p) {
    if (++p->tile == first + n) {
        p->tile = first;
        p->channel++;
        place_tile(w, p);
    } else if (++p->j == w->across) {
        p->j = 0;
        if (++p->i == w->down) {
            p->i = 0;
            p->b++;
        }
    }
}

/* One tile's inputs into row l of squares that are still to be transposed. */
static inline void read_tile(int side, const Conv *c, Place p, const float *x, Lanes *d, int l) {
    int step = data_step(side);
    int64_t row = p.i * side - c->top, column = p.j * side - c->left;
    int first = (int)max_i64(0, -column), end = (int)min_i64(side + 2, c->width - column);
    const float *plane = x + (p.b * c->in_channels + p.channel) * c->height * c->width;
    for (int r = 0; r < side + 2; r++) {
        float *to = d[r * step / LANES * LANES + l] + r * step % LANES;
        int64_t from = (row + r) * c->width + column;
        if (row + r >= 0 && row + r < c->height)
#pragma omp simd
            for (int s = 0; s < step; s++) to[s] = s >= first && s < end ? plane[from + s] : 0;
        else
            memset(to, 0, (size_t)step * sizeof(float));
    }
}

/* V of LANES places from index on. */
static inline void transform_data(const Winograd *w, int side, const Conv *c, int64_t first, int64_t n,
                                  int64_t index, const float *x, float *v) {
    Lanes d[DATA_MAX];
    int points = side + 2, step = data_step(side);
    int64_t count = min_i64(LANES, c->in_channels * n - index);
    Place p = place_at(w, first, n, index);
    for (int l = 0; l < LANES; l++) {
        read_tile(side, c, p, x, d, l); /* lanes too many repeat the last place, into padding */
        if (l + 1 < count) place_next(w, first, n, &p);
    }
    for (int e = 0; e < points * step; e += LANES) transpose_square(d[e]);
    data(side, d);
    for (int q = 0; q < points; q++)
        for (int s = 0; s < points; s++, v += w->v_step) memcpy(v + index, d[q * step + s], sizeof d[0]);
}

/* from[3 i + q] to to[q][i]: a loop that becomes vector code, which reading one tap of each kernel would not. */
static inline void deal(const float *restrict from, int n, float *restrict a, float *restrict b,
                        float *restrict c) {
#pragma omp simd
    for (int i = 0; i < n; i++) {
        a[i] = from[3 * i];
        b[i] = from[3 * i + 1];
        c[i] = from[3 * i + 2];
    }
}

/* LANES kernels, one after the other, to a lane each: first the columns are dealt out, then each column's rows. */
static inline void read_kernels(const float *kernels, bool rotate, Lanes *g) {
    float columns[3][3 * LANES];
    deal(kernels, 3 * LANES, columns[0], columns[1], columns[2]);
    for (int q = 0; q < 3; q++)
        if (rotate)
            deal(columns[q], LANES, g[8 - q], g[5 - q], g[2 - q]);
        else
            deal(columns[q], LANES, g[q], g[3 + q], g[6 + q]);
}

/* U of one row of weights: `width` kernels side by side. */
static inline void transform_kernels(const Winograd *w, int side, const float *row, int64_t width,
                                     bool rotate, float *u) {
    Lanes g[9], out[POINTS_MAX * POINTS_MAX];
    for (int64_t k = 0; k < width; k += LANES) {
        int count = (int)min_i64(LANES, width - k);
        float last[9 * LANES] = { 0 };
        if (count < LANES) memcpy(last, row + k * 9, (size_t)count * 9 * sizeof(float));
        read_kernels(count < LANES ? last : row + k * 9, rotate, g);
        kernel(side, g, out);
        for (int e = 0; e < (side + 2) * (side + 2); e++) {
            float *to = u + e * w->u_step + k;
            if (count == LANES) /* a copy of known size is two vector moves */
                memcpy(to, out[e], sizeof out[e]);
            else
                for (int l = 0; l < count; l++) to[l] = out[e][l];
        }
    }
}

/* One tile's outputs out of lane l. bias NULL: there is none. */
static inline void write_tile(int side, const Conv *c, Place p, int64_t o, Lanes *m, int l, const float *bias,
                              bool add, float *y) {
    int64_t row = p.i * side, column = p.j * side;
    int64_t rows = min_i64(side, c->out_height - row), columns = min_i64(side, c->out_width - column);
    float *to = y + ((p.b * c->out_channels + o) * c->out_height + row) * c->out_width + column;
    float shift = bias ? bias[o] : 0;
    for (int64_t r = 0; r < rows; r++, to += c->out_width)
        for (int64_t s = 0; s < columns; s++) to[s] = m[r * (side + 2) + s][l] + (add ? to[s] : shift);
}

static inline void transform_product(const Winograd *w, int side, const Conv *c, int64_t first, int64_t n,
                                     int64_t o, int64_t channels, int64_t index, const float *m,
                                     const float *bias, bool add, float *y) {
    Lanes d[POINTS_MAX * POINTS_MAX];
    for (int e = 0; e < (side + 2) * (side + 2); e++) memcpy(d[e], m + e * w->m_step + index, sizeof d[e]);
    product(side, d);
    int64_t count = min_i64(LANES, channels * n - index);
    Place p = place_at(w, first, n, index);
    for (int l = 0; l < count; l++) {
        write_tile(side, c, p, o + p.channel, d, l, bias, add, y);
        place_next(w, first, n, &p);
    }
}

/* One convolution as its loops see it. rotate: conv is a turned convolution and weight the one it was turned from. */
typedef struct {
    Winograd w;
    const Conv *conv;
    const Weight *weight;
    bool rotate, add; /* add: to what is in y */
    const float *bias, *x;
    float *y, *v;
    int64_t first, tiles; /* the piece */
} Work;

/* U of output channels [o, o + channels) and input channels [i, i + depth): [channels, depth]; rotated, [depth, channels]. */
static void make_u(const Work *k, int64_t o, int64_t channels, int64_t i, int64_t depth, float *u,
                   float *row_space) {
    int64_t rows = k->rotate ? depth : channels, width = k->rotate ? channels : depth;
    int64_t row = k->rotate ? i : o, column = k->rotate ? o : i;
    for (int64_t r = 0; r < rows; r++) {
        weight_prefetch(k->weight, row + r + 2, column * 9, width * 9);
        Panel p = weight_panel(k->weight, row + r, 1, column * 9, width * 9, row_space);
        if (k->w.side == 4)
            transform_kernels(&k->w, 4, p.data, width, k->rotate, u + r * width);
        else
            transform_kernels(&k->w, 2, p.data, width, k->rotate, u + r * width);
    }
}

/* M += U V at every point (M = U V for the first input channels) */
static void multiply(const Work *k, int64_t channels, int64_t i, int64_t depth, int64_t column,
                     int64_t columns, const float *u, float *m) {
    for (int p = 0; p < k->w.points; p++)
        gemm(k->rotate ? TRANSPOSED : AS_IS, AS_IS, channels, columns, depth, 1, u + p * k->w.u_step,
             k->rotate ? channels : depth, k->v + p * k->w.v_step + i * k->tiles + column, k->tiles, i > 0,
             m + p * k->w.m_step, columns);
}

/* The output channels from o on, for the piece's tiles from `column` on. */
static void run_job(const Work *k, int64_t o, int64_t column, float *workspace) {
    int64_t channels = min_i64(k->w.panel, k->conv->out_channels - o);
    int64_t columns = min_i64(k->w.columns, k->tiles - column);
    float *u = workspace + row_floats(&k->w), *m = u + k->w.points * k->w.u_step;
    for (int64_t i = 0; i < k->conv->in_channels; i += k->w.depth) {
        int64_t depth = min_i64(k->w.depth, k->conv->in_channels - i);
        make_u(k, o, channels, i, depth, u, workspace);
        multiply(k, channels, i, depth, column, columns, u, m);
    }
    for (int64_t i = 0; i < channels * columns; i += LANES)
        if (k->w.side == 4)
            transform_product(&k->w, 4, k->conv, k->first + column, columns, o, channels, i, m, k->bias,
                              k->add, k->y);
        else
            transform_product(&k->w, 2, k->conv, k->first + column, columns, o, channels, i, m, k->bias,
                              k->add, k->y);
}

static void make_v(const Work *k, int64_t i) {
    if (k->w.side == 4)
        transform_data(&k->w, 4, k->conv, k->first, k->tiles, i, k->x, k->v);
    else
        transform_data(&k->w, 2, k->conv, k->first, k->tiles, i, k->x, k->v);
}

/* The work of both passes. */
static void convolve(Work k, const ConvMemory *memory) {
    int64_t panels = ceil_div(k.conv->out_channels, k.w.panel);
    k.v = memory->scratch;
    for (; k.first < k.w.tiles; k.first += k.w.piece) {
        k.tiles = min_i64(k.w.piece, k.w.tiles - k.first);
        int64_t jobs = panels * ceil_div(k.tiles, k.w.columns);
#pragma omp parallel
        {
#pragma omp for schedule(dynamic, 8)
            for (int64_t i = 0; i < k.conv->in_channels * k.tiles; i += LANES) make_v(&k, i);
#pragma omp for schedule(dynamic)
            for (int64_t i = 0; i < jobs; i++)
                run_job(&k, i % panels * k.w.panel, i / panels * k.w.columns, conv_own(memory));
        }
    }
}

void conv_winograd_forward(int side, const Conv *c, const Weight *weight, const float *bias, const float *x,
                           float *y, const ConvMemory *memory) {
    convolve((Work) { .w = winograd_of(side, c), .conv = c, .weight = weight, .bias = bias, .x = x, .y = y },
             memory);
}

void conv_winograd_backward(int side, const Conv *c, const Weight *weight, const float *dy, bool add,
                            float *dx, const ConvMemory *memory) {
    Conv back = turned(c);
    convolve((Work) { .w = winograd_of(side, &back),
                      .conv = &back,
                      .weight = weight,
                      .rotate = true,
                      .add = add,
                      .x = dy,
                      .y = dx },
             memory);
}
