/* SPDX-License-Identifier: MIT */
/* Tests CLIP against transformers: the preparation of pictures, and the features of pictures and texts on
   the embedded model's CLIP (also in a safety checker), on a tiny one whose encoders have different widths,
   and on one of the size of ViT-B/32 whose weights are generated from their names (tests/made_model.h). */
#include "io/sha256.h"
#include "nn/clip_model.h"
#include "tests/command.h"
#include "tests/made_model.h"
#include "tests/network.h"
#include "tests/run_graph.h"
#include "tests/tokenizer.h"
#include "weights/safetensors.h"

#include <math.h>
#include <omp.h>

static const double TOLERANCE = 1e-5;
enum { THREADS = 2 };

/* Splits a text into lines; free() the list, whose first item owns all. */
static char **lines_of(const char *text, int *count) {
    char **lines = mem_alloc((strlen(text) + 1) * sizeof *lines), *line = mem_string(text);
    for (*count = 0; line; (*count)++) {
        lines[*count] = line;
        line = strchr(line, '\n');
        if (line) *line++ = 0;
    }
    return lines;
}

static void lines_free(char **lines) {
    free(lines[0]);
    free(lines);
}

static Image load(const char *path) {
    Messages errors = { 0 };
    Image image;
    CHECK(image_load(path, &image, &errors));
    return image;
}

static Image crop_of(const PreprocessorConfig *c, const char *path) {
    Messages errors = { 0 };
    Image image = load(path), crop;
    CHECK(clip_vision_crop(c, path, &image, &crop, &errors));
    image_free(&image);
    return crop;
}

/* Compares the bytes of each picture after resizing and cropping, by their hashes. */
static void test_crops(const Golden *g, const PreprocessorConfig *embedded) {
    PreprocessorConfig large = { .shortest_edge = 224, .crop_height = 224, .crop_width = 224 };
    int count;
    char **paths = lines_of(golden_meta(g, "pictures"), &count), hash[SHA256_TEXT];
    for (int i = 0; i < 2 * count; i++) {
        const PreprocessorConfig *c = i < count ? embedded : &large;
        Image crop = crop_of(c, paths[i % count]);
        sha256_text(crop.rgb, (size_t)crop.width * (size_t)crop.height * 3, hash);
        const char *want = golden_meta(g, "crop:%d:%d", (int)c->crop_width, i % count);
        test_true(paths[i % count], strcmp(hash, want) == 0, "at %d pixels", (int)c->crop_width);
        image_free(&crop);
    }
    lines_free(paths);
}

/* Compares the input of the encoder, which must have the same bits. The golden has the channels of the whole
   picture, from which the patches are taken here. */
static void test_patches(const Golden *g, const ClipFolder *f) {
    int64_t side = f->config.image_size, p = f->config.patch_size, across = side / p, width = 3 * p * p;
    size_t floats = (size_t)(f->config.vision.positions * width);
    float *want = mem_alloc(floats * sizeof *want), *got = mem_alloc(floats * sizeof *got);
    float *pixels = golden_floats(g, "pixels"), *to = want + width;
    for (int64_t i = 0; i < across * across; i++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t y = 0; y < p; y++)
                for (int64_t x = 0; x < p; x++)
                    *to++ = pixels[(c * side + i / across * p + y) * side + i % across * p + x];
    int count;
    char **paths = lines_of(golden_meta(g, "pictures"), &count);
    Image crop = crop_of(&f->preprocessor, paths[0]);
    memset(got, 0xff, floats * sizeof *got);
    clip_vision_patches(&f->preprocessor, &crop, p, got);
    test_same("patches", got, want, floats * sizeof *got);
    image_free(&crop);
    lines_free(paths);
    free(pixels);
    free(want);
    free(got);
}

/* Computes the features of the pictures and texts of the golden file one by one, as commands do. */
static void test_features(const Golden *g, ClipFeatures *f, const char *prefix, char **paths, int pictures,
                          char **texts, int text_count) {
    Messages errors = { 0 }, warnings = { 0 };
    int64_t length = f->model->folder.config.projection_dim;
    float *image = mem_alloc((size_t)(pictures * length) * sizeof *image),
          *text = mem_alloc((size_t)(text_count * length) * sizeof *text);
    Arena arena;
    CHECK(arena_allocate(&arena, clip_features_bytes(f, THREADS)));
    clip_features_bind(f, &arena, THREADS);
    for (int i = 0; i < pictures; i++) {
        Image picture = load(paths[i]);
        CHECK(clip_image_feature(f, paths[i], &picture, image + i * length, &errors));
        image_free(&picture);
    }
    for (int i = 0; i < text_count; i++)
        CHECK(clip_text_feature(f, texts[i], text + i * length, &errors, &warnings));
    char *image_name = mem_format("%simage", prefix), *text_name = mem_format("%stext", prefix);
    golden_close(g, image_name, image, shape2(pictures, length), TOLERANCE);
    if (text_count) golden_close(g, text_name, text, shape2(text_count, length), TOLERANCE);
    messages_free(&warnings);
    arena_free(&arena);
    free(image_name);
    free(text_name);
    free(image);
    free(text);
}

static void test_embedded(const Golden *g) {
    Messages errors = { 0 }, warnings = { 0 };
    ClipFolder folder;
    ClipModel m;
    CHECK(clip_folder_open("weights/critters/clip", safetensors_open, &folder, &errors, &warnings));
    CHECK(clip_model_open(folder, &m, &errors));
    test_true("weights/critters/clip", warnings.count == 0, "%s", warnings.text ? warnings.text : "opens");
    test_crops(g, &m.folder.preprocessor);
    test_patches(g, &m.folder);
    int pictures, texts;
    char **paths = lines_of(golden_meta(g, "pictures"), &pictures),
         **lines = lines_of(golden_meta(g, "texts"), &texts);
    ClipFeatures f = clip_features_new(&m, (PlanOptions) { 0 });
    test_features(g, &f, "", paths, pictures, lines, texts);
    clip_features_free(&f);
    lines_free(paths);
    lines_free(lines);
    clip_model_close(&m);
}

/* Compares one row of a result, scaled to length 1. */
static void test_row(const Golden *g, const char *name, float *row, int64_t length) {
    double norm = sqrt(dot_product(row, row, length));
    for (int64_t i = 0; i < length; i++) row[i] = (float)((double)row[i] / norm);
    golden_close(g, name, row, shape2(1, length), TOLERANCE);
}

/* The configs of golden/clip.py's tiny model and of its model of full size. */
static const ClipModelConfig TINY = {
    .text = { 50, 24, 40, 9, 2, 3, 1e-5f, ACT_GELU },
    .vision = { 0, 40, 56, 10, 3, 5, 1e-3f, ACT_GELU },
    .eos_token_id = 40,
    .image_size = 15,
    .patch_size = 5,
    .projection_dim = 17,
};
static const ClipModelConfig FULL = {
    .text = { 49408, 512, 2048, 77, 12, 8, 1e-5f, ACT_QUICK_GELU },
    .vision = { 0, 768, 3072, 50, 12, 12, 1e-5f, ACT_QUICK_GELU },
    .eos_token_id = 49407,
    .image_size = 224,
    .patch_size = 32,
    .projection_dim = 512,
};

/* A config without fields is that of ViT-B/32. */
static void test_defaults(void) {
    static const char text[] = "{\"model_type\": \"clip\", \"text_config\": {}, \"vision_config\": {}}";
    Messages errors = { 0 }, warnings = { 0 };
    ClipModelConfig c;
    PreprocessorConfig p;
    CHECK(clip_model_config_parse("a", text, strlen(text), &c, &errors, &warnings));
    CHECK(preprocessor_config_parse("a", "{}", 2, &p, &errors, &warnings));
    const ClipConfig *encoders[] = { &c.text, &FULL.text, &c.vision, &FULL.vision };
    for (int i = 0; i < 4; i += 2) {
        const ClipConfig *a = encoders[i], *b = encoders[i + 1];
        test_true(i ? "defaults of the picture encoder" : "defaults of the text encoder",
                  a->vocab_size == b->vocab_size && a->hidden_size == b->hidden_size &&
                      a->intermediate_size == b->intermediate_size && a->positions == b->positions &&
                      a->layers == b->layers && a->heads == b->heads && a->activation == b->activation &&
                      a->layer_norm_eps == b->layer_norm_eps,
                  "%lld wide", (long long)a->hidden_size);
    }
    test_true("defaults",
              c.eos_token_id == FULL.eos_token_id && c.image_size == FULL.image_size &&
                  c.patch_size == FULL.patch_size && c.projection_dim == FULL.projection_dim,
              "of ViT-B/32");
    test_true("defaults of the preprocessor",
              p.crop_width == 224 && p.mean[0] == 0.48145466f && p.mean[1] == 0.4578275f &&
                  p.mean[2] == 0.40821073f && p.std[0] == 0.26862954f && p.std[1] == 0.26130258f &&
                  p.std[2] == 0.27577711f,
              "CLIP's");
}

/* Runs both encoders of the tiny model under all memory plans, and compares the rows that are features. */
static void test_tiny(const Golden *g) {
    Store *text = golden_store(g, "tiny/text_model."), *vision = golden_store(g, "tiny/vision_model."),
          *projections = golden_store(g, "tiny/");
    ClipModel m = { .folder.config = TINY,
                    .text = clip_load(&TINY.text, text),
                    .vision = clip_vision_load(&TINY, vision, projections) };
    m.text_projection =
        load_linear(projections, "", "text_projection", TINY.projection_dim, TINY.text.hidden_size, false);
    Graph *graph = graph_new();
    Tensor *patches = golden_constant(graph, g, "tiny/patches");
    Tensor *out = clip_vision(graph, &m.vision, patches);
    float *result = run_graph(graph, out, NULL, NULL, 0, PRECISION_F32, "tiny vision");
    test_row(g, "tiny/image", result, TINY.projection_dim);
    free(result);
    golden_leaf_free(patches);
    graph_free(graph);

    int64_t tokens = TINY.text.positions;
    int32_t *ids = golden_ints(g, NULL, "tiny/ids");
    graph = graph_new();
    out = linear(graph, clip_text(graph, &m.text, ids, 1, tokens, NULL), &m.text_projection);
    result = run_graph(graph, out, NULL, NULL, 0, PRECISION_F32, "tiny text");
    test_row(g, "tiny/text", result + clip_model_pooled(&m, ids, tokens) * TINY.projection_dim,
             TINY.projection_dim);
    m.folder.config.eos_token_id = 2;
    test_row(g, "tiny/text_legacy", result + clip_model_pooled(&m, ids, tokens) * TINY.projection_dim,
             TINY.projection_dim);
    m.folder.config.eos_token_id = 33; /* which no text has: the reference then takes the first token */
    test_true("no end token", clip_model_pooled(&m, ids, tokens) == 0, "row 0");
    free(result);
    free(ids);
    graph_free(graph);
    clip_vision_free(&m.vision);
    clip_free(&m.text);
}

/* Makes a model's folder whose safety checker has the picture encoder of the embedded CLIP, and compares its
   features of pictures with the same goldens. */
static void test_checker(const Golden *g) {
    Messages errors = { 0 }, warnings = { 0 };
    char *folder = folder_new();
    make_safety_checker(folder);
    ClipFolder checker;
    ClipModel m;
    CHECK(clip_folder_has_checker(folder));
    CHECK(clip_folder_open_checker(folder, safetensors_open, &checker, &errors, &warnings));
    CHECK(clip_model_open(checker, &m, &errors));
    int pictures;
    char **paths = lines_of(golden_meta(g, "pictures"), &pictures);
    ClipFeatures f = clip_features_new(&m, (PlanOptions) { 0 });
    test_true("safety checker", m.tokenizer == NULL && f.text == NULL, "has no text encoder");
    test_features(g, &f, "", paths, pictures, NULL, 0);
    clip_features_free(&f);
    clip_model_close(&m);
    lines_free(paths);
    folder_remove(folder);
    free(folder);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const SafeTensor *)a)->weight.name, ((const SafeTensor *)b)->weight.name);
}

/* Generates the weights of the model of full size in memory, as a file in F16 that was opened. */
static Safetensors make_weights(const MadeTensors *made) {
    Safetensors s = { .path = "made", .count = made->count };
    s.tensors = mem_alloc((size_t)made->count * sizeof *s.tensors);
    for (int64_t k = 0; k < made->count; k++) {
        const MadeTensor *t = &made->at[k];
        int64_t count = shape_count(t->shape);
        unsigned char *indices = mem_alloc((size_t)count);
        float *data = mem_alloc((size_t)count * sizeof *data);
        made_indices(t, 0, count, indices);
        for (int64_t i = 0; i < count; i++)
            data[i] = (float)ldexp(t->centre - t->spread + indices[i], -t->exponent);
        free(indices);
        s.tensors[k] =
            (SafeTensor) { { t->name.text, F32, t->shape, data }, "F32", true, (size_t)count * sizeof *data };
    }
    qsort(s.tensors, (size_t)s.count, sizeof *s.tensors, by_name);
    return s;
}

static void test_full(const Golden *g) {
    MadeTensors made = made_clip_tensors(&FULL);
    Safetensors s = make_weights(&made);
    Messages errors = { 0 };
    ClipFolder folder = { .config = FULL, .has_text = true };
    folder.preprocessor = (PreprocessorConfig) { 224,
                                                 224,
                                                 224,
                                                 1 / 255.0,
                                                 { 0.48145466f, 0.4578275f, 0.40821073f },
                                                 { 0.26862954f, 0.26130258f, 0.27577711f } };
    folder.text = store_new(&s, 1, "text_model.", NULL, &errors);
    folder.vision = store_new(&s, 1, "vision_model.", NULL, &errors);
    folder.projections = store_new(&s, 1, "", NULL, &errors);
    folder.merges_path = mem_string("weights/clip/merges.txt");
    folder.tokenizer.model_max_length = FULL.text.positions;
    ClipModel m;
    CHECK(clip_model_open(folder, &m, &errors));
    int pictures, texts;
    char **paths = lines_of(golden_meta(g, "pictures"), &pictures),
         **lines = lines_of(golden_meta(g, "texts"), &texts);
    ClipFeatures f = clip_features_new(&m, (PlanOptions) { 0 });
    test_features(g, &f, "full/", paths, 1, lines, 1);
    clip_features_free(&f);
    clip_model_close(&m);
    lines_free(paths);
    lines_free(lines);
    for (int64_t i = 0; i < s.count; i++) free((void *)s.tensors[i].weight.data);
    free(s.tensors);
    free(made.at);
}

int main(void) {
    omp_set_num_threads(THREADS);
    Golden *g = golden_open("golden/clip.safetensors");
    test_embedded(g);
    test_checker(g);
    test_defaults();
    test_tiny(g);
    test_full(g);
    golden_free(g);
    return test_finish();
}
