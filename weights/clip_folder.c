#include "weights/clip_folder.h"

#include <stdlib.h>

/* The type of the functions that parse a config into *c. */
typedef bool ConfigParser(const char *path, const void *text, size_t size, void *c, Messages *errors,
                          Messages *warnings);

static bool parse_model(const char *path, const void *text, size_t size, void *c, Messages *errors,
                        Messages *warnings) {
    return clip_model_config_parse(path, text, size, c, errors, warnings);
}

static bool parse_preprocessor(const char *path, const void *text, size_t size, void *c, Messages *errors,
                               Messages *warnings) {
    return preprocessor_config_parse(path, text, size, c, errors, warnings);
}

static bool read_config(const char *folder, const char *name, ConfigParser *parse, void *c, Messages *errors,
                        Messages *warnings) {
    char *path = mem_format("%s/%s", folder, name);
    File file = { 0 };
    bool ok = file_read(path, &file, errors) && parse(path, file.data, file.size, c, errors, warnings);
    file_close(&file);
    free(path);
    return ok;
}

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
    bool ok = read_config(f->path, "config.json", parse_model, &f->config, errors, warnings) &&
              read_config(processor, "preprocessor_config.json", parse_preprocessor, &f->preprocessor, errors,
                          warnings);
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
