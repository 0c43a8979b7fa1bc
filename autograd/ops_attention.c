/* SPDX-License-Identifier: MIT */
/* Attention without the N x S matrix of probabilities: forward computes a block of query rows at a time, and
   backward recomputes the block's probabilities. N query tokens, S key tokens, d = C / heads. A head is a
   slice of d columns in rows of C floats, which the matrix products read in place. */
#include "autograd/ops.h"
#include "tensor/product.h"
#include "tensor/share.h"
#include "tensor/transpose.h"
#include "tensor/vmath.h"

#include <string.h>

/* The probabilities of a block take about BLOCK_FLOATS floats. Although only smaller blocks fit into a core's
   own cache, blocks of this size are faster. */
enum { BLOCK_FLOATS = 512 * 1024, BLOCK_ROWS_MIN = 16, BLOCK_ROWS_MAX = 128 };

/* Backward sums dk and dv over all query rows. If there are few heads, the blocks of rows are divided into up
   to ROW_GROUPS_MAX groups, each with its own accumulators, so that all threads have work. The division
   depends on the shape alone, so the sums have the same bits with any number of threads. */
enum { ROW_GROUPS_MAX = 4, TILES_WANTED = 16 };

typedef struct {
    int64_t batch, queries, keys, channels; /* B, N, S, C */
    int64_t heads, head_size;               /* head_size is d */
    int64_t rows, blocks;                   /* rows of a block; blocks into which all N rows are divided */
    int64_t groups;                         /* groups of blocks in backward */
    float scale;
} Attention;

static Attention attention_of(const Node *n) {
    Shape q = n->in[0]->shape;
    Attention a = { .batch = q.dim[0],
                    .queries = q.dim[1],
                    .keys = n->in[1]->shape.dim[1],
                    .channels = q.dim[2],
                    .heads = n->heads };
    a.head_size = a.channels / a.heads;
    a.rows = min_i64(max_i64(BLOCK_FLOATS / a.keys, BLOCK_ROWS_MIN), BLOCK_ROWS_MAX);
    a.rows = min_i64(a.rows, a.queries);
    a.blocks = ceil_div(a.queries, a.rows);
    a.groups = min_i64(ceil_div(TILES_WANTED, a.batch * a.heads), min_i64(ROW_GROUPS_MAX, a.blocks));
    a.scale = (float)(1 / sqrt((double)a.head_size));
    return a;
}

/* A block of query rows of one head. With the causal mask, it leaves out the keys after its last row. */
typedef struct {
    int64_t first, rows, keys; /* query rows [first, first + rows) and keys [0, keys) */
    int64_t q, kv;             /* where its part of q and out begins, and where that of k and v begins */
} Block;

static Block block_of(const Node *n, const Attention *a, int64_t image, int64_t head, int64_t block) {
    Block b = { .first = block * a->rows };
    b.rows = min_i64(a->rows, a->queries - b.first);
    b.keys = n->causal ? b.first + b.rows : a->keys;
    b.q = (image * a->queries + b.first) * a->channels + head * a->head_size;
    b.kv = image * a->keys * a->channels + head * a->head_size;
    return b;
}

/* Computes the softmax of scores e [keys, rows] over the keys, without its final division: e becomes
   exp(e - m), where m is the largest score of the row, and inverse [rows] becomes 1 / the sum of these
   exponentials. In backward, dp [keys, rows] is the gradient dP of the probabilities P, and the function also
   computes mean[r] = sum_j P_rj dP_rj. In forward, dp and mean are NULL. Sums over blocks of SUM_BLOCK keys
   are added up, which keeps the rounding error small for any number of keys. */
enum { SUM_BLOCK = 64 };

static void softmax(float *e, const float *dp, int64_t keys, int64_t rows, float *inverse, float *mean) {
    float largest[BLOCK_ROWS_MAX], sum[BLOCK_ROWS_MAX], part[BLOCK_ROWS_MAX];
    float sum_d[BLOCK_ROWS_MAX], part_d[BLOCK_ROWS_MAX];
    for (int64_t r = 0; r < rows; r++) largest[r] = -INFINITY, sum[r] = sum_d[r] = 0;
    for (int64_t j = 0; j < keys; j++)
#pragma omp simd
        for (int64_t r = 0; r < rows; r++)
            largest[r] = e[j * rows + r] > largest[r] ? e[j * rows + r] : largest[r];
    for (int64_t first = 0; first < keys; first += SUM_BLOCK) {
        for (int64_t r = 0; r < rows; r++) part[r] = part_d[r] = 0;
        for (int64_t j = first; j < min_i64(keys, first + SUM_BLOCK); j++) {
#pragma omp simd
            for (int64_t r = 0; r < rows; r++) {
                e[j * rows + r] = vexp(e[j * rows + r] - largest[r]);
                part[r] += e[j * rows + r];
            }
            if (!dp) continue;
#pragma omp simd
            for (int64_t r = 0; r < rows; r++) part_d[r] += e[j * rows + r] * dp[j * rows + r];
        }
        for (int64_t r = 0; r < rows; r++) sum[r] += part[r], sum_d[r] += part_d[r];
    }
    for (int64_t r = 0; r < rows; r++) inverse[r] = 1 / sum[r];
    for (int64_t r = 0; dp && r < rows; r++) mean[r] = sum_d[r] * inverse[r];
}

/* The parts of a thread's workspace. Matrices of scores are stored transposed, [keys, rows], so that the
   length of vector loops is the number of rows, even when there are few keys. For the matrix products, only a
   block of q or dout then has to be transposed. */
typedef struct {
    float *e, *ds;         /* [keys, rows]: E^T with P = diag(inverse) E; dP^T, then dS^T */
    float *transposed;     /* [d, rows]: Q^T, then dO^T */
    float *scaled_dout;    /* [rows, d]: diag(inverse) dO */
    float *inverse, *mean; /* [rows] */
    float *product;        /* the workspace of matrix products */
} Workspace;

/* The products of a block are of three shapes: those with the result [keys, rows], [rows, d] and [keys,
   d]. */
static int64_t products_workspace(const Node *n, const Attention *a) {
    int64_t scores = product_workspace(n->precision, a->keys, a->rows, a->head_size);
    int64_t out = product_workspace(n->precision, a->rows, a->head_size, a->keys);
    return max_i64(max_i64(scores, out), product_workspace(n->precision, a->keys, a->head_size, a->rows));
}

static Workspace workspace_of(const Node *n, const Attention *a) {
    Workspace s = { .product = node_workspace(n) };
    s.e = s.product + products_workspace(n, a);
    s.transposed = s.e + a->keys * a->rows;
    s.inverse = s.transposed + a->head_size * a->rows;
    s.mean = s.inverse + a->rows; /* only backward uses this and what follows */
    s.scaled_dout = s.mean + a->rows;
    s.ds = s.scaled_dout + a->head_size * a->rows;
    return s;
}

static size_t attention_workspace(const Node *n) {
    Attention a = attention_of(n);
    int64_t floats = a.rows * (a.keys + a.head_size + 1);
    return (size_t)(products_workspace(n, &a) + (n->out->needs_grad ? 2 * floats : floats));
}

/* Computes the scores of a block, s->e = scale K Q^T. Their softmax over the keys is P^T. */
static void scores(const Node *n, const Attention *a, const Block *b, const Workspace *s) {
    transpose(n->in[0]->data + b->q, a->channels, b->rows, a->head_size, s->transposed, b->rows);
    product(n->precision, AS_IS, AS_IS, b->keys, b->rows, a->head_size, a->scale, n->in[1]->data + b->kv,
            a->channels, s->transposed, b->rows, false, s->e, b->rows, s->product);
    for (int64_t j = b->first + 1; n->causal && j < b->keys; j++) /* exp(-inf) is 0 */
        for (int64_t r = 0; b->first + r < j; r++) s->e[j * b->rows + r] = -INFINITY;
}

/* out = P V */
static void attention_forward(const Node *n) {
    Attention a = attention_of(n);
    Share share;
    share_start(&share, a.batch * a.heads * a.blocks);
#pragma omp parallel
    for (int64_t tile; (tile = share_next(&share)) >= 0;) {
        int64_t image = tile / a.blocks / a.heads, head = tile / a.blocks % a.heads;
        Block b = block_of(n, &a, image, head, tile % a.blocks);
        Workspace s = workspace_of(n, &a);
        float *out = n->out->data + b.q;
        scores(n, &a, &b, &s);
        softmax(s.e, NULL, b.keys, b.rows, s.inverse, NULL);
        product(n->precision, TRANSPOSED, AS_IS, b.rows, a.head_size, b.keys, 1, s.e, b.rows,
                n->in[2]->data + b.kv, a.channels, false, out, a.channels, s.product);
        for (int64_t r = 0; r < b.rows; r++)
#pragma omp simd
            for (int64_t i = 0; i < a.head_size; i++) out[r * a.channels + i] *= s.inverse[r];
    }
}

/* The backward pass of the softmax: dP^T becomes dS^T = P^T (dP^T - mean), elementwise and in place, where dS
   is the gradient of the scores. */
static void softmax_backward(const Block *b, const Workspace *s) {
    for (int64_t j = 0; j < b->keys; j++)
#pragma omp simd
        for (int64_t r = 0; r < b->rows; r++) {
            int64_t at = j * b->rows + r;
            s->ds[at] = s->e[at] * s->inverse[r] * (s->ds[at] - s->mean[r]);
        }
}

/* Writes the block's rows of q's gradient and adds the block's terms to dk and dv, accumulators [S, C] that
   begin at the block's image and head:

       dV += P^T dO,  dP^T = V dO^T,  dQ += scale dS K,  dK += scale dS^T Q */
static void backward_block(const Node *n, const Attention *a, const Block *b, float *dk, float *dv) {
    Tensor *q = n->in[0], *k = n->in[1], *v = n->in[2];
    const float *dout = n->out->grad + b->q;
    Workspace s = workspace_of(n, a);
    bool through_scores = q->needs_grad || k->needs_grad;
    scores(n, a, b, &s);
    if (through_scores) {
        transpose(dout, a->channels, b->rows, a->head_size, s.transposed, b->rows);
        product(n->precision, AS_IS, AS_IS, b->keys, b->rows, a->head_size, 1, v->data + b->kv, a->channels,
                s.transposed, b->rows, false, s.ds, b->rows, s.product);
    }
    softmax(s.e, through_scores ? s.ds : NULL, b->keys, b->rows, s.inverse, s.mean);
    if (v->needs_grad) {
        for (int64_t r = 0; r < b->rows; r++)
#pragma omp simd
            for (int64_t i = 0; i < a->head_size; i++)
                s.scaled_dout[r * a->head_size + i] = dout[r * a->channels + i] * s.inverse[r];
        product(n->precision, AS_IS, AS_IS, b->keys, a->head_size, b->rows, 1, s.e, b->rows, s.scaled_dout,
                a->head_size, true, dv, a->channels, s.product);
    }
    if (!through_scores) return;
    softmax_backward(b, &s);
    if (q->needs_grad)
        product(n->precision, TRANSPOSED, AS_IS, b->rows, a->head_size, b->keys, a->scale, s.ds, b->rows,
                k->data + b->kv, a->channels, !overwrites_gradient(n, 0), q->grad + b->q, a->channels,
                s.product);
    if (k->needs_grad)
        product(n->precision, AS_IS, AS_IS, b->keys, a->head_size, b->rows, a->scale, s.ds, b->rows,
                q->data + b->q, a->channels, true, dk, a->channels, s.product);
}

/* Returns the accumulator [B, S, C] of a group for dk (input 1) or dv (input 2). Group 0 accumulates in the
   gradient itself, the others in scratch, which is [group - 1][dk, dv][B, S, C]. */
static float *accumulator(const Node *n, const Attention *a, int64_t group, int input) {
    int64_t count = a->batch * a->keys * a->channels;
    return group ? n->scratch + ((group - 1) * 2 + (input - 1)) * count : n->in[input]->grad;
}

/* Adds the accumulators of all groups, in a fixed order. */
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
    Share share;
    share_start(&share, a.batch * a.heads * a.groups);
#pragma omp parallel
    for (int64_t tile; (tile = share_next(&share)) >= 0;) {
        int64_t image = tile / a.groups / a.heads, head = tile / a.groups % a.heads, group = tile % a.groups;
        float *sums[3] = { NULL };
        for (int input = 1; input < 3; input++) {
            if (!n->in[input]->needs_grad) continue;
            sums[input] = accumulator(n, &a, group, input) + image * a.keys * a.channels + head * a.head_size;
            bool clear = group || overwrites_gradient(n, input);
            for (int64_t s = 0; clear && s < a.keys; s++)
                memset(sums[input] + s * a.channels, 0, (size_t)a.head_size * sizeof(float));
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
                              .can_overwrite = IN0 | IN1 | IN2,
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
