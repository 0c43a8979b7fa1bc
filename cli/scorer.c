/* SPDX-License-Identifier: MIT */
#include "cli/scorer.h"

#include "cli/common.h"
#include "cli/console.h"
#include "exchange/family.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>

/* Opens the folder of a CLIP. Returns false when there is none, and adds a message for each fault of one. */
static bool find_clip(const char *clip, const char *model, ClipFolder *folder, Messages *errors,
                      Messages *warnings) {
    if (clip) return clip_folder_open(clip, weights_open, folder, errors, warnings);
    char *own = mem_format("%s/clip", model);
    bool ok = false;
    if (path_is_folder(own))
        ok = clip_folder_open(own, weights_open, folder, errors, warnings);
    else if (clip_folder_has_checker(model))
        ok = clip_folder_open_checker(model, weights_open, folder, errors, warnings);
    free(own);
    return ok;
}

bool scorer_open(Scorer *s, const char *clip, const char *model, Precision precision, int threads,
                 Messages *errors, Messages *warnings) {
    int before = errors->count;
    ClipFolder folder;
    *s = (Scorer) { 0 };
    if (clip && strcmp(clip, "none") == 0) return true;
    if (!find_clip(clip, model, &folder, errors, warnings)) {
        if (errors->count == before)
            console_line(stderr,
                         "ti: the model has no CLIP to score pictures with (--clip FOLDER gives one)");
        return errors->count == before;
    }
    if (!clip_model_open(folder, &s->model, errors)) return false;
    s->path = mem_string(s->model.folder.path);
    console_line(stderr, "ti: CLIP %s%s", s->path,
                 scorer_has_text(s) ? "" : ", which has no text encoder, so that only pictures are compared");
    s->features = clip_features_new(&s->model, (PlanOptions) { .precision = precision });
    if (!get_arena(&s->arena, clip_features_bytes(&s->features, threads), "fewer --threads", errors))
        return false;
    clip_features_bind(&s->features, &s->arena, threads);
    return true;
}

void scorer_close(Scorer *s) {
    clip_features_free(&s->features);
    arena_free(&s->arena);
    if (s->path) clip_model_close(&s->model);
    free(s->path);
    *s = (Scorer) { 0 };
}

int64_t scorer_width(const Scorer *s) { return s->model.folder.config.projection_dim; }

bool scorer_has_text(const Scorer *s) { return s->model.tokenizer != NULL; }

float *scorer_files(Scorer *s, const Pictures *files, Messages *errors) {
    int64_t width = scorer_width(s);
    float *features = mem_alloc((size_t)(files->count * width) * sizeof *features);
    bool ok = true;
    for (int64_t i = 0; i < files->count; i++) {
        Image image;
        bool read = image_load(files->paths[i], &image, errors);
        ok = ok && read &&
             clip_image_feature(&s->features, files->paths[i], &image, features + i * width, errors);
        image_free(&image);
    }
    if (ok) return features;
    free(features);
    return NULL;
}

bool scorer_list(const Scorer *s, const char *folder, Pictures *out, Messages *errors, Messages *warnings) {
    int side = (int)s->model.folder.config.image_size;
    return pictures_list(folder, (PictureFit) { side, side, false }, out, errors, warnings);
}
