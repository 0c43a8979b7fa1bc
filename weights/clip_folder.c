/* SPDX-License-Identifier: MIT */
#include "weights/clip_folder.h"

#include <stdlib.h>

/* Reads both configs, the preprocessor's from the folder `processor`. */
static bool read_configs(ClipFolder *f, const char *processor, Messages *errors, Messages *warnings) {
    char *config = mem_format("%s/config.json", f->path);
    bool found = path_is_file(config);
    free(config);
    if (!found)
        return messages_add(
            errors,
            "%s: has no config.json: is no folder with a CLIP in transformers' layout (OpenCLIP has "
            "another one)",
            f->path);
    ConfigFile t;
    bool ok = config_file_open(f->path, "config.json", &t, errors) &&
              clip_model_config_parse(t.path, t.file.data, t.file.size, &f->config, errors, warnings);
    config_file_close(&t);
    if (!ok) return false;
    ok = config_file_open(processor, "preprocessor_config.json", &t, errors) &&
         preprocessor_config_parse(t.path, t.file.data, t.file.size, &f->preprocessor, errors, warnings);
    config_file_close(&t);
    int64_t side = f->config.image_size;
    if (ok && (f->preprocessor.crop_height != side || f->preprocessor.crop_width != side))
        return messages_add(
            errors,
            "%s/preprocessor_config.json: \"crop_size\" is %lld x %lld, but the image_size of "
            "the picture encoder is %lld",
            processor, (long long)f->preprocessor.crop_width, (long long)f->preprocessor.crop_height,
            (long long)side);
    return ok;
}

static Store *store_of(const ClipFolder *f, const char *prefix, Messages *errors) {
    return store_new(f->files.files, f->files.count, prefix, NULL, errors);
}

bool clip_folder_open(const char *path, WeightsOpener *open, ClipFolder *f, Messages *errors,
                      Messages *warnings) {
    int before = errors->count;
    *f = (ClipFolder) { .path = mem_string(path), .has_text = true };
    if (read_configs(f, path, errors, warnings)) { /* else further messages would not help */
        tokenizer_files_read(path, f->config.text.positions, f->config.text.vocab_size, &f->tokenizer,
                             &f->vocab_path, &f->merges_path, errors, warnings);
        weight_files_open(&f->files, path, "model", open, errors);
        f->text = store_of(f, "text_model.", errors);
        f->vision = store_of(f, "vision_model.", errors);
        f->projections = store_of(f, "", errors);
    }
    if (errors->count == before) return true;
    clip_folder_close(f);
    return false;
}

bool clip_folder_open_checker(const char *model, WeightsOpener *open, ClipFolder *f, Messages *errors,
                              Messages *warnings) {
    int before = errors->count;
    *f = (ClipFolder) { .path = mem_format("%s/safety_checker", model) };
    char *processor = mem_format("%s/feature_extractor", model);
    if (read_configs(f, processor, errors, warnings)) {
        weight_files_open(&f->files, f->path, "model", open, errors);
        f->vision = store_of(f, "vision_model.vision_model.", errors);
        f->projections = store_of(f, "", errors);
    }
    free(processor);
    if (errors->count == before) return true;
    clip_folder_close(f);
    return false;
}

bool clip_folder_has_checker(const char *model) {
    char *folder = mem_format("%s/safety_checker", model);
    bool has = path_is_folder(folder);
    free(folder);
    return has;
}

void clip_folder_close(ClipFolder *f) {
    store_free(f->text);
    store_free(f->vision);
    store_free(f->projections);
    weight_files_close(&f->files);
    tokenizer_config_free(&f->tokenizer);
    free(f->vocab_path);
    free(f->merges_path);
    free(f->path);
    *f = (ClipFolder) { 0 };
}
