/* The blocks that the UNet and the VAE are built of. A struct holds a block's frozen weights under the
   checkpoint's names, NAME_load finds them, and a function of the block's name records its forward pass.

   B batch, C channels, H W image, N = H W tokens, S text tokens, D width of the context. */
#ifndef TI_BLOCKS_H
#define TI_BLOCKS_H

#include "autograd/ops.h"
#include "nn/layers.h"

/* A batch of pictures that several contexts look at (classifier-free guidance has two) runs once as long as
   no context has entered. Repeats x where `other` is that many batches, else it is x itself. */
Tensor *as_many(Graph *g, Tensor *x, const Tensor *other);

/* ResnetBlock2D: two 3x3 convolutions around a skip, the time embedding added between them. */
typedef struct {
    Name name;
    Layer norm1, conv1, time_emb_proj, norm2, conv2,
        conv_shortcut; /* time_emb_proj: UNet only; shortcut: in != out */
    int groups;
    float eps; /* 1e-5 in the UNet, 1e-6 in the VAE */
} Resnet;

/* time: width of the time embedding, 0 for none (the VAE) */
Resnet resnet_load(Store *s, const char *name, int64_t in, int64_t out, int64_t time, int groups, float eps);
/* x [n B, in, H, W], temb [B, time] or NULL -> [n B, out, H, W] */
Tensor *resnet(Graph *g, const Resnet *r, Tensor *x, Tensor *temb);

/* Attention: q from x, k and v from the context (x itself for self-attention). */
typedef struct {
    Layer to_q, to_k, to_v, to_out;
    int heads;
} Attention;

/* BasicTransformerBlock: self-attention, cross-attention, feed-forward with GEGLU, each behind a LayerNorm
   and a skip. */
typedef struct {
    Layer norm1, norm2, norm3, ff_in, ff_out;
    Attention attn1, attn2;
} TransformerBlock;

/* Transformer2DModel: an image's pixels as tokens that look at each other and at the text. */
typedef struct {
    Name name;
    Layer norm, proj_in, proj_out;
    TransformerBlock *blocks;
    int layers, groups;
} Transformer;

Transformer transformer_load(Store *s, const char *name, int64_t channels, int heads, int layers,
                             int64_t context, int groups);
void transformer_free(Transformer *t);
/* x [B, C, H, W], context [n B, S, D] -> [n B, C, H, W] */
Tensor *transformer(Graph *g, const Transformer *t, Tensor *x, Tensor *context);

/* The VAE's attention over pixels: one head, with biases, group norm before it. */
typedef struct {
    Name name;
    Layer group_norm;
    Attention attention;
    int groups;
} PixelAttention;

PixelAttention pixel_attention_load(Store *s, const char *name, int64_t channels, int groups);
Tensor *pixel_attention(Graph *g, const PixelAttention *a, Tensor *x); /* [B, C, H, W] -> the same */

/* Halves and doubles: a 3x3 convolution of stride 2, and one behind a nearest-neighbour upsampling. */
typedef struct {
    Name name;
    Layer conv;
} Resample;

Resample resample_load(Store *s, const char *name, int64_t channels);
Tensor *downsample(Graph *g, const Resample *r, Tensor *x, Padding padding);
Tensor *upsample(Graph *g, const Resample *r, Tensor *x, int64_t height, int64_t width);

#endif
