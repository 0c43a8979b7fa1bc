/* SPDX-License-Identifier: MIT */
/* Includes plain/ti.c as it is, and calls its operations for the tests. Three of its names are changed, since
   the program and its tests have the same. */
#define main   plain_main
#define Tensor PlainTensor
#define Layer  PlainLayer
#include "plain/ti.c"
#undef main
#undef Tensor
#undef Layer

#include "tests/plain.h"

/* An op of plain/ti.c with its tensors. Most of them hold one example of a batch, since plain/ti.c computes
   one example at a time. */
typedef struct {
    const Node *node;
    PlainLayer layer;
    PlainTensor in[NODE_INPUTS], out;
    const int *ids; /* the token ids of an embedding, else NULL */
} Example;

static double *to_double(const float *x, int64_t count) {
    double *copy = numbers((size_t)count);
    for (int64_t i = 0; i < count; i++) copy[i] = (double)x[i];
    return copy;
}

static double *weight_to_double(const Weight *w) {
    if (!w) return NULL;
    int64_t count = shape_count(w->shape);
    float *x = mem_alloc((size_t)count * sizeof *x);
    weight_read(w, x);
    double *copy = to_double(x, count);
    free(x);
    return copy;
}

/* Copies part `part` of `parts` equal parts of a tensor into a matrix. An image [C, H, W] gets a row for each
   channel. Any other tensor gets rows of the length of its last dimension. */
static void take_part(PlainTensor *t, Shape s, const float *data, int64_t part, int64_t parts) {
    int64_t count = shape_count(s) / parts;
    bool image = s.rank == 4;
    int columns = (int)(image ? s.dim[2] * s.dim[3] : s.dim[s.rank - 1]);
    shape(t, (int)(count / columns), columns, image ? (int)s.dim[3] : 0);
    for (int64_t i = 0; i < count; i++) t->x[i] = (double)data[part * count + i];
}

static Norm norm_of(const Node *n) {
    return (Norm) { strcmp(n->op->name, "group_norm") == 0 ? n->groups : 0, (double)n->eps };
}

static Geometry geometry_of(const Node *n) {
    int kernel = (int)n->layer.weight->shape.dim[2];
    Shape y = n->out->shape;
    return (Geometry) { kernel, n->stride, n->padding.top, n->padding.left, (int)y.dim[2], (int)y.dim[3] };
}

static void linear_do(Example *e, bool backward) {
    if (backward)
        linear_backward(&e->out, &e->in[0], &e->layer);
    else
        linear_forward(&e->out, &e->in[0], &e->layer);
}

static void conv2d_do(Example *e, bool backward) {
    if (backward)
        conv2d_backward(&e->out, &e->in[0], &e->layer, geometry_of(e->node));
    else
        conv2d_forward(&e->out, &e->in[0], &e->layer, geometry_of(e->node));
}

static void norm_do(Example *e, bool backward) {
    if (backward)
        norm_backward(&e->out, &e->in[0], &e->layer, norm_of(e->node));
    else
        norm_forward(&e->out, &e->in[0], &e->layer, norm_of(e->node));
}

static void activation_do(Example *e, bool backward) {
    double a = strcmp(e->node->op->name, "silu") == 0 ? SILU : QUICK_GELU;
    if (backward)
        activation_backward(&e->out, &e->in[0], a);
    else
        activation_forward(&e->out, &e->in[0], a);
}

static void geglu_do(Example *e, bool backward) {
    if (backward)
        geglu_backward(&e->out, &e->in[0]);
    else
        geglu_forward(&e->out, &e->in[0]);
}

static void attention_do(Example *e, bool backward) {
    AttentionInputs inputs = { &e->in[0], &e->in[1], &e->in[2], e->node->heads, e->node->causal };
    if (backward)
        attention_backward(&e->out, inputs);
    else
        attention_forward(&e->out, inputs);
}

static void embedding_do(Example *e, bool backward) {
    if (backward)
        embedding_backward(&e->out, &e->layer, e->in[0].dx, e->ids);
    else
        embedding_forward(&e->out, &e->layer, e->in[0].x, e->ids, (int)e->node->out->shape.dim[1]);
}

static void add_do(Example *e, bool backward) {
    bool twice = e->node->in[0] == e->node->in[1];
    if (backward)
        add_backward(&e->out, &e->in[0], twice ? &e->in[0] : &e->in[1]);
    else
        add_forward(&e->out, &e->in[0], &e->in[1]);
}

static void add_channel_do(Example *e, bool backward) {
    if (backward)
        add_channel_backward(&e->out, &e->in[0], &e->in[1]);
    else
        add_channel_forward(&e->out, &e->in[0], &e->in[1]);
}

static void concat_do(Example *e, bool backward) {
    if (backward)
        concat_backward(&e->out, &e->in[0], &e->in[1]);
    else
        concat_forward(&e->out, &e->in[0], &e->in[1]);
}

static void transpose_do(Example *e, bool backward) {
    Shape y = e->node->out->shape;
    if (backward)
        transpose_backward(&e->out, &e->in[0]);
    else
        transpose_forward(&e->out, &e->in[0], y.rank == 4 ? (int)y.dim[3] : 0);
}

static void upsample_do(Example *e, bool backward) {
    Shape y = e->node->out->shape;
    if (backward)
        upsample_backward(&e->out, &e->in[0]);
    else
        upsample_forward(&e->out, &e->in[0], (int)y.dim[2], (int)y.dim[3]);
}

static void timestep_embedding_do(Example *e, bool backward) {
    if (!backward) timestep_embedding_forward(&e->out, (float)e->in[0].x[0], (int)e->node->out->shape.dim[1]);
}

/* The gradient of the loss is multiplied by dy, a single number. plain/ti.c has no gradient for the target,
   which is the opposite of the prediction's. */
static void mse_do(Example *e, bool backward) {
    PlainTensor *y = &e->in[0];
    double weight = backward ? e->out.dx[0] : 0;
    double loss = mse(y, e->in[1].x, weight);
    if (!backward) {
        shape(&e->out, 1, 1, 0);
        e->out.x[0] = loss;
        return;
    }
    for (int i = 0; i < y->rows * y->columns; i++) e->in[1].dx[i] -= y->dx[i];
}

/* The ops by their names. When by_example is false, the op treats all rows alike, so it runs once for the
   whole batch. */
static const struct {
    const char *name;
    void (*act)(Example *e, bool backward);
    bool by_example;
} PLAIN_OPS[] = {
    { "linear", linear_do, false },
    { "conv2d", conv2d_do, true },
    { "group_norm", norm_do, true },
    { "layer_norm", norm_do, false },
    { "silu", activation_do, false },
    { "quick_gelu", activation_do, false },
    { "geglu", geglu_do, false },
    { "attention", attention_do, true },
    { "embedding", embedding_do, true },
    { "add", add_do, false },
    { "add_channel", add_channel_do, true },
    { "concat", concat_do, true },
    { "to_tokens", transpose_do, true },
    { "to_image", transpose_do, true },
    { "upsample_nearest", upsample_do, true },
    { "timestep_embedding", timestep_embedding_do, true },
    { "mse_loss", mse_do, false },
};

static void free_tensor(PlainTensor *t) {
    free(t->x);
    free(t->dx);
}

/* Runs the op forward, and backward if there is dy, on one part of the batch. Writes the part's output to the
   result and adds its gradients. */
static void run_example(Example *e, void (*act)(Example *, bool), int64_t part, int64_t parts,
                        const float *dy, PlainResult *result) {
    const Node *n = e->node;
    for (int k = 0; k < NODE_INPUTS; k++)
        if (n->in[k]) {
            bool whole = n->ids != NULL; /* all examples share the learned vectors */
            take_part(&e->in[k], n->in[k]->shape, n->in[k]->data, whole ? 0 : part, whole ? 1 : parts);
        }
    e->ids = n->ids ? n->ids + part * n->out->shape.dim[1] : NULL;
    act(e, false);
    int64_t count = shape_count(n->out->shape) / parts;
    for (int64_t i = 0; i < count; i++) result->y[part * count + i] = (float)e->out.x[i];
    if (!dy) return;
    for (int64_t i = 0; i < count; i++) e->out.dx[i] = (double)dy[part * count + i];
    act(e, true);
    for (int k = 0; k < NODE_INPUTS; k++) {
        if (!n->in[k]) continue;
        int64_t size = e->in[k].rows * e->in[k].columns, at = n->ids ? 0 : part * size;
        for (int64_t i = 0; i < size; i++) result->dx[k][at + i] += (float)e->in[k].dx[i];
    }
}

bool plain_node(const Node *n, const float *dy, PlainResult *result) {
    *result = (PlainResult) { 0 };
    size_t op = 0, ops = sizeof PLAIN_OPS / sizeof *PLAIN_OPS;
    while (op < ops && strcmp(PLAIN_OPS[op].name, n->op->name) != 0) op++;
    if (op == ops) return false;
    const Weight *weight = n->ids ? n->table : n->layer.weight;
    Example e = { .node = n };
    e.layer.weight = weight_to_double(weight);
    e.layer.bias = weight_to_double(n->layer.bias);
    if (weight) e.layer.out = (int)weight->shape.dim[0];
    if (weight && weight->shape.rank > 1) e.layer.in = (int)weight->shape.dim[1];
    result->y = mem_alloc((size_t)shape_count(n->out->shape) * sizeof(float));
    for (int k = 0; k < NODE_INPUTS && dy; k++)
        if (n->in[k]) result->dx[k] = mem_alloc((size_t)shape_count(n->in[k]->shape) * sizeof(float));
    int64_t parts = PLAIN_OPS[op].by_example ? n->out->shape.dim[0] : 1;
    for (int64_t part = 0; part < parts; part++) run_example(&e, PLAIN_OPS[op].act, part, parts, dy, result);
    free(e.layer.weight);
    free(e.layer.bias);
    free_tensor(&e.out);
    for (int k = 0; k < NODE_INPUTS; k++) free_tensor(&e.in[k]);
    return true;
}

void plain_result_free(PlainResult *result) {
    free(result->y);
    for (int k = 0; k < NODE_INPUTS; k++) free(result->dx[k]);
}

void plain_conv2d(const Conv *c, const float *w, double *x, double *y, bool forward) {
    PlainLayer l = { .out = (int)c->out_channels, .in = (int)c->in_channels };
    l.weight = to_double(w, c->out_channels * c->in_channels * c->kernel * c->kernel);
    Geometry g = { (int)c->kernel, (int)c->stride,     (int)c->top,
                   (int)c->left,   (int)c->out_height, (int)c->out_width };
    int64_t in = c->in_channels * c->height * c->width, out = c->out_channels * c->out_height * c->out_width;
    PlainTensor a = { 0 }, b = { 0 };
    for (int64_t i = 0; i < c->batch; i++) {
        shape(&a, l.in, (int)(c->height * c->width), (int)c->width);
        memcpy(a.x, x + i * in, (size_t)in * sizeof *x);
        conv2d_forward(&b, &a, &l, g);
        if (forward) {
            memcpy(y + i * out, b.x, (size_t)out * sizeof *y);
        } else {
            memcpy(b.dx, y + i * out, (size_t)out * sizeof *y);
            conv2d_backward(&b, &a, &l, g);
            for (int64_t k = 0; k < in; k++) x[i * in + k] += a.dx[k];
        }
    }
    free_tensor(&a);
    free_tensor(&b);
    free(l.weight);
}

void plain_linear(Shape in, int64_t out, const float *x, const float *w, const float *dy, double *y,
                  double *dx) {
    int64_t columns = in.dim[in.rank - 1], rows = shape_count(in) / columns;
    PlainLayer l = { .out = (int)out, .in = (int)columns, .weight = to_double(w, out * columns) };
    PlainTensor a = { 0 }, b = { 0 };
    take_part(&a, shape2(rows, columns), x, 0, 1);
    linear_forward(&b, &a, &l);
    memcpy(y, b.x, (size_t)(rows * out) * sizeof *y);
    for (int64_t i = 0; i < rows * out; i++) b.dx[i] = (double)dy[i];
    linear_backward(&b, &a, &l);
    memcpy(dx, a.dx, (size_t)(rows * columns) * sizeof *dx);
    free_tensor(&a);
    free_tensor(&b);
    free(l.weight);
}
