/* SPDX-License-Identifier: MIT */
#include "nn/clip_model.h"

#include "autograd/finite.h"
#include "text/prompt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool clip_model_open(ClipFolder folder, ClipModel *m, Messages *errors) {
    int before = errors->count;
    const ClipModelConfig *c = &folder.config;
    *m = (ClipModel) { .folder = folder };
    m->vision = clip_vision_load(c, folder.vision, folder.projections);
    if (folder.has_text) {
        m->tokenizer = tokenizer_load(folder.vocab_path, folder.merges_path, &folder.tokenizer, errors);
        m->text = clip_load(&c->text, folder.text);
        m->text_projection = load_linear(folder.projections, "", "text_projection", c->projection_dim,
                                         c->text.hidden_size, false);
    }
    if (m->tokenizer && tokenizer_vocab_size(m->tokenizer) > c->text.vocab_size)
        messages_add(errors, "%s: the tokenizer has %lld tokens, the text encoder %lld", folder.path,
                     (long long)tokenizer_vocab_size(m->tokenizer), (long long)c->text.vocab_size);
    if (errors->count == before) return true;
    clip_model_close(m);
    return false;
}

void clip_model_close(ClipModel *m) {
    clip_free(&m->text);
    clip_vision_free(&m->vision);
    if (m->tokenizer) tokenizer_free(m->tokenizer);
    clip_folder_close(&m->folder);
    *m = (ClipModel) { 0 };
}

int64_t clip_model_pooled(const ClipModel *m, const int32_t *ids, int64_t tokens) {
    enum { WRONG_EOS = 2 };
    int64_t eos = m->folder.config.eos_token_id, largest = 0;
    for (int64_t i = 0; i < tokens; i++) {
        if (eos != WRONG_EOS && ids[i] == eos) return i;
        if (ids[i] > ids[largest]) largest = i;
    }
    return eos == WRONG_EOS ? largest : 0;
}

ClipFeatures clip_features_new(const ClipModel *m, PlanOptions plan) {
    ClipFeatures f = { .model = m, .vision = graph_new() };
    const ClipModelConfig *c = &m->folder.config;
    Shape shape = shape3(1, c->vision.positions, 3 * c->patch_size * c->patch_size);
    f.patches = mem_alloc((size_t)shape_count(shape) * sizeof *f.patches);
    f.of_vision = clip_vision(f.vision, &m->vision, graph_leaf(f.vision, "patches", shape, f.patches, NULL));
    f.vision_plan = graph_plan(f.vision, f.of_vision, plan);
    if (!m->tokenizer) return f;
    int64_t tokens = tokenizer_max_length(m->tokenizer);
    f.ids = mem_alloc((size_t)tokens * sizeof *f.ids);
    f.text = graph_new();
    Tensor *states = clip_text(f.text, &m->text, f.ids, 1, tokens, NULL);
    graph_block(f.text, "text_projection");
    /* As in clip_vision, all rows are projected, of which one is read. */
    f.of_text = linear(f.text, states, &m->text_projection);
    f.text_plan = graph_plan(f.text, f.of_text, plan);
    return f;
}

void clip_features_free(ClipFeatures *f) {
    if (f->vision) graph_free(f->vision);
    if (f->text) graph_free(f->text);
    free(f->patches);
    free(f->ids);
    *f = (ClipFeatures) { 0 };
}

int64_t clip_features_bytes(const ClipFeatures *f, int threads) {
    int64_t vision = plan_bytes(&f->vision_plan, threads);
    return f->text ? max_i64(vision, plan_bytes(&f->text_plan, threads)) : vision;
}

void clip_features_bind(ClipFeatures *f, Arena *arena, int threads) {
    graph_bind(f->vision, arena, threads);
    if (f->text) graph_bind(f->text, arena, threads);
}

/* Runs a graph whose result is [1, rows, F], and scales one row of the result to length 1. */
static bool run(Graph *g, const Tensor *result, int64_t row, const char *what, float *out, Messages *errors) {
    graph_forward(g);
    if (!check_finite(g, result, what, errors)) return false;
    int64_t length = result->shape.dim[2];
    const float *feature = result->data + row * length;
    double norm = sqrt(dot_product(feature, feature, length));
    if (norm == 0) return messages_add(errors, "%s is zero, so that it has no direction", what);
    for (int64_t i = 0; i < length; i++) out[i] = (float)((double)feature[i] / norm);
    return true;
}

bool clip_image_feature(ClipFeatures *f, const char *name, const Image *image, float *out, Messages *errors) {
    const ClipFolder *folder = &f->model->folder;
    Image crop;
    if (!clip_vision_crop(&folder->preprocessor, name, image, &crop, errors)) return false;
    clip_vision_patches(&folder->preprocessor, &crop, folder->config.patch_size, f->patches);
    image_free(&crop);
    return run(f->vision, f->of_vision, 0, "CLIP's feature of a picture", out, errors);
}

bool clip_text_feature(ClipFeatures *f, const char *text, float *out, Messages *errors, Messages *warnings) {
    const Tokenizer *t = f->model->tokenizer;
    CHECK(t != NULL);
    int64_t tokens = tokenizer_max_length(t);
    int32_t *ids = prompt_ids(t, text, warnings);
    memcpy(f->ids, ids, (size_t)tokens * sizeof *ids);
    free(ids);
    return run(f->text, f->of_text, clip_model_pooled(f->model, f->ids, tokens), "CLIP's feature of a text",
               out, errors);
}
