/* SPDX-License-Identifier: MIT */
/* Parses preprocessor_config.json, the config of transformers' CLIPImageProcessor. */
#include "io/object.h"
#include "weights/config.h"

static const JsonFixed FIXED[] = {
    { "do_resize", "true", NULL },    { "do_center_crop", "true", NULL }, { "do_rescale", "true", NULL },
    { "do_normalize", "true", NULL }, { "resample", "3", NULL }, /* bicubic */
};

/* Keys that change nothing here: pictures are always RGB, and the class is CLIP's under any of its names. */
static const char *const IGNORED[] = { "do_convert_rgb",
                                       "image_processor_type",
                                       "feature_extractor_type",
                                       "processor_class",
                                       "data_format",
                                       "input_data_format",
                                       "do_pad",
                                       "pad_size",
                                       "device",
                                       "return_tensors",
                                       "default_to_square",
                                       "disable_grouping",
                                       NULL };

enum { SIDE_MAX = 4096 };

/* Reads "size", a number in old files and else an object with the key "shortest_edge". */
static void read_size(JsonObject *o, PreprocessorConfig *c) {
    JsonObject inner;
    c->shortest_edge = 224;
    if (!json_is_object(object_member(o, "size"))) {
        c->shortest_edge = object_int(o, "size", c->shortest_edge, 1, SIDE_MAX);
    } else if (object_enter(&inner, o, "size")) {
        if (object_null(&inner, "shortest_edge"))
            object_fault(&inner, "shortest_edge", "no other way to give the size is supported");
        c->shortest_edge = object_int(&inner, "shortest_edge", c->shortest_edge, 1, SIDE_MAX);
        object_finish_strictly(&inner);
        object_close(&inner);
    }
}

/* Reads "crop_size", a number in old files and else an object with the keys "height" and "width". */
static void read_crop(JsonObject *o, PreprocessorConfig *c) {
    JsonObject inner;
    c->crop_height = c->crop_width = 224;
    if (!json_is_object(object_member(o, "crop_size"))) {
        c->crop_height = c->crop_width = object_int(o, "crop_size", 224, 1, SIDE_MAX);
    } else if (object_enter(&inner, o, "crop_size")) {
        c->crop_height = object_int(&inner, "height", 224, 1, SIDE_MAX);
        c->crop_width = object_int(&inner, "width", 224, 1, SIDE_MAX);
        object_finish_strictly(&inner);
        object_close(&inner);
    }
    if (c->crop_height > c->shortest_edge || c->crop_width > c->shortest_edge)
        object_fault(o, "crop_size", "it is larger than \"size\", whose borders would be black");
}

/* Reads a number for each of the three channels. */
static void read_channels(JsonObject *o, const char *key, const double absent[3], double low, float out[3]) {
    json_t *list = object_member(o, key);
    for (size_t i = 0; i < 3; i++) {
        json_t *m = json_array_get(list, i);
        double v = m ? json_number_value(m) : absent[i];
        out[i] = (float)v;
        if ((list && json_array_size(list) != 3) || (m && !json_is_number(m)) || !(v >= low && v <= 1000)) {
            object_fault(o, key, "a list of three numbers from %g to 1000 is needed", low);
            return;
        }
    }
}

bool preprocessor_config_parse(const char *path, const void *text, size_t size, PreprocessorConfig *c,
                               Messages *errors, Messages *warnings) {
    static const double mean[3] = { 0.48145466, 0.4578275, 0.40821073 },
                        std[3] = { 0.26862954, 0.26130258, 0.27577711 };
    int before = errors->count;
    JsonObject o;
    *c = (PreprocessorConfig) { 0 };
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    read_size(&o, c);
    read_crop(&o, c);
    c->rescale_factor = object_number(&o, "rescale_factor", 1 / 255.0, 1e-6, 1);
    read_channels(&o, "image_mean", mean, -1000, c->mean);
    read_channels(&o, "image_std", std, 1e-6, c->std);
    object_fixed(&o, FIXED, sizeof FIXED / sizeof *FIXED);
    object_ignore(&o, IGNORED);
    object_finish(&o);
    object_close(&o);
    return errors->count == before;
}
