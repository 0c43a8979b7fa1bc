/* Attention without the N x S matrix: a block of query rows at a time, its probabilities computed again in
   backward. N query tokens, S key tokens, D = C / heads. A head is a slice of D columns in rows of C floats:
   the GEMMs read it where it lies. */
#include "autograd/ops.h"
#include "tensor/gemm.h"
#include "tensor/vmath.h"

#include <string.h>

/* A block's probabilities fill about this many floats: they stay in the cache of one core. */
enum { BLOCK_FLOATS = 256 * 1024, BLOCK_ROWS_MIN = 16, BLOCK_ROWS_MAX = 128 };

/* Backward adds up dk and dv over query rows, so their blocks are dealt to at most this many groups with
   accumulators of their own: enough work for the threads where there are few heads, and an order that the
   shape alone decides. */
enum { ROW_GROUPS_MAX = 4, TILES_WANTED = 16 };

typedef struct {
    int64_t batch, queries, keys, channels; /* B, N, S, C */
    int64_t heads, size;                    /* size: D */
    int64_t rows, blocks;                   /* of a block; blocks of all N rows */
    int64_t groups;                         /* of blocks, in backward */
    float scale;
} Attention;

static Attention attention_of(const Node *n) {
    Shape q = n->in[0]->shape;
    Attention a = { .batch = q.dim[0],
                    .queries = q.dim[1],
                    .keys = n->in[1]->shape.dim[1],
                    .channels = q.dim[2],
                    .heads = n->heads };
    a.size = a.channels / a.heads;
    a.rows = min_i64(max_i64(BLOCK_FLOATS / a.keys, BLOCK_ROWS_MIN), BLOCK_ROWS_MAX);
    a.rows = min_i64(a.rows, a.queries);
    a.blocks = ceil_div(a.queries, a.rows);
    a.groups = min_i64(ceil_div(TILES_WANTED, a.batch * a.heads), min_i64(ROW_GROUPS_MAX, a.blocks));
    a.scale = (float)(1 / sqrt((double)a.size));
    return a;
}

/* A block of query rows of one head. Under the causal mask, keys after the block's last row are left out. */
typedef struct {
    int64_t first, rows, keys; /* rows [first, first + rows) see keys [0, keys) or fewer */
    int64_t stride;            /* of its probabilities' rows: keys, and room to the end of a vector */
    int64_t q, kv;             /* where its part of q (and out) and of k and v begins */
} Block;

static int64_t padded(int64_t keys) { return ceil_div(keys, VMAX_LANES) * VMAX_LANES; }

static Block block_of(const Node *n, const Attention *a, int64_t image, int64_t head, int64_t block) {
    Block b = { .first = block * a->rows };
    b.rows = min_i64(a->rows, a->queries - b.first);
    b.keys = n->causal ? b.first + b.rows : a->keys;
    b.stride = padded(b.keys);
    b.q = (image * a->queries + b.first) * a->channels + head * a->size;
    b.kv = image * a->keys * a->channels + head * a->size;
    return b;
}

/* softmax of the first `seen` elements of a row; the others are masked by -inf, which exp makes 0. */
static void softmax(float *row, int64_t seen, int64_t stride) {
    for (int64_t j = seen; j < stride; j++) row[j] = -INFINITY;
    float largest = vmax(row, stride);
#pragma omp simd
    for (int64_t j = 0; j < stride; j++) row[j] = vexp(row[j] - largest);
    float inverse = (float)(1 / vsum(row, stride));
#pragma omp simd
    for (int64_t j = 0; j < stride; j++) row[j] *= inverse;
}

/* P = softmax(scale Q K^T) of a block, [rows, keys] */
static void probabilities(const Node *n, const Attention *a, const Block *b, float *p) {
    gemm(AS_IS, TRANSPOSED, b->rows, b->keys, a->size, a->scale, n->in[0]->data + b->q, a->channels,
         n->in[1]->data + b->kv, a->channels, 0, p, b->stride);
    for (int64_t r = 0; r < b->rows; r++)
        softmax(p + r * b->stride, n->causal ? b->first + r + 1 : b->keys, b->stride);
}

/* out = P V */
static void attention_forward(const Node *n) {
    Attention a = attention_of(n);
#pragma omp parallel for schedule(dynamic)
    for (int64_t tile = 0; tile < a.batch * a.heads * a.blocks; tile++) {
        int64_t image = tile / a.blocks / a.heads, head = tile / a.blocks % a.heads;
        Block b = block_of(n, &a, image, head, tile % a.blocks);
        float *p = node_workspace(n);
        probabilities(n, &a, &b, p);
        gemm(AS_IS, AS_IS, b.rows, a.size, b.keys, 1, p, b.stride, n->in[2]->data + b.kv, a.channels, 0,
             n->out->data + b.q, a.channels);
    }
}

/* dP -> dS = P (dP - sum_j P_j dP_j), the softmax's backward, row by row in place */
static void softmax_backward(const Block *b, const float *p, float *dp) {
    for (int64_t r = 0; r < b->rows; r++, p += b->stride, dp += b->stride) {
        for (int64_t j = b->keys; j < b->stride; j++) dp[j] = 0;
        float sum = (float)vdot(p, dp, b->stride);
#pragma omp simd
        for (int64_t j = 0; j < b->stride; j++) dp[j] = p[j] * (dp[j] - sum);
    }
}

/* One block's share of the gradients; dk and dv are [S, C] accumulators at the block's image and head.

       dV += P^T dO,  dP = dO V^T,  dQ += scale dS K,  dK += scale dS^T Q */
static void backward_block(const Node *n, const Attention *a, const Block *b, float *dk, float *dv) {
    Tensor *q = n->in[0], *k = n->in[1], *v = n->in[2];
    const float *dout = n->out->grad + b->q;
    float *p = node_workspace(n), *ds = p + a->rows * padded(a->keys);
    probabilities(n, a, b, p);
    if (v->needs_grad)
        gemm(TRANSPOSED, AS_IS, b->keys, a->size, b->rows, 1, p, b->stride, dout, a->channels, 1, dv,
             a->channels);
    if (!q->needs_grad && !k->needs_grad) return;
    gemm(AS_IS, TRANSPOSED, b->rows, b->keys, a->size, 1, dout, a->channels, v->data + b->kv, a->channels, 0,
         ds, b->stride);
    softmax_backward(b, p, ds);
    if (q->needs_grad)
        gemm(AS_IS, AS_IS, b->rows, a->size, b->keys, a->scale, ds, b->stride, k->data + b->kv, a->channels,
             1, q->grad + b->q, a->channels);
    if (k->needs_grad)
        gemm(TRANSPOSED, AS_IS, b->keys, a->size, b->rows, a->scale, ds, b->stride, q->data + b->q,
             a->channels, 1, dk, a->channels);
}

/* Accumulators of row group 1 and up lie in scratch, as [group - 1][dk, dv][B, S, C]; group 0 adds to the
   gradient. */
static float *accumulator(const Node *n, const Attention *a, int64_t group, int input) {
    int64_t count = a->batch * a->keys * a->channels;
    return group ? n->scratch + ((group - 1) * 2 + (input - 1)) * count : n->in[input]->grad;
}

static void add_groups(const Node *n, const Attention *a, int input) {
    float *grad = n->in[input]->grad;
    int64_t count = a->batch * a->keys * a->channels;
    for (int64_t group = 1; group < a->groups; group++) {
        const float *part = accumulator(n, a, group, input);
#pragma omp parallel for simd schedule(static)
        for (int64_t i = 0; i < count; i++) grad[i] += part[i];
    }
}

static void attention_backward(const Node *n) {
    Attention a = attention_of(n);
#pragma omp parallel for schedule(dynamic)
    for (int64_t tile = 0; tile < a.batch * a.heads * a.groups; tile++) {
        int64_t image = tile / a.groups / a.heads, head = tile / a.groups % a.heads, group = tile % a.groups;
        float *sums[3] = { NULL };
        for (int input = 1; input < 3; input++) {
            if (!n->in[input]->needs_grad) continue;
            sums[input] = accumulator(n, &a, group, input) + image * a.keys * a.channels + head * a.size;
            for (int64_t s = 0; group && s < a.keys; s++)
                memset(sums[input] + s * a.channels, 0, (size_t)a.size * sizeof(float));
        }
        int64_t end = (group + 1) * a.blocks / a.groups;
        for (int64_t block = group * a.blocks / a.groups; block < end; block++) {
            Block b = block_of(n, &a, image, head, block);
            backward_block(n, &a, &b, sums[1], sums[2]);
        }
    }
    for (int input = 1; input < 3; input++)
        if (n->in[input]->needs_grad) add_groups(n, &a, input);
}

static size_t attention_workspace(const Node *n) {
    Attention a = attention_of(n);
    return (size_t)(a.rows * padded(a.keys)) * (n->out->needs_grad ? 2 : 1);
}

static size_t attention_scratch(const Node *n) {
    Attention a = attention_of(n);
    if (!n->in[1]->needs_grad && !n->in[2]->needs_grad) return 0;
    return (size_t)((a.groups - 1) * 2 * a.batch * a.keys * a.channels);
}

static double attention_flops(const Node *n) {
    Attention a = attention_of(n);
    return 4.0 * (double)(a.batch * a.queries) * (double)(a.keys * a.channels) * (n->causal ? 0.5 : 1);
}

static const Op ATTENTION = { .name = "attention",
                              .forward = attention_forward,
                              .backward = attention_backward,
                              .reads = IN0 | IN1 | IN2,
                              .workspace = attention_workspace,
                              .scratch = attention_scratch,
                              .flops = attention_flops,
                              .backward_flops = 2.5 };

Tensor *attention(Graph *g, Tensor *q, Tensor *k, Tensor *v, int heads, bool causal) {
    CHECK(q->shape.rank == 3 && k->shape.rank == 3 && shape_equal(k->shape, v->shape));
    CHECK_EQ(q->shape.dim[0], k->shape.dim[0]);
    CHECK_EQ(q->shape.dim[2], k->shape.dim[2]);
    CHECK(heads > 0 && q->shape.dim[2] % heads == 0);
    CHECK(!causal || q->shape.dim[1] == k->shape.dim[1]);
    return graph_node(g, &ATTENTION, (Node) { .in = { q, k, v }, .heads = heads, .causal = causal },
                      q->shape);
}
