/* Attention without the N x S matrix: a block of query rows at a time, its probabilities computed again in
   backward. N query tokens, S key tokens, D = C / heads. A head is a slice of D columns in rows of C floats:
   the GEMMs read it where it lies. */
#include "autograd/ops.h"
#include "tensor/gemm.h"
#include "tensor/share.h"
#include "tensor/transpose.h"
#include "tensor/vmath.h"

#include <string.h>

/* A block's probabilities fill about this many floats. Wide blocks are worth more than to stay in a core's
   own cache. */
enum { BLOCK_FLOATS = 512 * 1024, BLOCK_ROWS_MIN = 16, BLOCK_ROWS_MAX = 128 };

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
    int64_t q, kv;             /* where its part of q (and out) and of k and v begins */
} Block;

static Block block_of(const Node *n, const Attention *a, int64_t image, int64_t head, int64_t block) {
    Block b = { .first = block * a->rows };
    b.rows = min_i64(a->rows, a->queries - b.first);
    b.keys = n->causal ? b.first + b.rows : a->keys;
    b.q = (image * a->queries + b.first) * a->channels + head * a->size;
    b.kv = image * a->keys * a->channels + head * a->size;
    return b;
}

/* softmax over the keys of e [keys, rows], but for its last division: e becomes exp(e - the row's largest),
   and inverse [rows] 1 / its sum. For backward, with d [keys, rows] the gradient of P: mean[r] = sum_j P_rj
   d_rj. Sums run over SUM_BLOCK keys at a time, so that they stay exact however many there are. */
enum { SUM_BLOCK = 64 };

static void softmax(float *e, const float *d, int64_t keys, int64_t rows, float *inverse, float *mean) {
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
            if (!d) continue;
#pragma omp simd
            for (int64_t r = 0; r < rows; r++) part_d[r] += e[j * rows + r] * d[j * rows + r];
        }
        for (int64_t r = 0; r < rows; r++) sum[r] += part[r], sum_d[r] += part_d[r];
    }
    for (int64_t r = 0; r < rows; r++) inverse[r] = 1 / sum[r];
    for (int64_t r = 0; d && r < rows; r++) mean[r] = sum_d[r] * inverse[r];
}

/* What a thread works with. Everything of size [keys, rows] stands transposed: its rows are vectors, whatever
   the number of keys, and of all factors only the small one, a block of q or dout, has to be turned for the
   products. */
typedef struct {
    float *e, *ds;         /* [keys, rows]: P = E diag(inverse); dS */
    float *turned;         /* [D, rows]: Q^T, then dO^T */
    float *scaled;         /* [rows, D]: diag(inverse) dO */
    float *inverse, *mean; /* [rows] */
} Space;

static Space space_of(const Node *n, const Attention *a) {
    Space s = { .e = node_workspace(n) };
    s.turned = s.e + a->keys * a->rows;
    s.inverse = s.turned + a->size * a->rows;
    s.mean = s.inverse + a->rows; /* from here on for backward only */
    s.scaled = s.mean + a->rows;
    s.ds = s.scaled + a->size * a->rows;
    return s;
}

static size_t attention_workspace(const Node *n) {
    Attention a = attention_of(n);
    int64_t floats = a.rows * (a.keys + a.size + 1);
    return (size_t)(n->out->needs_grad ? 2 * floats : floats);
}

/* S^T = scale K Q^T of a block, whose softmax is P^T */
static void scores(const Node *n, const Attention *a, const Block *b, const Space *s) {
    transpose(n->in[0]->data + b->q, a->channels, b->rows, a->size, s->turned, b->rows);
    gemm(AS_IS, AS_IS, b->keys, b->rows, a->size, a->scale, n->in[1]->data + b->kv, a->channels, s->turned,
         b->rows, 0, s->e, b->rows);
    for (int64_t j = b->first + 1; n->causal && j < b->keys; j++) /* masked by -inf, which exp makes 0 */
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
        Space s = space_of(n, &a);
        float *out = n->out->data + b.q;
        scores(n, &a, &b, &s);
        softmax(s.e, NULL, b.keys, b.rows, s.inverse, NULL);
        gemm(TRANSPOSED, AS_IS, b.rows, a.size, b.keys, 1, s.e, b.rows, n->in[2]->data + b.kv, a.channels, 0,
             out, a.channels);
        for (int64_t r = 0; r < b.rows; r++)
#pragma omp simd
            for (int64_t i = 0; i < a.size; i++) out[r * a.channels + i] *= s.inverse[r];
    }
}

/* The softmax's backward, dP^T -> dS^T = P^T (dP^T - mean), in place */
static void softmax_backward(const Block *b, const Space *s) {
    for (int64_t j = 0; j < b->keys; j++)
#pragma omp simd
        for (int64_t r = 0; r < b->rows; r++) {
            int64_t at = j * b->rows + r;
            s->ds[at] = s->e[at] * s->inverse[r] * (s->ds[at] - s->mean[r]);
        }
}

/* One block's share of the gradients; dk and dv are [S, C] accumulators at the block's image and head.

       dV += P^T dO,  dP^T = V dO^T,  dQ += scale dS K,  dK += scale dS^T Q */
static void backward_block(const Node *n, const Attention *a, const Block *b, float *dk, float *dv) {
    Tensor *q = n->in[0], *k = n->in[1], *v = n->in[2];
    const float *dout = n->out->grad + b->q;
    Space s = space_of(n, a);
    bool through_scores = q->needs_grad || k->needs_grad;
    scores(n, a, b, &s);
    if (through_scores) {
        transpose(dout, a->channels, b->rows, a->size, s.turned, b->rows);
        gemm(AS_IS, AS_IS, b->keys, b->rows, a->size, 1, v->data + b->kv, a->channels, s.turned, b->rows, 0,
             s.ds, b->rows);
    }
    softmax(s.e, through_scores ? s.ds : NULL, b->keys, b->rows, s.inverse, s.mean);
    if (v->needs_grad) {
        for (int64_t r = 0; r < b->rows; r++)
#pragma omp simd
            for (int64_t i = 0; i < a->size; i++)
                s.scaled[r * a->size + i] = dout[r * a->channels + i] * s.inverse[r];
        gemm(AS_IS, AS_IS, b->keys, a->size, b->rows, 1, s.e, b->rows, s.scaled, a->size, 1, dv, a->channels);
    }
    if (!through_scores) return;
    softmax_backward(b, &s);
    if (q->needs_grad)
        gemm(TRANSPOSED, AS_IS, b->rows, a->size, b->keys, a->scale, s.ds, b->rows, k->data + b->kv,
             a->channels, !overwrites_gradient(n, 0), q->grad + b->q, a->channels);
    if (k->needs_grad)
        gemm(AS_IS, AS_IS, b->keys, a->size, b->rows, a->scale, s.ds, b->rows, q->data + b->q, a->channels, 1,
             dk, a->channels);
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
    Share share;
    share_start(&share, a.batch * a.heads * a.groups);
#pragma omp parallel
    for (int64_t tile; (tile = share_next(&share)) >= 0;) {
        int64_t image = tile / a.groups / a.heads, head = tile / a.groups % a.heads, group = tile % a.groups;
        float *sums[3] = { NULL };
        for (int input = 1; input < 3; input++) {
            if (!n->in[input]->needs_grad) continue;
            sums[input] = accumulator(n, &a, group, input) + image * a.keys * a.channels + head * a.size;
            bool clear = group || overwrites_gradient(n, input);
            for (int64_t s = 0; clear && s < a.keys; s++)
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
