/* CLIP's text encoder (transformers' CLIPTextModel): token ids -> the context c_theta(y) that the UNet
   attends to. */
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

/* What is missing is in the store's errors. */
Clip clip_load(const ClipConfig *config, Store *s);
void clip_free(Clip *c);

/* One layer: causal self-attention and an MLP, each behind a LayerNorm and a skip. x [B, S, D] -> the
   same. */
ClipLayer clip_layer_load(Store *s, const char *name, const ClipConfig *config);
Tensor *clip_layer(Graph *g, const ClipLayer *l, const ClipConfig *config, Tensor *x);

/* ids [batch * tokens], read at every run; an id >= vocab_size is row id - vocab_size of rows [n, D], the
   learned vectors (NULL: none). -> the last hidden state behind the final LayerNorm, [batch, tokens, D]. */
Tensor *clip_text(Graph *g, const Clip *c, const int32_t *ids, int64_t batch, int64_t tokens,
                  Tensor *learned);

#endif
