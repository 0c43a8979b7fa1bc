/* SPDX-License-Identifier: MIT */
/* Ops that look up, add or move elements: the token embedding, sums, concatenation, repetition, upsampling
   and changes of layout. The timestep embedding is here, too. */
#include "autograd/ops.h"

#include "tensor/transpose.h"
#include "tensor/vmath.h"

#include <string.h>

/* A loop shorter than PARALLEL_FROM takes less time than waking the other threads. */
enum { PARALLEL_FROM = 16384, PIECE = 4096 };

static void copy_to(float *restrict to, const float *restrict from, int64_t count) {
#pragma omp parallel for simd schedule(static) if (count >= PARALLEL_FROM)
    for (int64_t i = 0; i < count; i++) to[i] = from[i];
}

/* Does what write_gradient does, using all threads. */
static void write_gradient_parallel(const Node *n, int i, int64_t at, const float *dy, int64_t count) {
#pragma omp parallel for schedule(static) if (count >= PARALLEL_FROM)
    for (int64_t k = 0; k < count; k += PIECE)
        write_gradient(n, i, at + k, dy + k, min_i64(PIECE, count - k));
}

/* ---- embedding: y[t] = table[ids[t]] if ids[t] < V, else learned[ids[t] - V]

                   dlearned[ids[t] - V] += dy[t] ---- */

static void embedding_forward(const Node *n) {
    int64_t vocabulary = n->table->shape.dim[0], d = n->table->shape.dim[1];
    int64_t vectors = n->in[0] ? n->in[0]->shape.dim[0] : 0, count = shape_count(n->out->shape) / d;
    for (int64_t t = 0; t < count; t++) {
        int64_t id = n->ids[t];
        float *y = n->out->data + t * d;
        CHECK(id >= 0 && id < vocabulary + vectors);
        const float *row = id < vocabulary ? weight_panel(n->table, id, 1, 0, d, y).data
                                           : n->in[0]->data + (id - vocabulary) * d;
        if (row != y) memcpy(y, row, (size_t)d * sizeof(float));
    }
}

/* One thread processes the tokens in order, so that the sum for a vector that occurs several times always
   has the same bits. */
static void embedding_backward(const Node *n) {
    int64_t vocabulary = n->table->shape.dim[0], d = n->table->shape.dim[1];
    int64_t count = shape_count(n->out->shape) / d;
    for (int64_t t = 0; t < count; t++)
        if (n->ids[t] >= vocabulary)
            write_gradient(n, 0, (n->ids[t] - vocabulary) * d, n->out->grad + t * d, d);
}

static const Op EMBEDDING = { .name = "embedding",
                              .forward = embedding_forward,
                              .backward = embedding_backward };

Tensor *embedding(Graph *g, const Weight *table, Tensor *learned, const int32_t *ids, int64_t batch,
                  int64_t tokens) {
    CHECK(table->shape.rank == 2);
    int64_t d = table->shape.dim[1];
    CHECK(!learned || (learned->shape.rank == 2 && learned->shape.dim[1] == d));
    return graph_node(g, &EMBEDDING, (Node) { .in = { learned }, .table = table, .ids = ids },
                      shape3(batch, tokens, d));
}

/* ---- add: y = a + b              da += dy, db += dy ---- */

static void add_forward(const Node *n) {
    const float *a = n->in[0]->data, *b = n->in[1]->data;
    float *y = n->out->data;
    int64_t count = shape_count(n->out->shape);
#pragma omp parallel for simd schedule(static) if (count >= PARALLEL_FROM)
    for (int64_t i = 0; i < count; i++) y[i] = a[i] + b[i];
}

static void add_backward(const Node *n) {
    for (int k = 0; k < 2; k++)
        if (n->in[k]->needs_grad) write_gradient_parallel(n, k, 0, n->out->grad, shape_count(n->out->shape));
}

static const Op ADD = {
    .name = "add", .forward = add_forward, .backward = add_backward, .can_overwrite = IN0 | IN1
};

Tensor *add(Graph *g, Tensor *a, Tensor *b) {
    CHECK(shape_equal(a->shape, b->shape));
    return graph_node(g, &ADD, (Node) { .in = { a, b } }, a->shape);
}

/* ---- add_position: y[b, s] = x[b, s] + position[s]              dx += dy ---- */

static void add_position_forward(const Node *n) {
    Shape s = n->out->shape; /* [B, S, D] */
    int64_t d = s.dim[2];
#pragma omp parallel for schedule(static) if (shape_count(s) >= PARALLEL_FROM)
    for (int64_t t = 0; t < s.dim[1]; t++) {
        const float *position = weight_panel(n->table, t, 1, 0, d, node_workspace(n)).data;
        for (int64_t b = 0; b < s.dim[0]; b++) {
            const float *x = n->in[0]->data + (b * s.dim[1] + t) * d;
            float *y = n->out->data + (b * s.dim[1] + t) * d;
#pragma omp simd
            for (int64_t i = 0; i < d; i++) y[i] = x[i] + position[i];
        }
    }
}

static void add_position_backward(const Node *n) {
    write_gradient_parallel(n, 0, 0, n->out->grad, shape_count(n->out->shape));
}

static size_t add_position_workspace(const Node *n) { return (size_t)n->out->shape.dim[2]; }

static const Op ADD_POSITION = { .name = "add_position",
                                 .forward = add_position_forward,
                                 .backward = add_position_backward,
                                 .can_overwrite = IN0,
                                 .workspace = add_position_workspace };

Tensor *add_position(Graph *g, Tensor *x, const Weight *position) {
    CHECK(x->shape.rank == 3 && position->shape.rank == 2);
    CHECK_EQ(x->shape.dim[2], position->shape.dim[1]);
    CHECK(x->shape.dim[1] <= position->shape.dim[0]);
    return graph_node(g, &ADD_POSITION, (Node) { .in = { x }, .table = position }, x->shape);
}

/* ---- add_channel: y[b, c, p] = x[b, c, p] + t[b, c]        dx += dy, dt[b, c] += sum_p dy[b, c, p] ---- */

static void add_channel_forward(const Node *n) {
    int64_t planes = shape_count(n->in[1]->shape), size = shape_count(n->out->shape) / planes;
#pragma omp parallel for schedule(static) if (planes * size >= PARALLEL_FROM)
    for (int64_t k = 0; k < planes; k++) {
        const float *x = n->in[0]->data + k * size;
        float *y = n->out->data + k * size, t = n->in[1]->data[k];
#pragma omp simd
        for (int64_t p = 0; p < size; p++) y[p] = x[p] + t;
    }
}

static void add_channel_backward(const Node *n) {
    int64_t planes = shape_count(n->in[1]->shape), size = shape_count(n->out->shape) / planes;
    if (n->in[0]->needs_grad) write_gradient_parallel(n, 0, 0, n->out->grad, planes * size);
    if (!n->in[1]->needs_grad) return;
#pragma omp parallel for schedule(static) if (planes * size >= PARALLEL_FROM)
    for (int64_t k = 0; k < planes; k++) n->in[1]->grad[k] += (float)vsum(n->out->grad + k * size, size);
}

static const Op ADD_CHANNEL = { .name = "add_channel",
                                .forward = add_channel_forward,
                                .backward = add_channel_backward,
                                .can_overwrite = IN0 };

Tensor *add_channel(Graph *g, Tensor *x, Tensor *t) {
    CHECK(x->shape.rank == 4 && shape_equal(t->shape, shape2(x->shape.dim[0], x->shape.dim[1])));
    return graph_node(g, &ADD_CHANNEL, (Node) { .in = { x, t } }, x->shape);
}

/* ---- concat: y[b] = (a[b], b[b]) along the channels              da[b], db[b] += the parts of dy[b] ---- */

static void concat_forward(const Node *n) {
    int64_t batch = n->out->shape.dim[0], width = shape_count(n->out->shape) / batch, at = 0;
    for (int k = 0; k < 2; k++) {
        int64_t part = shape_count(n->in[k]->shape) / batch;
        for (int64_t b = 0; b < batch; b++)
            copy_to(n->out->data + b * width + at, n->in[k]->data + b * part, part);
        at += part;
    }
}

static void concat_backward(const Node *n) {
    int64_t batch = n->out->shape.dim[0], width = shape_count(n->out->shape) / batch, at = 0;
    for (int k = 0; k < 2; k++) {
        int64_t part = shape_count(n->in[k]->shape) / batch;
        for (int64_t b = 0; n->in[k]->needs_grad && b < batch; b++)
            write_gradient_parallel(n, k, b * part, n->out->grad + b * width + at, part);
        at += part;
    }
}

static const Op CONCAT = {
    .name = "concat", .forward = concat_forward, .backward = concat_backward, .can_overwrite = IN0 | IN1
};

Tensor *concat(Graph *g, Tensor *a, Tensor *b) {
    Shape out = a->shape, rest = b->shape;
    CHECK(out.rank == 4 && rest.rank == 4);
    out.dim[1] = rest.dim[1] = a->shape.dim[1] + b->shape.dim[1];
    CHECK(shape_equal(out, rest));
    return graph_node(g, &CONCAT, (Node) { .in = { a, b } }, out);
}

/* ---- repeat: y[k B + b] = x[b]                  dx[b] += sum_k dy[k B + b] ---- */

static void repeat_forward(const Node *n) {
    int64_t count = shape_count(n->in[0]->shape), times = shape_count(n->out->shape) / count;
    for (int64_t k = 0; k < times; k++) copy_to(n->out->data + k * count, n->in[0]->data, count);
}

static void repeat_backward(const Node *n) {
    int64_t count = shape_count(n->in[0]->shape), times = shape_count(n->out->shape) / count;
#pragma omp parallel for schedule(static) if (count >= PARALLEL_FROM)
    for (int64_t at = 0; at < count; at += PIECE) {
        float sum[PIECE] = { 0 };
        int64_t size = min_i64(PIECE, count - at);
        for (int64_t k = 0; k < times; k++)
#pragma omp simd
            for (int64_t i = 0; i < size; i++) sum[i] += n->out->grad[k * count + at + i];
        write_gradient(n, 0, at, sum, size);
    }
}

static const Op REPEAT = {
    .name = "repeat", .forward = repeat_forward, .backward = repeat_backward, .can_overwrite = IN0
};

Tensor *repeat(Graph *g, Tensor *x, int64_t times) {
    Shape out = x->shape;
    CHECK(out.rank >= 1 && times >= 1);
    out.dim[0] *= times;
    return graph_node(g, &REPEAT, (Node) { .in = { x } }, out);
}

/* ---- upsample_nearest: y[.., i, j] = x[.., source(i), source(j)]

                          dx[.., source(i), source(j)] += dy[.., i, j] ---- */

/* floor(i from / to) as torch computes it, with from / to rounded to fp32. For some sizes, such as from = 2
   and to = 82, exact arithmetic would give another row. */
static inline int64_t source_index(int64_t i, int64_t from, int64_t to) {
    float ratio = (float)from / (float)to;
    return min_i64((int64_t)((float)i * ratio), from - 1);
}

/* Doubling, the usual case, has its own loop, which the compiler vectorises. */
static void upsample_row(const float *x, int64_t w, float *y, int64_t width) {
    if (width == 2 * w)
        for (int64_t j = 0; j < w; j++) y[2 * j] = y[2 * j + 1] = x[j];
    else
        for (int64_t j = 0; j < width; j++) y[j] = x[source_index(j, w, width)];
}

static void upsample_row_backward(const float *dy, int64_t width, float *dx, int64_t w) {
    if (width == 2 * w)
        for (int64_t j = 0; j < w; j++) dx[j] += dy[2 * j] + dy[2 * j + 1];
    else
        for (int64_t j = 0; j < width; j++) dx[source_index(j, w, width)] += dy[j];
}

static void upsample_forward(const Node *n) {
    Shape in = n->in[0]->shape, out = n->out->shape;
    int64_t h = in.dim[2], w = in.dim[3], height = out.dim[2], width = out.dim[3];
#pragma omp parallel for schedule(static) if (shape_count(out) >= PARALLEL_FROM)
    for (int64_t plane = 0; plane < out.dim[0] * out.dim[1]; plane++)
        for (int64_t i = 0; i < height; i++)
            upsample_row(n->in[0]->data + (plane * h + source_index(i, h, height)) * w, w,
                         n->out->data + (plane * height + i) * width, width);
}

static void upsample_backward(const Node *n) {
    Shape in = n->in[0]->shape, out = n->out->shape;
    int64_t h = in.dim[2], w = in.dim[3], height = out.dim[2], width = out.dim[3];
#pragma omp parallel for schedule(static) if (shape_count(out) >= PARALLEL_FROM)
    for (int64_t plane = 0; plane < out.dim[0] * out.dim[1]; plane++)
        for (int64_t i = 0; i < height; i++)
            upsample_row_backward(n->out->grad + (plane * height + i) * width, width,
                                  n->in[0]->grad + (plane * h + source_index(i, h, height)) * w, w);
}

static const Op UPSAMPLE = { .name = "upsample_nearest",
                             .forward = upsample_forward,
                             .backward = upsample_backward };

Tensor *upsample_nearest(Graph *g, Tensor *x, int64_t height, int64_t width) {
    Shape in = x->shape;
    CHECK(in.rank == 4 && height >= in.dim[2] && width >= in.dim[3]);
    CHECK(height < 1 << 24 && width < 1 << 24); /* source_index() converts indices to float exactly */
    return graph_node(g, &UPSAMPLE, (Node) { .in = { x } }, shape4(in.dim[0], in.dim[1], height, width));
}

/* ---- to_tokens: the transposition [B, C, N] -> [B, N, C]. to_image is its inverse, and the backward pass of
   each is the forward pass of the other. ---- */

/* Transposes from [rows, columns] for each image of the batch, and writes the result to `to`
   [columns, rows], or adds it there if `add` is true. It moves a square at a time, so that reads and writes
   both use whole cache lines. */
static void transpose_batch(const float *from, float *to, int64_t batch, int64_t rows, int64_t columns,
                            bool add) {
    enum { SIDE = TRANSPOSE_SIDE };
    int64_t strips = ceil_div(rows, SIDE);
#pragma omp parallel for schedule(static) if (batch * rows * columns >= PARALLEL_FROM)
    for (int64_t strip = 0; strip < batch * strips; strip++) {
        int64_t first = strip % strips * SIDE, down = min_i64(SIDE, rows - first);
        const float *x = from + (strip / strips * rows + first) * columns;
        float *y = to + strip / strips * rows * columns + first;
        if (!add) transpose(x, columns, down, columns, y, rows);
        for (int64_t left = 0; left < columns && add; left += SIDE) {
            float square[SIDE * SIDE];
            int64_t across = min_i64(SIDE, columns - left);
            transpose(x + left, columns, down, across, square, SIDE);
            for (int64_t j = 0; j < across; j++)
                for (int64_t i = 0; i < down; i++) y[(left + j) * rows + i] += square[j * SIDE + i];
        }
    }
}

/* In these four functions, s is the shape of the tokens, [B, N, C]. */
static void to_tokens_forward(const Node *n) {
    Shape s = n->out->shape;
    transpose_batch(n->in[0]->data, n->out->data, s.dim[0], s.dim[2], s.dim[1], false);
}
static void to_tokens_backward(const Node *n) {
    Shape s = n->out->shape;
    transpose_batch(n->out->grad, n->in[0]->grad, s.dim[0], s.dim[1], s.dim[2], !overwrites_gradient(n, 0));
}
static void to_image_forward(const Node *n) {
    Shape s = n->in[0]->shape;
    transpose_batch(n->in[0]->data, n->out->data, s.dim[0], s.dim[1], s.dim[2], false);
}
static void to_image_backward(const Node *n) {
    Shape s = n->in[0]->shape;
    transpose_batch(n->out->grad, n->in[0]->grad, s.dim[0], s.dim[2], s.dim[1], !overwrites_gradient(n, 0));
}

static const Op TO_TOKENS = {
    .name = "to_tokens", .forward = to_tokens_forward, .backward = to_tokens_backward, .can_overwrite = IN0
};
static const Op TO_IMAGE = {
    .name = "to_image", .forward = to_image_forward, .backward = to_image_backward, .can_overwrite = IN0
};

Tensor *to_tokens(Graph *g, Tensor *x) {
    Shape s = x->shape;
    CHECK(s.rank == 4);
    return graph_node(g, &TO_TOKENS, (Node) { .in = { x } }, shape3(s.dim[0], s.dim[2] * s.dim[3], s.dim[1]));
}

Tensor *to_image(Graph *g, Tensor *x, int64_t height, int64_t width) {
    Shape s = x->shape;
    CHECK(s.rank == 3);
    CHECK_EQ(s.dim[1], height * width);
    return graph_node(g, &TO_IMAGE, (Node) { .in = { x } }, shape4(s.dim[0], s.dim[2], height, width));
}

/* ---- timestep_embedding: y[b] = (cos(t f_0), .., sin(t f_0), ..),  f_i = 10000^(-i / half) ---- */

/* Frequencies and products are rounded to fp32 as in diffusers. At t = 999 a change of a frequency by one ulp
   changes cos and sin by 6e-5, so more exact frequencies would not match the trained model. The exponential
   is correctly rounded here. torch's is not always, so 1 to 3 frequencies differ by an ulp. */
static void timestep_embedding_forward(const Node *n) {
    int64_t batch = n->out->shape.dim[0], half = n->out->shape.dim[1] / 2;
    for (int64_t i = 0; i < half; i++) {
        float exponent = (float)-log(10000) * (float)i / (float)half;
        float frequency = (float)exp((double)exponent);
        for (int64_t b = 0; b < batch; b++) {
            float angle = n->in[0]->data[b] * frequency, *y = n->out->data + b * 2 * half;
            y[i] = (float)cos((double)angle);
            y[half + i] = (float)sin((double)angle);
        }
    }
}

static const Op TIMESTEP_EMBEDDING = { .name = "timestep_embedding", .forward = timestep_embedding_forward };

Tensor *timestep_embedding(Graph *g, Tensor *t, int64_t dim) {
    CHECK(t->shape.rank == 1 && dim > 0 && dim % 2 == 0);
    return graph_node(g, &TIMESTEP_EMBEDDING, (Node) { .in = { t } }, shape2(t->shape.dim[0], dim));
}
