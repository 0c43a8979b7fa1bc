/* SPDX-License-Identifier: MIT */
/* The blocks that the UNet and the VAE are built from. A struct holds a block's frozen weights in fields
   named after the checkpoint's keys, NAME_load finds these weights in a store, and the function with the
   block's name records its forward pass in a graph.

   B batch, C channels, H W image, N = H W tokens of an image, S text tokens, D width of the context. A
   factor n before B counts contexts: the UNet takes one batch of latents together with n contexts for
   each of them (classifier-free guidance has two, unconditional and conditional). Every block before the
   first cross-attention gives the same result for all n contexts, so it runs on tensors [B, ..]. From the
   first cross-attention on, tensors are [n B, ..]: the whole batch with its first contexts, then the
   whole batch with its second contexts. */
#ifndef TI_BLOCKS_H
#define TI_BLOCKS_H

#include "autograd/ops.h"
#include "nn/layers.h"

/* Gives x the batch size of `other`, which must be a multiple n of x's own: repeats the whole batch n times
   where n > 1 (like torch's x.repeat(n, 1, ..)), and returns x itself where n = 1. */
Tensor *repeat_batch_like(Graph *g, Tensor *x, const Tensor *other);

/* diffusers' ResnetBlock2D: two 3x3 convolutions, the projected time embedding added between them, and a skip
   connection around both. */
typedef struct {
    Name name;
    Layer norm1, conv1, norm2, conv2;
    Layer time_emb_proj; /* in the UNet only; NULL weights in the VAE */
    Layer conv_shortcut; /* the 1x1 convolution of the skip connection; NULL weights where in == out */
    int groups;
    float eps; /* of the group norms: 1e-5 in the UNet, 1e-6 in the VAE */
} Resnet;

/* in and out are numbers of channels. time is the width of the time embedding,
   or 0 in the VAE, which has none. */
Resnet resnet_load(Store *s, const char *name, int64_t in, int64_t out, int64_t time, int groups, float eps);
/* x [n B, in, H, W], temb [B, time] or NULL (the VAE) -> [n B, out, H, W] */
Tensor *resnet(Graph *g, const Resnet *r, Tensor *x, Tensor *temb);

/* The projections of a multi-head attention layer (latent diffusion paper, section 3.3):

       Attention(Q, K, V) = softmax(Q K^T / sqrt(d)) V,   Q = W_q x,  K = W_k context,  V = W_v context

   in each head, where d = C / heads. In self-attention the context is x itself, the tokens of the image. In
   cross-attention it is the text. */
typedef struct {
    Layer to_q, to_k, to_v, to_out;
    int heads;
} Attention;
typedef Attention SelfAttention, CrossAttention;

/* diffusers' BasicTransformerBlock: self-attention among the image's tokens, cross-attention from
   them to the text, and a feed-forward network with GEGLU. Each of the three has a LayerNorm before
   it and a skip connection around it. */
typedef struct {
    Layer norm1, norm2, norm3, ff_in, ff_out;
    SelfAttention attn1;
    CrossAttention attn2;
} TransformerBlock;

/* diffusers' Transformer2DModel: treats the pixels of an image as tokens and
   applies transformer blocks to them. */
typedef struct {
    Name name;
    Layer norm, proj_in, proj_out;
    TransformerBlock *blocks;
    int layers, groups;
} Transformer;

/* layers is the number of transformer blocks, and context is the width D of the text's tokens. */
Transformer transformer_load(Store *s, const char *name, int64_t channels, int heads, int layers,
                             int64_t context, int groups);
void transformer_free(Transformer *t);
/* x [B, C, H, W] (or already [n B, ..]), context [n B, S, D] -> [n B, C, H, W] */
Tensor *transformer(Graph *g, const Transformer *t, Tensor *x, Tensor *context);

/* The VAE's self-attention over pixels. Unlike the UNet's it has one head, and q, k and v have biases. It has
   a group norm before it and a skip connection around it. */
typedef struct {
    Name name;
    Layer group_norm;
    SelfAttention attention;
    int groups;
} VaeAttention;

VaeAttention vae_attention_load(Store *s, const char *name, int64_t channels, int groups);
/* x [B, C, H, W] -> the same shape */
Tensor *vae_attention(Graph *g, const VaeAttention *a, Tensor *x);

/* diffusers' Downsample2D and Upsample2D have the same single weight, a 3x3 convolution. */
typedef struct {
    Name name;
    Layer conv;
} Resample;

Resample resample_load(Store *s, const char *name, int64_t channels);
/* Halves the size of x [B, C, H, W] with a convolution of stride 2. padding is PAD1 in
   the UNet and PAD_END in the VAE. */
Tensor *downsample(Graph *g, const Resample *r, Tensor *x, Padding padding);
/* Resizes by nearest neighbour, then applies the convolution: x [B, C, H, W] -> [B, C, height, width]. */
Tensor *upsample(Graph *g, const Resample *r, Tensor *x, int64_t height, int64_t width);

#endif
