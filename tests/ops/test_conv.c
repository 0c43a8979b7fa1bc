/* SPDX-License-Identifier: MIT */
/* Compares each method of convolution, and the linear op, with plain/ti.c at shapes that are prone to
   mistakes. Also checks that backward is the transpose of forward, and that the bits depend neither on the
   number of threads nor on the type in which equal weights are stored. */
#include "autograd/ops.h"
#include "tensor/conv.h"
#include "tensor/gemm.h"
#include "tensor/share.h"
#include "tests/plain.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _OPENMP
#    include <omp.h>
#endif

static void set_threads(int n) {
#ifdef _OPENMP
    omp_set_num_threads(n);
#else
    (void)n;
#endif
}

enum { THREADS_MAX = 5, LABEL = 256 };

static float *floats(int64_t n) { return mem_alloc((size_t)n * sizeof(float)); }

/* Random numbers in [-1, 1), multiples of 2^-(bits - 1). With 24 bits sums are rounded, so that their order
   shows in the result. */
static float *random_floats(int64_t n, uint32_t seed, int bits) {
    float *x = floats(n);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        x[i] = ldexpf((float)(seed >> (32 - bits)), 1 - bits) - 1;
    }
    return x;
}

/* Every type of weight represents numbers of 7 bits exactly. */
enum { FULL_BITS = 24, WEIGHT_BITS = 7 };

/* Makes a weight of fp32 numbers, in a buffer of its own that begins `shift` bytes after an aligned
   address. */
static Weight weight_of(const float *x, Shape shape, DType dtype, size_t shift) {
    int64_t n = shape_count(shape);
    size_t size = dtype_size(dtype);
    char *data = mem_alloc((size_t)n * size + shift);
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        uint32_t half = 0; /* IEEE half; only normal numbers and zero occur */
        if (x[i] != 0)
            half = (bits >> 16 & 0x8000) | (((bits >> 23 & 0xff) - 112) << 10) | (bits >> 13 & 0x3ff);
        uint16_t short_bits = (uint16_t)(dtype == F16 ? half : bits >> 16);
        memcpy(data + shift + (size_t)i * size, dtype == F32 ? (const void *)&bits : &short_bits, size);
    }
    return (Weight) { "weight", dtype, shape, data + shift };
}

static void weight_free(Weight w, size_t shift) { free((char *)(uintptr_t)w.data - shift); }

/* Returns n numbers as doubles, which are zero when x is NULL. */
static double *doubles(const float *x, int64_t n) {
    double *d = mem_alloc((size_t)n * sizeof(double));
    for (int64_t i = 0; x && i < n; i++) d[i] = (double)x[i];
    return d;
}

static void close_to_double(const char *name, const float *got, const double *want, Shape shape,
                            double tolerance) {
    int64_t n = shape_count(shape);
    float *rounded = floats(n);
    for (int64_t i = 0; i < n; i++) rounded[i] = (float)want[i];
    test_close(name, got, rounded, shape, tolerance, -1);
    free(rounded);
}

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static double norm(const float *a, int64_t n) { return sqrt(dot(a, a, n)); }

/* Checks that A', which backward applies, is the transpose of A, which forward applies: <A x, y> = <x, A' y>,
   up to rounding relative to |A x| |y| + |x| |A' y|. */
static void test_adjoint(const char *name, const float *x, const float *dx, int64_t nx, const float *ax,
                         const float *dy, int64_t ny) {
    double scale = norm(ax, ny) * norm(dy, ny) + norm(x, nx) * norm(dx, nx);
    test_below(name, fabs(dot(ax, dy, ny) - dot(x, dx, nx)) / scale, 1e-6);
}

typedef struct {
    float *y, *dx;
} Result;

/* Runs one convolution by one method, forward and backward. All memory is allocated with its exact size so
   that the sanitizers notice an access beyond it. */
static Result run_conv(ConvMethod m, const Conv *c, const Weight *w, const Weight *bias, const float *x,
                       const float *dy, bool add, int64_t nx, int64_t ny, int threads) {
    Result r = { floats(ny), floats(nx) };
    int64_t scratch = conv_scratch(m, c), workspace = conv_workspace(m, c);
    ConvMemory memory = { floats(scratch), floats(workspace * threads), (size_t)workspace };
    /* The planner's memory is not cleared. */
    for (int64_t i = 0; i < scratch; i++) memory.scratch[i] = NAN;
    for (int64_t i = 0; i < workspace * threads; i++) memory.workspaces[i] = NAN;
    for (int64_t i = 0; i < ny; i++) r.y[i] = NAN;
    for (int64_t i = 0; i < nx; i++) r.dx[i] = add ? 1 : NAN;
    set_threads(threads);
    conv_forward(m, c, w, bias, x, r.y, memory);
    conv_backward(m, c, w, dy, add, r.dx, memory);
    free(memory.scratch);
    free(memory.workspaces);
    return r;
}

typedef struct {
    const char *name;
    int64_t batch, in, height, width, out, kernel, stride;
    Padding padding;
    DType dtype;
    size_t shift;
    bool no_bias;
} Case;

static Conv conv_of(const Case *k) {
    return (Conv) { k->batch,
                    k->in,
                    k->height,
                    k->width,
                    k->out,
                    (k->height + k->padding.top + k->padding.bottom - k->kernel) / k->stride + 1,
                    (k->width + k->padding.left + k->padding.right - k->kernel) / k->stride + 1,
                    k->kernel,
                    k->stride,
                    k->padding.top,
                    k->padding.left,
                    PRECISION_F32 };
}

static void test_same_bits(const char *name, const char *what, Result a, Result b, int64_t nx, int64_t ny) {
    char text[LABEL];
    snprintf(text, sizeof text, "%.99s y, %s", name, what);
    test_same(text, a.y, b.y, (size_t)ny * sizeof(float));
    snprintf(text, sizeof text, "%.99s dx, %s", name, what);
    test_same(text, a.dx, b.dx, (size_t)nx * sizeof(float));
}

static void result_free(Result r) {
    free(r.y);
    free(r.dx);
}

/* Makes all checks of one method on one case. want_y and want_dx are the direct sums. dx is filled with ones
   before a backward pass that accumulates. */
static void test_method(const Case *k, ConvMethod m, const double *want_y, const double *want_dx) {
    Conv c = conv_of(k);
    Shape xs = shape4(k->batch, k->in, k->height, k->width);
    Shape ys = shape4(k->batch, k->out, c.out_height, c.out_width);
    Shape ws = shape4(k->out, k->in, k->kernel, k->kernel);
    int64_t nx = shape_count(xs), ny = shape_count(ys);
    float *x = random_floats(nx, 1, FULL_BITS), *dy = random_floats(ny, 2, FULL_BITS),
          *w = random_floats(shape_count(ws), 3, WEIGHT_BITS);
    float *b = random_floats(k->out, 4, WEIGHT_BITS);
    Weight weight = weight_of(w, ws, k->dtype, k->shift),
           bias = weight_of(b, shape1(k->out), k->dtype, k->shift);
    Weight plain = weight_of(w, ws, F32, 0);
    const Weight *given = k->no_bias ? NULL : &bias;
    double tolerance = m == CONV_WINOGRAD ? 4e-6 : 1e-6;

    char name[80], text[120];
    snprintf(name, sizeof name, "%s.%s", k->name, conv_method_name(m));
    Result one = run_conv(m, &c, &weight, given, x, dy, true, nx, ny, 1);
    snprintf(text, sizeof text, "%s y", name);
    close_to_double(text, one.y, want_y, ys, tolerance);
    snprintf(text, sizeof text, "%s dx", name);
    close_to_double(text, one.dx, want_dx, xs, tolerance);
    Result overwritten = run_conv(m, &c, &weight, given, x, dy, false, nx, ny, 2);
    for (int64_t i = 0; i < nx; i++) overwritten.dx[i] += 1;
    snprintf(text, sizeof text, "%s dx, overwritten", name);
    close_to_double(text, overwritten.dx, want_dx, xs, tolerance);
    result_free(overwritten);

    const int threads[] = { 2, THREADS_MAX };
    for (int i = 0; i < 2; i++) {
        Result other = run_conv(m, &c, &weight, given, x, dy, true, nx, ny, threads[i]);
        snprintf(text, sizeof text, "%d threads", threads[i]);
        test_same_bits(name, text, other, one, nx, ny);
        result_free(other);
    }
    if (k->dtype != F32 || k->shift) {
        Result aligned = run_conv(m, &c, &plain, given, x, dy, true, nx, ny, 2);
        test_same_bits(name, "as with aligned F32", aligned, one, nx, ny);
        result_free(aligned);
    }
    /* Without the bias, and without the ones to which backward added, y and dx are A x and A' dy. */
    float *ax = floats(ny), *aty = floats(nx);
    for (int64_t i = 0; i < ny; i++)
        ax[i] = one.y[i] - (k->no_bias ? 0 : b[i / (c.out_height * c.out_width) % k->out]);
    for (int64_t i = 0; i < nx; i++) aty[i] = one.dx[i] - 1;
    snprintf(text, sizeof text, "%s adjoint", name);
    test_adjoint(text, x, aty, nx, ax, dy, ny);

    result_free(one);
    weight_free(weight, k->shift);
    weight_free(bias, k->shift);
    weight_free(plain, 0);
    free(x), free(dy), free(w), free(b), free(ax), free(aty);
}

/* Tests a case with all methods that can compute it. */
static void test_case(const Case *k) {
    Conv c = conv_of(k);
    int64_t area = c.out_height * c.out_width;
    int64_t nx = k->batch * k->in * k->height * k->width, ny = k->batch * k->out * area;
    float *xf = random_floats(nx, 1, FULL_BITS), *dyf = random_floats(ny, 2, FULL_BITS);
    float *w = random_floats(k->out * k->in * k->kernel * k->kernel, 3, WEIGHT_BITS),
          *b = random_floats(k->out, 4, WEIGHT_BITS);
    double *x = doubles(xf, nx), *y = doubles(NULL, ny), *dy = doubles(dyf, ny), *dx = doubles(NULL, nx);
    plain_conv2d(&c, w, x, y, true);
    for (int64_t i = 0; i < ny && !k->no_bias; i++) y[i] += (double)b[i / area % k->out];
    for (int64_t i = 0; i < nx; i++) dx[i] = 1;
    plain_conv2d(&c, w, dx, dy, false);
    for (int m = 0; m < CONV_METHODS; m++)
        if (conv_supports((ConvMethod)m, &c)) test_method(k, (ConvMethod)m, y, dx);
    free(xf), free(dyf), free(w), free(b), free(x), free(y), free(dy), free(dx);
}

static void test_convolutions(void) {
    const Case cases[] = {
        { "3x3 odd", 2, 5, 7, 9, 6, 3, 1, PAD1, F32, 0, false },
        { "3x3 one pixel", 2, 3, 1, 1, 4, 3, 1, PAD1, F32, 0, false },
        { "3x3 line", 1, 4, 1, 13, 3, 3, 1, PAD1, F16, 0, false },
        { "3x3 4x4", 4, 33, 4, 4, 35, 3, 1, PAD1, F16, 0, false },
        { "3x3 whole lanes", 1, 16, 4, 4, 16, 3, 1, PAD1, F32, 0, false },
        { "3x3 8x8", 2, 40, 8, 8, 24, 3, 1, PAD1, BF16, 0, true },
        { "3x3 wide", 1, 3, 18, 34, 64, 3, 1, PAD1, F32, 1, false },
        { "3x3 to 3", 2, 64, 16, 16, 3, 3, 1, PAD1, F16, 1, false },
        { "3x3 deep", 1, 600, 5, 4, 520, 3, 1, PAD1, F16, 0, false },
        { "3x3 in pieces", 3, 1200, 28, 24, 3, 3, 1, PAD1, BF16, 0, false },
        { "3x3 no padding", 2, 6, 9, 8, 5, 3, 1, PAD0, F32, 0, false },
        { "3x3 lopsided", 2, 6, 9, 6, 5, 3, 1, { 0, 2, 1, 0 }, F32, 3, false },
        { "3x3 too much padding", 1, 3, 5, 6, 4, 3, 1, { 2, 3, 3, 2 }, F32, 0, false },
        { "stride 2", 2, 17, 8, 8, 19, 3, 2, PAD1, F16, 0, false },
        { "stride 2 odd", 2, 5, 9, 7, 6, 3, 2, PAD1, F32, 0, false },
        { "stride 2 end", 2, 8, 8, 10, 9, 3, 2, PAD_END, BF16, 1, false },
        { "stride 2 end odd", 1, 8, 7, 9, 9, 3, 2, PAD_END, F32, 0, true },
        { "1x1", 2, 20, 5, 7, 36, 1, 1, PAD0, F16, 0, false },
        { "1x1 tiny", 4, 4, 4, 4, 4, 1, 1, PAD0, F32, 2, true },
        { "1x1 deep", 2, 530, 16, 18, 70, 1, 1, PAD0, BF16, 0, false },
        { "1x1 stride 2", 2, 6, 7, 8, 5, 1, 2, PAD0, F32, 0, false },
        { "1x1 padded", 1, 3, 4, 5, 4, 1, 1, PAD1, F32, 0, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) test_case(&cases[i]);
}

/* Checks that the method with fewer multiplications is chosen, at shapes on both sides of each boundary. */
static void test_choice(void) {
    static const struct {
        int64_t batch, in, height, width, kernel, stride;
        ConvMethod want;
    } cases[] = {
        { 1, 16, 4, 8, 3, 1, CONV_WINOGRAD },  { 1, 15, 4, 8, 3, 1, CONV_IM2COL },
        { 1, 16, 8, 4, 3, 1, CONV_WINOGRAD },  { 1, 16, 8, 4, 3, 2, CONV_IM2COL },
        { 2, 16, 4, 4, 3, 1, CONV_WINOGRAD },  { 1, 16, 4, 4, 3, 1, CONV_IM2COL },
        { 1, 16, 3, 13, 3, 1, CONV_WINOGRAD }, { 1, 16, 2, 23, 3, 1, CONV_IM2COL },
        { 12, 16, 2, 5, 3, 1, CONV_WINOGRAD }, { 11, 16, 2, 5, 3, 1, CONV_IM2COL },
        { 1, 16, 5, 7, 3, 1, CONV_IM2COL },    { 1, 16, 7, 5, 3, 1, CONV_IM2COL },
        { 1, 16, 8, 8, 1, 1, CONV_1X1 },       { 1, 16, 8, 8, 1, 2, CONV_IM2COL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Case k = { .batch = cases[i].batch,
                   .in = cases[i].in,
                   .height = cases[i].height,
                   .width = cases[i].width,
                   .out = 20,
                   .kernel = cases[i].kernel,
                   .stride = cases[i].stride };
        if (k.kernel == 3) k.padding = PAD1;
        Conv c = conv_of(&k);
        ConvMethod got = conv_method(&c);
        test_true("conv_method", got == cases[i].want, "%s for [%lld, %lld, %lld, %lld]",
                  conv_method_name(got), (long long)c.batch, (long long)c.in_channels, (long long)c.height,
                  (long long)c.width);
    }
}

/* Runs linear in a graph of its own, since it cannot be called without one. */
static void run_linear(const Layer *layer, Shape xs, float *x, const float *dy, float *y, float *dx,
                       int threads) {
    Graph *g = graph_new();
    Tensor *t = linear(g, graph_leaf(g, "x", xs, x, dx), layer);
    Plan plan = graph_plan(g, t, (PlanOptions) { .train = true, .poison = true });
    Arena arena;
    CHECK(arena_allocate(&arena, plan_bytes(&plan, THREADS_MAX)));
    graph_bind(g, &arena, THREADS_MAX);
    set_threads(threads);
    graph_forward(g);
    memcpy(y, t->data, (size_t)shape_count(t->shape) * sizeof(float));
    graph_backward(g, dy);
    arena_free(&arena);
    graph_free(g);
}

/* Compares the linear op with plain/ti.c and makes the checks of test_method. */
static void test_linear(const char *name, Shape xs, int64_t out, DType dtype, size_t shift, bool no_bias) {
    int64_t in = xs.dim[xs.rank - 1], rows = shape_count(xs) / in;
    Shape ys = xs, ws = xs.rank == 3 ? shape4(out, in, 1, 1) : shape2(out, in);
    ys.dim[ys.rank - 1] = out;
    float *x = random_floats(rows * in, 5, FULL_BITS), *dy = random_floats(rows * out, 6, FULL_BITS),
          *w = random_floats(out * in, 7, WEIGHT_BITS);
    float *b = random_floats(out, 8, WEIGHT_BITS), *y = floats(rows * out), *dx = floats(rows * in);
    float *y2 = floats(rows * out), *dx2 = floats(rows * in), *ax = floats(rows * out);
    double *want_y = doubles(NULL, rows * out), *want_dx = doubles(NULL, rows * in);
    plain_linear(xs, out, x, w, dy, want_y, want_dx);
    for (int64_t i = 0; i < rows * out && !no_bias; i++) want_y[i] += (double)b[i % out];
    Weight weight = weight_of(w, ws, dtype, shift), bias = weight_of(b, shape1(out), dtype, shift);
    Layer layer = { &weight, no_bias ? NULL : &bias };
    run_linear(&layer, xs, x, dy, y, dx, 1);
    char text[LABEL];
    snprintf(text, sizeof text, "linear %s y", name);
    close_to_double(text, y, want_y, ys, 1e-6);
    snprintf(text, sizeof text, "linear %s dx", name);
    close_to_double(text, dx, want_dx, xs, 1e-6);
    snprintf(text, sizeof text, "linear %s adjoint", name);
    for (int64_t i = 0; i < rows * out; i++) ax[i] = y[i] - (no_bias ? 0 : b[i % out]);
    test_adjoint(text, x, dx, rows * in, ax, dy, rows * out);
    for (int threads = 2; threads <= THREADS_MAX; threads += 3) {
        run_linear(&layer, xs, x, dy, y2, dx2, threads);
        snprintf(text, sizeof text, "linear %s", name);
        test_same_bits(text, threads == 2 ? "2 threads" : "5 threads", (Result) { y2, dx2 },
                       (Result) { y, dx }, rows * in, rows * out);
    }
    weight_free(weight, shift);
    weight_free(bias, shift);
    free(x), free(dy), free(w), free(b), free(y), free(dx), free(y2), free(dx2), free(ax);
    free(want_y), free(want_dx);
}

/* Checks that the tiles of a product cover it exactly once, whatever its size. */
static void test_tiles(void) {
    const int64_t sizes[] = { 1, 2, 15, 16, 31, 33, 100, 255, 256, 257, 320, 1000, 4096 };
    const int n = sizeof sizes / sizeof *sizes;
    bool covered = true;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            Tiles t = gemm_tiles(sizes[i], sizes[j], 576);
            int64_t area = 0;
            for (int64_t k = 0; k < t.count; k++) {
                Tile tile = gemm_tile(&t, k);
                covered &= tile.rows > 0 && tile.columns > 0 && tile.rows <= 256 && tile.columns <= 256 &&
                           tile.row + tile.rows <= sizes[i] && tile.column + tile.columns <= sizes[j];
                area += tile.rows * tile.columns;
            }
            covered &= area == sizes[i] * sizes[j];
        }
    Tiles layer = gemm_tiles(320, 4096, 320);
    test_true("gemm_tiles", covered && layer.count >= 16, "%lld tiles for [320, 4096]",
              (long long)layer.count);
}

/* Checks that every tile goes to exactly one thread, also when there are fewer tiles than threads, when there
   are more threads than ranges, and when some tiles take longer. Also checks that a single thread gets all
   tiles. */
static void test_share(void) {
    static const struct {
        int threads;
        int64_t count;
    } cases[] = { { 1, 5 }, { 2, 0 }, { 2, 1 }, { 2, 7 }, { 5, 1000 }, { 7, 3 }, { RANGES_MAX + 6, 300 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int taken[1000] = { 0 };
        int64_t own = 0;
        Share share;
        set_threads(cases[i].threads);
        share_start(&share, cases[i].count);
#pragma omp parallel
        for (int64_t tile; (tile = share_next(&share)) >= 0;) {
#pragma omp atomic
            taken[tile]++;
            for (volatile int k = 0; tile % 3 == 0 && k < 10000;) k++; /* some tiles take longer */
        }
        int64_t once = 0;
        for (int k = 0; k < 1000; k++) once += k < cases[i].count ? taken[k] == 1 : taken[k] == 0;
        share_start(&share, cases[i].count);
        for (int64_t tile; (tile = share_next(&share)) >= 0;) own += tile + 1;
        test_true("share", once == 1000 && own == cases[i].count * (cases[i].count + 1) / 2,
                  "%lld tiles for %d threads, each once", (long long)cases[i].count, cases[i].threads);
    }
}

int openblas_get_num_threads(void);

/* Checks that BLAS uses one thread and that a product without rows or columns writes nothing. */
static void test_blas(void) {
    test_true("blas_start", openblas_get_num_threads() == 1, "%d threads", openblas_get_num_threads());
    const float a[6] = { 1, 2, 3, 4, 5, 6 };
    float c[2] = { 7, 8 };
    gemm(AS_IS, AS_IS, 0, 2, 3, 1, a, 3, a, 2, 0, c, 2);
    gemm(AS_IS, AS_IS, 2, 0, 3, 1, a, 3, a, 1, 0, c, 1);
    test_true("gemm of nothing", c[0] == 7 && c[1] == 8, "C is unchanged");
}

int main(void) {
    blas_start();
    test_blas();
    test_tiles();
    test_share();
    test_choice();
    test_convolutions();
    test_linear("[3, 5] to 7", shape2(3, 5), 7, F32, 0, false);
    test_linear("[2, 9, 40] to 24", shape3(2, 9, 40), 24, F16, 0, true);
    test_linear("[4, 64] to 300", shape2(4, 64), 300, BF16, 1, false);
    test_linear("[7, 1100] to 530", shape2(7, 1100), 530, F16, 0, false);
    test_linear("[600, 70] to 33", shape2(600, 70), 33, F32, 1, false);
    test_linear("one row", shape1(12), 5, F32, 0, false);
    return test_finish();
}
