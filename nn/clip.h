/* SPDX-License-Identifier: MIT */
/* CLIP's text encoder (transformers' CLIPTextModel): turns token ids into the context c_theta(y) that the
   UNet attends to.

   B batch, S text tokens, D width, n learned vectors. */
#ifndef TI_CLIP_H
#define TI_CLIP_H

#include "autograd/ops.h"
#include "nn/layers.h"
#include "weights/config.h"

typedef struct {
    Name name;
    Layer layer_norm1, q_proj, k_proj, v_proj, out_proj, layer_norm2, fc1, fc2;
} ClipLayer;

typedef struct {
    ClipConfig config;
    const Weight *token_embedding, *position_embedding; /* [vocab, D], [positions, D] */
    ClipLayer *layers;
    int used; /* how many of the layers clip_text runs: all, unless clip_skip leaves out the last ones */
    Layer final_layer_norm;
} Clip;

/* Weights that are missing or misshapen become messages in the store's errors. */
Clip clip_load(const ClipConfig *config, Store *s);
void clip_free(Clip *c);

/* Makes clip_text leave out the last n - 1 layers, for 1 <= n <= layers, so that 1 leaves out none: the
   context is final_layer_norm(hidden_states[-n]) of transformers. This is A1111's "Clip skip n". */
void clip_skip(Clip *c, int n);

/* One layer (transformers' CLIPEncoderLayer): self-attention and an MLP, each with a LayerNorm before it
   and a skip connection around it. x [B, S, D] -> the same shape. If `causal`, as in a text, a token
   attends to those before it and to itself; the patches of a picture attend to all. */
ClipLayer clip_layer_load(Store *s, const char *name, const ClipConfig *config);
Tensor *clip_layer(Graph *g, const ClipLayer *l, const ClipConfig *config, bool causal, Tensor *x);
/* Loads all layers of an encoder, [config->layers]; free() them. */
ClipLayer *clip_layers_load(Store *s, const ClipConfig *config);

/* Records the text encoder: ids [batch * tokens] -> the hidden state of the last layer that is used, after
   the final LayerNorm, [batch, tokens, D]. The ids are read in every forward pass. An id of vocab_size or
   more stands for row id - vocab_size of learned [n, D], the learned vectors; learned is NULL when there
   are none. */
Tensor *clip_text(Graph *g, const Clip *c, const int32_t *ids, int64_t batch, int64_t tokens,
                  Tensor *learned);

#endif
