/* SPDX-License-Identifier: MIT */
/* The ops that make up CLIP, the UNet and the VAE, with PyTorch's names. Each function here records a
   node and returns its output; ops_*.c has the forward and the backward pass of each op side by side.
   Weights are frozen, so there are gradients with respect to inputs only. A shape that does not fit is
   a programming error (CHECK).

   B batch, C channels, H W image, N tokens of an image (N = H W), S tokens of a text, D width (the last
   dimension), R rows (the product of all dimensions but the last). Images are [B, C, H, W], and token
   sequences are [B, N, C]. */
#ifndef TI_OPS_H
#define TI_OPS_H

#include "autograd/graph.h"

/* x [.., I] -> [.., O]: y = x W^T + b. The weight is [O, I], or [O, I, 1, 1]: a 1x1 convolution of an image
   is a linear layer of its tokens. */
Tensor *linear(Graph *g, Tensor *x, const Layer *layer);

/* x [B, C, H, W] -> [B, O, H', W'] with zero padding; weight [O, C, k, k], k = 1 or 3, stride 1 or 2.
   H' = (H + top + bottom - k) / stride + 1, rounded down. */
Tensor *conv2d(Graph *g, Tensor *x, const Layer *layer, int stride, Padding padding);
#define PAD0    ((Padding) { 0, 0, 0, 0 })
#define PAD1    ((Padding) { 1, 1, 1, 1 })
#define PAD_END ((Padding) { 0, 1, 0, 1 }) /* bottom and right only, for the VAE's downsampling */

/* x [B, C, H, W] or [B, C, N], weight and bias [C]. The mean and the (biased) variance are taken over a
   group, which is C / groups channels at all positions. C must be divisible by groups. */
Tensor *group_norm(Graph *g, Tensor *x, const Layer *layer, int groups, float eps);

/* x [.., D], weight and bias [D]. The mean and the (biased) variance are taken over a row [D]. */
Tensor *layer_norm(Graph *g, Tensor *x, const Layer *layer, float eps);

Tensor *silu(Graph *g, Tensor *x);       /* x sigmoid(x) */
Tensor *gelu(Graph *g, Tensor *x);       /* x (1 + erf(x / sqrt 2)) / 2 */
Tensor *quick_gelu(Graph *g, Tensor *x); /* x sigmoid(1.702 x) */
Tensor *geglu(Graph *g, Tensor *x);      /* x [.., 2D] = (a, b) -> a gelu(b), [.., D] */

/* q [B, N, C], k and v [B, S, C] -> [B, N, C]. Each head is a slice of d = C / heads channels, for which the
   result is softmax(q k^T / sqrt(d)) v. If `causal`, which requires N == S, token n attends only to tokens
   0..n. A block of query rows is computed at a time, so that the N x S matrix never exists as a whole. */
Tensor *attention(Graph *g, Tensor *q, Tensor *k, Tensor *v, int heads, bool causal);

/* ids [B * S] -> [B, S, D]. An id below V selects a row of table [V, D], and V + i selects row i of the
   learned vectors [n, D], which may be NULL. Every run reads the present values of ids. This is the op
   through which the gradient reaches the paper's v*. */
Tensor *embedding(Graph *g, const Weight *table, Tensor *learned, const int32_t *ids, int64_t batch,
                  int64_t tokens);

Tensor *add(Graph *g, Tensor *a, Tensor *b);                       /* same shapes */
Tensor *add_position(Graph *g, Tensor *x, const Weight *position); /* x [B, S, D] + position [>= S, D] */
Tensor *add_channel(Graph *g, Tensor *x, Tensor *t);               /* x [B, C, H, W] + t [B, C] */
Tensor *concat(Graph *g, Tensor *a, Tensor *b); /* [B, Ca, H, W], [B, Cb, H, W] -> [B, Ca + Cb, H, W] */

/* x [B, ..] -> [times B, ..]: the whole batch, then the whole batch again, and so on. */
Tensor *repeat(Graph *g, Tensor *x, int64_t times);

/* Nearest-neighbour interpolation to height x width, as torch.nn.functional.interpolate does it: row y
   is a copy of row floor(y H / height), and columns likewise. Neither height nor width may be smaller
   than that of x. */
Tensor *upsample_nearest(Graph *g, Tensor *x, int64_t height, int64_t width);

Tensor *to_tokens(Graph *g, Tensor *x);                               /* [B, C, H, W] -> [B, H W, C] */
Tensor *to_image(Graph *g, Tensor *x, int64_t height, int64_t width); /* [B, H W, C] -> [B, C, H, W] */

/* Timesteps t [B], as floats, -> [B, dim] = (cos(t f), sin(t f)) with f_i = exp(-ln(10000) i / (dim / 2)),
   computed in fp32 as in diffusers (Timesteps with flip_sin_to_cos and freq_shift 0). t gets no gradient. */
Tensor *timestep_embedding(Graph *g, Tensor *t, int64_t dim);

/* mean((pred - target)^2) -> [1]. target gets no gradient. */
Tensor *mse_loss(Graph *g, Tensor *pred, Tensor *target);

/* mean(weights (pred - target)^2) -> [1], where pred and target are [B, C, H, W] and a weight [B, H, W] holds
   for all channels. target and weights get no gradient. */
Tensor *weighted_mse_loss(Graph *g, Tensor *pred, Tensor *target, Tensor *weights);

#endif
