/* SPDX-License-Identifier: MIT */
#include "nn/clip_vision.h"

#include <stdlib.h>
#include <string.h>

/* The convolution of the patches does not overlap, so it is a linear layer of each patch, and its weight
   [D, 3, p, p] has the bytes of a matrix. */
static Weight *patch_matrix(const Weight *conv) {
    Weight *w = mem_alloc(sizeof *w);
    *w = *conv;
    w->shape = shape2(conv->shape.dim[0], weight_width(conv));
    return w;
}

/* In the reference the tokens are the class embedding and the embedded patches, to which the position
   embedding is added. Here row 0 of the embedded patches is zero, and the class embedding comes with its
   position. */
static Weight *positions(const Weight *position, const Weight *class_embedding) {
    int64_t width = position->shape.dim[1];
    float *table = mem_alloc((size_t)shape_count(position->shape) * sizeof *table);
    float *class = mem_alloc((size_t)width * sizeof *class);
    weight_read(position, table);
    weight_read(class_embedding, class);
    for (int64_t i = 0; i < width; i++) table[i] += class[i];
    free(class);
    Weight *w = mem_alloc(sizeof *w);
    *w = (Weight) { .name = position->name, .dtype = F32, .shape = position->shape, .data = table };
    return w;
}

ClipVision clip_vision_load(const ClipModelConfig *config, Store *vision, Store *projections) {
    const ClipConfig *c = &config->vision;
    int64_t width = c->hidden_size, p = config->patch_size;
    ClipVision v = { .config = *config };
    const Weight *class = store_get(vision, shape1(width), "embeddings.class_embedding");
    const Weight *conv = store_get(vision, shape4(width, 3, p, p), "embeddings.patch_embedding.weight");
    const Weight *position =
        store_get(vision, shape2(c->positions, width), "embeddings.position_embedding.weight");
    if (conv) v.patch_embedding = patch_matrix(conv);
    if (class && position) v.position = positions(position, class);
    v.pre_layrnorm = load_norm(vision, "", "pre_layrnorm", width);
    v.layers = clip_layers_load(vision, c);
    v.post_layernorm = load_norm(vision, "", "post_layernorm", width);
    v.visual_projection =
        load_linear(projections, "", "visual_projection", config->projection_dim, width, false);
    return v;
}

void clip_vision_free(ClipVision *v) {
    free(v->layers);
    free(v->patch_embedding);
    if (v->position) free((void *)v->position->data);
    free(v->position);
    *v = (ClipVision) { 0 };
}

Tensor *clip_vision(Graph *g, const ClipVision *v, Tensor *patches) {
    const ClipConfig *c = &v->config.vision;
    graph_block(g, "embeddings");
    Tensor *x = linear(g, patches, &(Layer) { v->patch_embedding, NULL });
    x = add_position(g, x, v->position);
    graph_block(g, "pre_layrnorm");
    x = layer_norm(g, x, &v->pre_layrnorm, c->layer_norm_eps);
    for (int i = 0; i < c->layers; i++) x = clip_layer(g, &v->layers[i], c, false, x);
    graph_block(g, "post_layernorm");
    x = layer_norm(g, x, &v->post_layernorm, c->layer_norm_eps);
    graph_block(g, "visual_projection");
    return linear(g, x, &v->visual_projection);
}

/* Copies the middle of a picture, which is at least as large. The rows and columns that are left out are as
   many on either side, or one more behind it. */
static bool cut_middle(const Image *in, int width, int height, Image *out, Messages *errors) {
    if (!image_new(width, height, out, errors)) return false;
    int64_t left = (in->width - width) / 2, top = (in->height - height) / 2;
    for (int64_t y = 0; y < height; y++)
        memcpy(out->rgb + y * width * 3, in->rgb + ((top + y) * in->width + left) * 3, (size_t)width * 3);
    return true;
}

bool clip_vision_crop(const PreprocessorConfig *c, const char *name, const Image *in, Image *out,
                      Messages *errors) {
    bool upright = in->width <= in->height;
    int64_t shorter = upright ? in->width : in->height, longer = upright ? in->height : in->width;
    int64_t length = c->shortest_edge * longer / shorter; /* rounded down */
    *out = (Image) { 0 };
    if (length > IMAGE_MAX_SIDE)
        return messages_add(errors, "%s: %d x %d is too long and narrow for CLIP", name, in->width,
                            in->height);
    Image resized;
    int side = (int)c->shortest_edge, width = upright ? side : (int)length,
        height = upright ? (int)length : side;
    if (!image_resize(in, width, height, RESAMPLING_BICUBIC, &resized, errors)) return false;
    bool ok = cut_middle(&resized, (int)c->crop_width, (int)c->crop_height, out, errors);
    image_free(&resized);
    return ok;
}

void clip_vision_patches(const PreprocessorConfig *c, const Image *image, int64_t patch, float *patches) {
    int64_t across = image->width / patch, down = image->height / patch, width = 3 * patch * patch;
    memset(patches, 0, (size_t)width * sizeof *patches);
    for (int64_t i = 0; i < down * across; i++) {
        float *to = patches + (i + 1) * width;
        for (int64_t k = 0; k < width; k++) {
            int64_t channel = k / (patch * patch), y = i / across * patch + k / patch % patch,
                    x = i % across * patch + k % patch;
            unsigned char byte = image->rgb[(y * image->width + x) * 3 + channel];
            to[k] = ((float)(byte * c->rescale_factor) - c->mean[channel]) / c->std[channel];
        }
    }
}
