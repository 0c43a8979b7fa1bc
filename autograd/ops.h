/* The ops that CLIP, the UNet and the VAE are made of, as builders that models call. PyTorch's names; forward
   and backward of each stand side by side in ops_*.c. Gradients are with respect to inputs: weights are
   frozen.

   B batch, C channels, H W image, N tokens of an image (N = H W), S tokens of a text, R rows = the product of
   all dimensions but the last, D the last one. Images are [B, C, H, W], token sequences [B, N, C]. */
#ifndef TI_OPS_H
#define TI_OPS_H

#include "autograd/graph.h"

/* x [.., I] -> [.., O]: y = x W^T + b. weight [O, I] (or [O, I, 1, 1]: a 1x1 convolution seen from its
   tokens). */
Tensor *linear(Graph *g, Tensor *x, const Layer *layer);

/* x [B, C, H, W] -> [B, O, H', W'], weight [O, C, k, k] with k = 1 or 3, stride 1 or 2, zero padding.
   H' = (H + top + bottom - k) / stride + 1. */
Tensor *conv2d(Graph *g, Tensor *x, const Layer *layer, int stride, Padding padding);
#define PAD0    ((Padding) { 0, 0, 0, 0 })
#define PAD1    ((Padding) { 1, 1, 1, 1 })
#define PAD_END ((Padding) { 0, 1, 0, 1 }) /* bottom and right only: the VAE's downsampling */

/* x [B, C, H, W] or [B, C, N]; weight and bias [C]; mean and variance over a group's C / groups channels and
   all positions. C is divisible by groups. (Variance is the biased one.) */
Tensor *group_norm(Graph *g, Tensor *x, const Layer *layer, int groups, float eps);

/* x [.., D], weight and bias [D]; over the last dimension */
Tensor *layer_norm(Graph *g, Tensor *x, const Layer *layer, float eps);

Tensor *silu(Graph *g, Tensor *x);       /* x sigmoid(x) */
Tensor *gelu(Graph *g, Tensor *x);       /* x (1 + erf(x / sqrt 2)) / 2 */
Tensor *quick_gelu(Graph *g, Tensor *x); /* x sigmoid(1.702 x) */
Tensor *geglu(Graph *g, Tensor *x);      /* x [.., 2D] = (a, b) -> a gelu(b), [.., D] */

/* q [B, N, C], k and v [B, S, C], each head a contiguous slice of C / heads: softmax(q k^T / sqrt(C / heads))
   v. causal: token n sees tokens 0..n (N == S). A block of query rows at a time; the N x S matrix is never
   held. */
Tensor *attention(Graph *g, Tensor *q, Tensor *k, Tensor *v, int heads, bool causal);

/* ids [B * S], read at every run -> [B, S, D]. Row id of table [V, D] where id < V, else row id - V of rows
   [n, D], the learned ones (NULL: none). This is where the gradient reaches v*. */
Tensor *embedding(Graph *g, const Weight *table, Tensor *learned, const int32_t *ids, int64_t batch,
                  int64_t tokens);

Tensor *add(Graph *g, Tensor *a, Tensor *b);                       /* same shapes */
Tensor *add_position(Graph *g, Tensor *x, const Weight *position); /* x [B, S, D] + position [>= S, D] */
Tensor *add_channel(Graph *g, Tensor *x, Tensor *t);               /* x [B, C, H, W] + t [B, C] */
Tensor *concat(Graph *g, Tensor *a, Tensor *b); /* along the channels: [B, Ca + Cb, H, W] */

Tensor *repeat(Graph *g, Tensor *x,
               int64_t times); /* x [B, ..] -> [times B, ..]: the whole batch, times after another */

/* Nearest neighbour to height x width, as torch's interpolate: source row = floor(y H / height). */
Tensor *upsample_nearest(Graph *g, Tensor *x, int64_t height, int64_t width);

Tensor *to_tokens(Graph *g, Tensor *x);                               /* [B, C, H, W] -> [B, H W, C] */
Tensor *to_image(Graph *g, Tensor *x, int64_t height, int64_t width); /* and back */

/* t [B], as floats -> [B, dim] = (cos(t f), sin(t f)), f_i = exp(-ln(10000) i / (dim / 2)), in fp32 as the
   reference does (Timesteps with flip_sin_to_cos and freq_shift 0). No gradient. */
Tensor *timestep_embedding(Graph *g, Tensor *t, int64_t dim);

/* mean((pred - target)^2) -> [1]. target gets no gradient. */
Tensor *mse_loss(Graph *g, Tensor *pred, Tensor *target);

#endif
