/* SPDX-License-Identifier: MIT */
/* Compares every op of autograd/ops.h, forward and backward, with the reference (golden/ops.py) and with
   plain/ti.c, and checks each op by itself, also on shapes that are too large for a golden file:

   - adjoint: for an op that is linear in its inputs, up to a constant, <f(x) - f(0), dy> = sum <x, dx>
   - slope: for the other ops, d <f(x), dy> / d direction by finite differences = sum <dx, direction>
   - twice: an op that is used twice on the same inputs has twice the gradient, since backward accumulates
   - bf16: with matrix products in bfloat16, the error is at most that of the reference in bfloat16
   - bits: the results are the same with 1, 2 and 5 threads, and whether released buffers are poisoned, all
     buffers are kept, or each has a malloc of its own */
#include "autograd/ops.h"
#include "tensor/gemm.h"
#include "tensor/rng.h"
#include "tests/golden.h"
#include "tests/plain.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The inputs of an op, its weights and the gradient of its output. */
typedef struct {
    int inputs;
    Shape shape[NODE_INPUTS];
    float *data[NODE_INPUTS];
    bool needs_grad[NODE_INPUTS]; /* whether the gradient of this input is computed */
    Layer layer;
    int32_t *ids;
    float *dy; /* NULL when there is no backward */
} Problem;

/* The bound on the difference of plain/ti.c from the golden results. Both are computed in double precision
   and rounded to fp32, so they may differ by about one rounding. */
#define PLAIN_TOLERANCE 2e-7

/* An op is linear up to a constant (AFFINE), differentiable (SMOOTH) or has no gradient (CONSTANT). The kind
   decides which checks are made. */
typedef enum { AFFINE, SMOOTH, CONSTANT } Kind;

typedef struct Case Case;
typedef struct {
    const Case *c;
    Tensor *x[NODE_INPUTS];
    const Layer *layer;
    const int32_t *ids;
} Args;

struct Case {
    const char *name;
    Tensor *(*build)(Graph *g, const Args *a);
    Kind kind;
    int stride, groups, heads, times;
    int64_t height, width;
    Padding padding;
    bool causal;
    float eps;
    double tolerance; /* against the golden results; 0 stands for 2e-6 */
    double slope;     /* bound of the slope's error; 0 stands for 1e-4 */
    double step;      /* step of the finite differences; 0 stands for 0.02 */
    /* The shapes of the inputs and of the weight of a case that has no golden results; otherwise their rank
       is 0. The bias has the shape [weight.dim[0]]. */
    Shape large[NODE_INPUTS], weight;
};

static Tensor *build_linear(Graph *g, const Args *a) { return linear(g, a->x[0], a->layer); }
static Tensor *build_conv2d(Graph *g, const Args *a) {
    return conv2d(g, a->x[0], a->layer, a->c->stride, a->c->padding);
}
static Tensor *build_group_norm(Graph *g, const Args *a) {
    return group_norm(g, a->x[0], a->layer, a->c->groups, a->c->eps);
}
static Tensor *build_layer_norm(Graph *g, const Args *a) { return layer_norm(g, a->x[0], a->layer, 1e-5f); }
static Tensor *build_silu(Graph *g, const Args *a) { return silu(g, a->x[0]); }
static Tensor *build_gelu(Graph *g, const Args *a) { return gelu(g, a->x[0]); }
static Tensor *build_quick_gelu(Graph *g, const Args *a) { return quick_gelu(g, a->x[0]); }
static Tensor *build_geglu(Graph *g, const Args *a) { return geglu(g, a->x[0]); }
static Tensor *build_attention(Graph *g, const Args *a) {
    return attention(g, a->x[0], a->x[1], a->x[2], a->c->heads, a->c->causal);
}
static Tensor *build_embedding(Graph *g, const Args *a) {
    return embedding(g, a->layer->weight, a->x[0], a->ids, 2, 5);
}
static Tensor *build_add(Graph *g, const Args *a) { return add(g, a->x[0], a->x[1]); }
static Tensor *build_add_twice(Graph *g, const Args *a) { return add(g, a->x[0], a->x[0]); }
static Tensor *build_add_position(Graph *g, const Args *a) {
    return add_position(g, a->x[0], a->layer->weight);
}
static Tensor *build_add_channel(Graph *g, const Args *a) { return add_channel(g, a->x[0], a->x[1]); }
static Tensor *build_concat(Graph *g, const Args *a) { return concat(g, a->x[0], a->x[1]); }
static Tensor *build_repeat(Graph *g, const Args *a) { return repeat(g, a->x[0], a->c->times); }
static Tensor *build_to_tokens(Graph *g, const Args *a) { return to_tokens(g, a->x[0]); }
static Tensor *build_to_image(Graph *g, const Args *a) {
    return to_image(g, a->x[0], a->c->height, a->c->width);
}
static Tensor *build_upsample(Graph *g, const Args *a) {
    return upsample_nearest(g, a->x[0], a->c->height, a->c->width);
}
static Tensor *build_timesteps(Graph *g, const Args *a) {
    return timestep_embedding(g, a->x[0], a->c->width);
}
static Tensor *build_mse_loss(Graph *g, const Args *a) { return mse_loss(g, a->x[0], a->x[1]); }
static Tensor *build_weighted_mse_loss(Graph *g, const Args *a) {
    return weighted_mse_loss(g, a->x[0], a->x[1], a->x[2]);
}

static const Case CASES[] = {
    { "linear", build_linear, .kind = AFFINE },
    { "linear.no_bias", build_linear, .kind = AFFINE },
    { "linear.one_row", build_linear, .kind = AFFINE },
    { "linear.many_rows", build_linear, .kind = AFFINE },
    { "linear.many_columns", build_linear, .kind = AFFINE },
    { "linear.long", build_linear, .kind = AFFINE },
    { "linear.f16", build_linear, .kind = AFFINE },
    { "linear.conv1x1", build_linear, .kind = AFFINE },
    { "linear.large", build_linear, .kind = AFFINE, .large = { { 2, { 600, 1100 } } },
      .weight = { 2, { 700, 1100 } } },
    { "conv2d", build_conv2d, .kind = AFFINE, .stride = 1, .padding = { 1, 1, 1, 1 } },
    { "conv2d.stride2", build_conv2d, .kind = AFFINE, .stride = 2, .padding = { 1, 1, 1, 1 } },
    { "conv2d.pad_end", build_conv2d, .kind = AFFINE, .stride = 2, .padding = { 0, 1, 0, 1 } },
    { "conv2d.asymmetric", build_conv2d, .kind = AFFINE, .stride = 1, .padding = { 2, 0, 1, 3 } },
    { "conv2d.no_padding", build_conv2d, .kind = AFFINE, .stride = 1 },
    { "conv2d.1x1", build_conv2d, .kind = AFFINE, .stride = 1 },
    { "conv2d.1x1.stride2", build_conv2d, .kind = AFFINE, .stride = 2 },
    { "conv2d.no_bias", build_conv2d, .kind = AFFINE, .stride = 1, .padding = { 1, 1, 1, 1 } },
    { "conv2d.one_pixel", build_conv2d, .kind = AFFINE, .stride = 1, .padding = { 1, 1, 1, 1 } },
    { "conv2d.wide", build_conv2d, .kind = AFFINE, .stride = 1, .padding = { 1, 1, 1, 1 },
      .tolerance = 1e-5 },
    { "conv2d.bf16", build_conv2d, .kind = AFFINE, .stride = 1, .padding = { 1, 1, 1, 1 },
      .tolerance = 1e-5 },
    { "conv2d.large", build_conv2d, .kind = AFFINE, .stride = 1, .padding = { 1, 1, 1, 1 },
      .large = { { 4, { 2, 64, 33, 32 } } }, .weight = { 4, { 96, 64, 3, 3 } } },
    { "conv2d.large.stride2", build_conv2d, .kind = AFFINE, .stride = 2, .padding = { 1, 1, 1, 1 },
      .large = { { 4, { 2, 64, 33, 32 } } }, .weight = { 4, { 80, 64, 3, 3 } } },
    { "conv2d.large.1x1", build_conv2d, .kind = AFFINE, .stride = 1, .large = { { 4, { 2, 160, 17, 31 } } },
      .weight = { 4, { 300, 160, 1, 1 } } },
    { "group_norm", build_group_norm, .kind = SMOOTH, .groups = 4, .eps = 1e-5f },
    { "group_norm.one_group", build_group_norm, .kind = SMOOTH, .groups = 1, .eps = 1e-6f },
    { "group_norm.instance", build_group_norm, .kind = SMOOTH, .groups = 6, .eps = 1e-5f },
    { "group_norm.mean_100", build_group_norm, .kind = SMOOTH, .groups = 2, .eps = 1e-6f, .tolerance = 1e-5 },
    { "group_norm.tokens_f16", build_group_norm, .kind = SMOOTH, .groups = 5, .eps = 1e-6f },
    { "group_norm.large", build_group_norm, .kind = SMOOTH, .groups = 8, .eps = 1e-6f,
      .large = { { 4, { 2, 64, 33, 31 } } }, .weight = { 1, { 64 } } },
    { "layer_norm", build_layer_norm, .kind = SMOOTH },
    { "layer_norm.bf16", build_layer_norm, .kind = SMOOTH },
    { "layer_norm.mean_100", build_layer_norm, .kind = SMOOTH, .tolerance = 1e-5 },
    { "layer_norm.large", build_layer_norm, .kind = SMOOTH, .large = { { 2, { 333, 777 } } },
      .weight = { 1, { 777 } } },
    { "silu", build_silu, .kind = SMOOTH },
    { "silu.range", build_silu, .kind = SMOOTH },
    { "silu.large", build_silu, .kind = SMOOTH, .large = { { 1, { 100003 } } } },
    { "gelu", build_gelu, .kind = SMOOTH },
    { "gelu.range", build_gelu, .kind = SMOOTH },
    { "gelu.large", build_gelu, .kind = SMOOTH, .large = { { 1, { 100003 } } } },
    { "quick_gelu", build_quick_gelu, .kind = SMOOTH },
    { "quick_gelu.range", build_quick_gelu, .kind = SMOOTH },
    { "quick_gelu.large", build_quick_gelu, .kind = SMOOTH, .large = { { 1, { 100003 } } } },
    { "geglu", build_geglu, .kind = SMOOTH },
    { "geglu.large", build_geglu, .kind = SMOOTH, .large = { { 3, { 2, 77, 650 } } } },
    { "attention.head40", build_attention, .kind = SMOOTH, .step = 0.004, .heads = 2 },
    { "attention.head64.causal", build_attention, .kind = SMOOTH, .step = 0.004, .heads = 2, .causal = true },
    { "attention.head80", build_attention, .kind = SMOOTH, .step = 0.004, .heads = 2 },
    { "attention.head160", build_attention, .kind = SMOOTH, .step = 0.004, .heads = 1 },
    { "attention.blocks", build_attention, .kind = SMOOTH, .step = 0.004, .heads = 1 },
    { "attention.causal_blocks", build_attention, .kind = SMOOTH, .step = 0.004, .heads = 3, .causal = true },
    { "attention.sharp", build_attention, .kind = SMOOTH, .step = 3e-4, .heads = 2, .slope = 5e-4 },
    { "attention.one_key", build_attention, .kind = SMOOTH, .step = 0.004, .heads = 2 },
    { "attention.frozen_q", build_attention, .kind = SMOOTH, .step = 0.004, .heads = 4 },
    { "attention.frozen_kv", build_attention, .kind = SMOOTH, .step = 0.004, .heads = 4 },
    { "attention.large", build_attention, .kind = SMOOTH, .step = 0.004, .heads = 2,
      .large = { { 3, { 1, 1100, 80 } }, { 3, { 1, 1100, 80 } }, { 3, { 1, 1100, 80 } } } },
    { "embedding", build_embedding, .kind = AFFINE },
    { "add", build_add, .kind = AFFINE },
    { "add.frozen", build_add, .kind = AFFINE },
    { "add.twice", build_add_twice, .kind = AFFINE },
    { "add.large", build_add, .kind = AFFINE, .large = { { 1, { 100003 } }, { 1, { 100003 } } } },
    { "add_position", build_add_position, .kind = AFFINE },
    { "add_channel", build_add_channel, .kind = AFFINE },
    { "add_channel.frozen", build_add_channel, .kind = AFFINE },
    { "add_channel.large", build_add_channel, .kind = AFFINE,
      .large = { { 4, { 2, 20, 31, 33 } }, { 2, { 2, 20 } } } },
    { "concat", build_concat, .kind = AFFINE },
    { "concat.frozen", build_concat, .kind = AFFINE },
    { "concat.large", build_concat, .kind = AFFINE,
      .large = { { 4, { 2, 20, 31, 33 } }, { 4, { 2, 9, 31, 33 } } } },
    { "repeat", build_repeat, .kind = AFFINE, .times = 3 },
    { "repeat.large", build_repeat, .kind = AFFINE, .times = 2, .large = { { 4, { 2, 50, 31, 33 } } } },
    { "to_tokens", build_to_tokens, .kind = AFFINE },
    { "to_tokens.large", build_to_tokens, .kind = AFFINE, .large = { { 4, { 2, 50, 31, 33 } } } },
    { "to_image", build_to_image, .kind = AFFINE, .height = 5, .width = 7 },
    { "to_image.large", build_to_image, .kind = AFFINE, .height = 31, .width = 33,
      .large = { { 3, { 2, 1023, 50 } } } },
    { "upsample_nearest", build_upsample, .kind = AFFINE, .height = 10, .width = 14 },
    { "upsample_nearest.odd", build_upsample, .kind = AFFINE, .height = 9, .width = 17 },
    { "upsample_nearest.rounding", build_upsample, .kind = AFFINE, .height = 82, .width = 2 },
    { "upsample_nearest.large", build_upsample, .kind = AFFINE, .height = 62, .width = 66,
      .large = { { 4, { 2, 9, 31, 33 } } } },
    { "timestep_embedding", build_timesteps, .kind = CONSTANT, .width = 320 },
    { "timestep_embedding.narrow", build_timesteps, .kind = CONSTANT, .width = 64 },
    { "mse_loss", build_mse_loss, .kind = SMOOTH },
    { "weighted_mse_loss", build_weighted_mse_loss, .kind = SMOOTH },
};

/* Problems from the golden file, and random ones with large shapes */

static void from_golden(const Golden *file, const Case *c, Problem *p) {
    *p = (Problem) { 0 };
    for (int k = 0; k < NODE_INPUTS && golden_has(file, "%s.in%d", c->name, k); k++) {
        p->inputs++;
        p->data[k] = golden_floats(file, "%s.in%d", c->name, k);
        p->shape[k] = golden_shape(file, "%s.in%d", c->name, k);
        p->needs_grad[k] = golden_has(file, "%s.dx%d", c->name, k);
    }
    CHECK(p->inputs > 0);
    if (golden_has(file, "%s.weight", c->name)) p->layer.weight = golden_weight(file, "%s.weight", c->name);
    if (golden_has(file, "%s.bias", c->name)) p->layer.bias = golden_weight(file, "%s.bias", c->name);
    if (golden_has(file, "%s.ids", c->name)) p->ids = golden_ints(file, NULL, "%s.ids", c->name);
    if (golden_has(file, "%s.dy", c->name)) p->dy = golden_floats(file, "%s.dy", c->name);
}

static float *random_floats(Generator *random, int64_t count, double scale) {
    float *x = mem_alloc((size_t)count * sizeof *x);
    generator_randn(random, x, count);
    for (int64_t i = 0; i < count; i++) x[i] *= (float)scale;
    return x;
}

/* The weights point into memory[0] and memory[1], which the caller frees. The op is built once to find out
   the shape of its output, which is also that of dy. */
static void from_random(Generator *random, const Case *c, Problem *p, Weight weights[2], float *memory[2]) {
    *p = (Problem) { 0 };
    for (; p->inputs < NODE_INPUTS && c->large[p->inputs].rank; p->inputs++) {
        p->shape[p->inputs] = c->large[p->inputs];
        p->data[p->inputs] = random_floats(random, shape_count(c->large[p->inputs]), 1);
        p->needs_grad[p->inputs] = true;
    }
    if (c->weight.rank) {
        Shape rows = shape1(c->weight.dim[0]);
        int64_t count = shape_count(c->weight);
        memory[0] = random_floats(random, count, sqrt((double)rows.dim[0] / (double)count));
        memory[1] = random_floats(random, rows.dim[0], 1);
        weights[0] = (Weight) { "weight", F32, c->weight, memory[0] };
        weights[1] = (Weight) { "bias", F32, rows, memory[1] };
        p->layer = (Layer) { &weights[0], &weights[1] };
    }
    Graph *g = graph_new();
    Args a = { .c = c, .layer = &p->layer };
    for (int k = 0; k < p->inputs; k++) a.x[k] = graph_leaf(g, "x", p->shape[k], p->data[k], NULL);
    p->dy = random_floats(random, shape_count(c->build(g, &a)->shape), 1);
    graph_free(g);
}

/* Running an op */

typedef struct {
    Shape shape;
    float *y, *dx[NODE_INPUTS];
} Result;

static void result_free(Result *r) {
    free(r->y);
    for (int k = 0; k < NODE_INPUTS; k++) free(r->dx[k]);
}

typedef struct {
    int threads;
    bool backward;
    bool twice; /* y = f(x) + f(x), with two nodes for f */
    PlanOptions plan;
} RunOptions;

/* An op that copies its input. It makes the inputs of the tested op outputs of nodes, as they are in a model,
   so that the planner releases those that the op does not declare in `reads`. */
static void copy_forward(const Node *n) {
    memcpy(n->out->data, n->in[0]->data, (size_t)shape_count(n->out->shape) * sizeof(float));
}
static void copy_backward(const Node *n) {
    for (int64_t i = 0; i < shape_count(n->out->shape); i++) n->in[0]->grad[i] += n->out->grad[i];
}
static const Op COPY = { .name = "copy", .forward = copy_forward, .backward = copy_backward };

static Result run(const Case *c, const Problem *p, RunOptions options) {
    Graph *g = graph_new();
    Args a = { .c = c, .layer = &p->layer, .ids = p->ids };
    Result r = { 0 };
    for (int k = 0; k < p->inputs; k++) {
        if (p->needs_grad[k] && p->dy) r.dx[k] = mem_alloc((size_t)shape_count(p->shape[k]) * sizeof(float));
        Tensor *leaf = graph_leaf(g, "x", p->shape[k], p->data[k], r.dx[k]);
        a.x[k] = graph_node(g, &COPY, (Node) { .in = { leaf } }, leaf->shape);
    }
    Tensor *y = c->build(g, &a);
    if (options.twice) y = add(g, y, c->build(g, &a));
    options.plan.train = options.backward;
    Plan plan = graph_plan(g, y, options.plan);
    Arena arena = { 0 };
    CHECK(arena_allocate(&arena, plan_bytes(&plan, options.threads)));
    /* With NaN everywhere, reading memory that was not written shows in the result. */
    for (int64_t i = 0; i < arena.bytes / 4; i++) arena.memory[i] = NAN;
    graph_bind(g, &arena, options.threads);
    omp_set_num_threads(options.threads);
    graph_forward(g);
    size_t bytes = (size_t)shape_count(y->shape) * sizeof(float);
    r.shape = y->shape;
    r.y = memcpy(mem_alloc(bytes), y->data, bytes);
    if (options.backward) graph_backward(g, p->dy);
    graph_free(g);
    arena_free(&arena);
    return r;
}

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Returns the sum of <x, dx> over the inputs with a gradient. */
static double dot_inputs(const Problem *p, float *const x[], float *const dx[]) {
    double sum = 0;
    for (int k = 0; k < p->inputs; k++)
        if (p->needs_grad[k]) sum += dot(x[k], dx[k], shape_count(p->shape[k]));
    return sum;
}

/* Runs f forward at x + factor * direction; inputs without a gradient are not moved. */
static Result run_moved(const Case *c, const Problem *p, double factor, float *const direction[]) {
    Problem moved = *p;
    for (int k = 0; k < p->inputs; k++) {
        int64_t n = shape_count(p->shape[k]);
        moved.data[k] = mem_alloc((size_t)n * sizeof(float));
        for (int64_t i = 0; i < n; i++) {
            double step = p->needs_grad[k] ? factor * (double)direction[k][i] : 0;
            moved.data[k][i] = (float)((double)p->data[k][i] + step);
        }
    }
    Result r = run(c, &moved, (RunOptions) { .threads = 2 });
    for (int k = 0; k < p->inputs; k++) free(moved.data[k]);
    return r;
}

/* The checks */

static const char *label(const Case *c, const char *what) {
    static char text[100];
    snprintf(text, sizeof text, "%s.%s", c->name, what);
    return text;
}

static void check_adjoint(const Case *c, const Problem *p, const Result *r) {
    Result zero = run_moved(c, p, -1, p->data);
    int64_t n = shape_count(r->shape);
    double left = dot(r->y, p->dy, n) - dot(zero.y, p->dy, n);
    double right = dot_inputs(p, p->data, (float *const *)r->dx);
    double scale = sqrt(dot(r->y, r->y, n) * dot(p->dy, p->dy, n));
    test_below(label(c, "adjoint"), fabs(left - right) / scale, 1e-6);
    result_free(&zero);
}

/* The direction is the gradient, so that the slope is not small by chance, plus random numbers, which show an
   error that is orthogonal to it. The finite differences are central and of fourth order, so that the step
   can be large compared with fp32's rounding. */
static void check_slope(const Case *c, const Problem *p, const Result *r, Generator *random) {
    float *direction[NODE_INPUTS] = { NULL };
    for (int k = 0; k < p->inputs; k++) {
        if (!p->needs_grad[k]) continue;
        int64_t n = shape_count(p->shape[k]);
        double size = sqrt(dot(r->dx[k], r->dx[k], n) / (double)n);
        direction[k] = random_floats(random, n, 1);
        for (int64_t i = 0; i < n && size > 0; i++) direction[k][i] += (float)((double)r->dx[k][i] / size);
    }
    const double h = c->step > 0 ? c->step : 0.02, at[4] = { -2 * h, -h, h, 2 * h },
                 weight[4] = { 1, -8, 8, -1 };
    double slope = 0;
    for (int i = 0; i < 4; i++) {
        Result moved = run_moved(c, p, at[i], direction);
        slope += weight[i] * dot(moved.y, p->dy, shape_count(r->shape)) / (12 * h);
        result_free(&moved);
    }
    double want = dot_inputs(p, direction, (float *const *)r->dx);
    double scale = sqrt(dot_inputs(p, direction, direction) *
                        dot_inputs(p, (float *const *)r->dx, (float *const *)r->dx));
    test_below(label(c, "slope"), fabs(slope - want) / scale, c->slope > 0 ? c->slope : 1e-4);
    for (int k = 0; k < p->inputs; k++) free(direction[k]);
}

static void check_twice(const Case *c, const Problem *p, const Result *r) {
    Result twice = run(c, p, (RunOptions) { .threads = 2, .backward = true, .twice = true });
    for (int k = 0; k < p->inputs; k++) {
        if (!p->needs_grad[k]) continue;
        int64_t n = shape_count(p->shape[k]);
        for (int64_t i = 0; i < n; i++) twice.dx[k][i] *= 0.5f;
        test_close(label(c, "twice"), twice.dx[k], r->dx[k], p->shape[k], 3e-6, -1);
    }
    result_free(&twice);
}

static bool same(const Problem *p, const Result *a, const Result *b) {
    bool equal = !memcmp(a->y, b->y, (size_t)shape_count(a->shape) * sizeof(float));
    for (int k = 0; k < p->inputs; k++)
        if (a->dx[k]) equal &= !memcmp(a->dx[k], b->dx[k], (size_t)shape_count(p->shape[k]) * sizeof(float));
    return equal;
}

static void check_bits(const Case *c, const Problem *p, Precision precision, const Result *r) {
    const RunOptions variants[] = { { .threads = 2, .plan = { .keep_all = true } },
                                    { .threads = 5, .plan = { .separate = true } },
                                    { .threads = 1, .plan = { .keep_all = true, .separate = true } } };
    bool equal = true;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        RunOptions options = variants[i];
        options.backward = p->dy != NULL;
        options.plan.precision = precision;
        Result other = run(c, p, options);
        equal &= same(p, r, &other);
        result_free(&other);
    }
    test_true(label(c, "bits"), equal, equal ? "the same with 1, 2 and 5 threads" : "differ");
}

static const char *const GRADIENTS[] = { "dx0", "dx1", "dx2" };

static void check_golden(const Golden *file, const Case *c, const Problem *p, Precision precision,
                         const Result *r) {
    double tolerance = c->tolerance > 0 ? c->tolerance : 2e-6;
    golden_close_at(file, precision, label(c, "y"), r->y, r->shape, tolerance);
    for (int k = 0; k < p->inputs; k++)
        if (p->needs_grad[k])
            golden_close_at(file, precision, label(c, GRADIENTS[k]), r->dx[k], p->shape[k], tolerance);
}

/* Compares a result with that in fp32, from which it differs by the rounding of the factors to 8 bits. */
static void compare_bf16(const Case *c, const char *what, const float *got, const float *fp32, Shape shape) {
    char name[100];
    snprintf(name, sizeof name, "%s.%s, bf16", c->name, what);
    test_close(name, got, fp32, shape, 0.02, -1);
}

/* The ops that contain matrix products, with these in bfloat16. `file` is NULL when the case has no golden
   results. */
static void check_bf16(const Golden *file, const Case *c, const Problem *p, const Result *fp32) {
    if (c->build != build_linear && c->build != build_conv2d && c->build != build_attention) return;
    Result r = run(c, p,
                   (RunOptions) { .threads = 1,
                                  .backward = p->dy != NULL,
                                  .plan = { .poison = true, .precision = PRECISION_BF16 } });
    if (file) check_golden(file, c, p, PRECISION_BF16, &r);
    compare_bf16(c, "y", r.y, fp32->y, r.shape);
    for (int k = 0; k < p->inputs; k++)
        if (p->needs_grad[k]) compare_bf16(c, GRADIENTS[k], r.dx[k], fp32->dx[k], p->shape[k]);
    check_bits(c, p, PRECISION_BF16, &r);
    result_free(&r);
}

/* Compares a result with that of plain/ti.c. If the case has a golden result, compares plain/ti.c with it,
   too. */
static void compare_plain(const Golden *file, const Case *c, const char *what, const float *got,
                          const float *plain, Shape shape) {
    char name[100];
    snprintf(name, sizeof name, "%s.%s, plain", c->name, what);
    test_close(name, got, plain, shape, c->tolerance > 0 ? c->tolerance : 2e-6, -1);
    if (!file) return;
    float *golden = golden_floats(file, "%s", label(c, what));
    snprintf(name, sizeof name, "plain %s.%s", c->name, what);
    test_close(name, plain, golden, shape, PLAIN_TOLERANCE, -1);
    free(golden);
}

/* Compares the op with that of plain/ti.c, if it has one. `file` is NULL when the case has no golden
   results. */
static void check_plain(const Golden *file, const Case *c, const Problem *p, const Result *r) {
    Graph *g = graph_new();
    Args a = { .c = c, .layer = &p->layer, .ids = p->ids };
    for (int k = 0; k < p->inputs; k++) a.x[k] = graph_leaf(g, "x", p->shape[k], p->data[k], NULL);
    c->build(g, &a);
    PlainResult plain;
    if (plain_node(graph_get(g, 0), p->dy, &plain)) {
        compare_plain(file, c, "y", r->y, plain.y, r->shape);
        for (int k = 0; k < p->inputs; k++)
            if (p->needs_grad[k] && plain.dx[k])
                compare_plain(file, c, GRADIENTS[k], r->dx[k], plain.dx[k], p->shape[k]);
    }
    plain_result_free(&plain);
    graph_free(g);
}

int main(int argc, char **argv) {
    blas_start();
    omp_set_dynamic(0);
    Golden *file = golden_open(argc > 1 ? argv[1] : "golden/ops.safetensors");
    Generator random;
    generator_seed(&random, 3);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const Case *c = &CASES[i];
        Problem p;
        Weight weights[2];
        float *memory[2] = { NULL, NULL };
        if (c->large[0].rank)
            from_random(&random, c, &p, weights, memory);
        else
            from_golden(file, c, &p);
        Result r =
            run(c, &p, (RunOptions) { .threads = 1, .backward = p.dy != NULL, .plan = { .poison = true } });
        if (!c->large[0].rank) check_golden(file, c, &p, PRECISION_F32, &r);
        check_bf16(c->large[0].rank ? NULL : file, c, &p, &r);
        if (c->kind == AFFINE) check_adjoint(c, &p, &r);
        if (c->kind == SMOOTH) check_slope(c, &p, &r, &random);
        if (c->kind != CONSTANT) check_twice(c, &p, &r);
        check_bits(c, &p, PRECISION_F32, &r);
        check_plain(c->large[0].rank ? NULL : file, c, &p, &r);
        result_free(&r);
        for (int k = 0; k < p.inputs; k++) free(p.data[k]);
        free(p.dy);
        free(p.ids);
        free(memory[0]);
        free(memory[1]);
    }
    golden_free(file);
    return test_finish();
}
