/* SPDX-License-Identifier: MIT */
/* CLIP's encoder of pictures, a vision transformer (transformers' CLIPVisionModelWithProjection; Radford et
   al. 2021, section 2.4), and the preparation of its input (CLIPImageProcessor).

   B batch, P patches of p x p pixels, D width, F length of a feature. */
#ifndef TI_CLIP_VISION_H
#define TI_CLIP_VISION_H

#include "io/image.h"
#include "nn/clip.h"

typedef struct {
    ClipModelConfig config;
    Weight *patch_embedding; /* [D, 3 p p]: the convolution whose kernel and stride are a patch */
    Weight *position;        /* [P + 1, D] in fp32; the class embedding is added to row 0 */
    Layer pre_layrnorm;      /* the checkpoint's own spelling */
    ClipLayer *layers;
    Layer post_layernorm, visual_projection;
} ClipVision;

/* Finds the weights of the encoder in `vision` and its projection in `projections`. Weights that are
   missing or misshapen become messages in the stores' errors, and then the encoder must not run. */
ClipVision clip_vision_load(const ClipModelConfig *config, Store *vision, Store *projections);
void clip_vision_free(ClipVision *v);

/* Records the encoder: patches [B, P + 1, 3 p p], of which row 0 is zero and the others are those of
   clip_vision_patches -> [B, P + 1, F]. Row 0, which belongs to the class embedding, is the picture's
   feature, not normalised. The other rows mean nothing. To compute them is less than a hundredth of the
   work, and spares an op that would select a row. */
Tensor *clip_vision(Graph *g, const ClipVision *v, Tensor *patches);

/* Resizes a picture so that its shorter side has shortest_edge pixels, with the bytes of Pillow's bicubic
   filter, and cuts out its middle. *out is a new picture. Returns false and adds a message, which begins
   with `name`, when the picture is too long and narrow or there is no memory. */
bool clip_vision_crop(const PreprocessorConfig *c, const char *name, const Image *in, Image *out,
                      Messages *errors);
/* Writes such a picture as [P + 1, 3 p p], row 0 zero: its patches from left to right and from top to bottom,
   each of them by channel, row and column, with the value (byte * rescale_factor - mean) / std. */
void clip_vision_patches(const PreprocessorConfig *c, const Image *image, int64_t patch, float *patches);

#endif
