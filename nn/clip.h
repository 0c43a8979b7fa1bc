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
    Layer final_layer_norm;
} Clip;

/* Weights that are missing or misshapen become messages in the store's errors. */
Clip clip_load(const ClipConfig *config, Store *s);
void clip_free(Clip *c);

/* One layer (transformers' CLIPEncoderLayer): causal self-attention and an MLP, each with a LayerNorm in
   front and a skip connection around. x [B, S, D] -> the same shape. */
ClipLayer clip_layer_load(Store *s, const char *name, const ClipConfig *config);
Tensor *clip_layer(Graph *g, const ClipLayer *l, const ClipConfig *config, Tensor *x);

/* ids [batch * tokens], read at every run -> the last hidden state behind the final LayerNorm, [batch,
   tokens, D]. An id from vocab_size on stands for row id - vocab_size of learned [n, D], the learned vectors;
   learned is NULL where there are none. */
Tensor *clip_text(Graph *g, const Clip *c, const int32_t *ids, int64_t batch, int64_t tokens,
                  Tensor *learned);

#endif
