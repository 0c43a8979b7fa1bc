/* SPDX-License-Identifier: MIT */
/* Parses vae/config.json, the config of diffusers' AutoencoderKL. */
#include <string.h>

#include "weights/config.h"
#include "io/object.h"

static const JsonFixed FIXED[] = {
    { "act_fn", "\"silu\"", "\"swish\"" },
    { "shift_factor", "null", "0" },
    { "latents_mean", "null", NULL },
    { "latents_std", "null", NULL },
};

/* force_upcast changes nothing here, since all arithmetic is fp32. */
static const char *const IGNORED[] = { "force_upcast", NULL };

/* Checks that a list of block types has one entry for each level and that all are of this type. */
static void check_blocks(JsonObject *o, const char *key, const char *type, int levels) {
    const json_t *m = object_member(o, key);
    if (levels == 0) return; /* its length cannot be checked */
    bool ok = json_is_array(m) && json_array_size(m) == (size_t)levels;
    for (int i = 0; i < levels && ok; i++) {
        const char *name = json_string_value(json_array_get(m, (size_t)i));
        ok = name && strcmp(name, type) == 0;
    }
    if (!ok)
        object_fault(o, key, "a list of %d (as block_out_channels), all \"%s\", is supported", levels, type);
}

bool vae_config_parse(const char *path, const void *text, size_t size, VaeConfig *c, Messages *errors,
                      Messages *warnings) {
    int before = errors->count;
    JsonObject o;
    *c = (VaeConfig) { 0 };
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    c->in_channels = object_int(&o, "in_channels", 3, 3, 3);
    c->out_channels = object_int(&o, "out_channels", 3, 3, 3);
    c->latent_channels = object_int(&o, "latent_channels", 4, 1, 256);
    int64_t sides[2] = { 0 };
    object_ints(&o, "sample_size", 32, 1, 65536, json_is_array(object_member(&o, "sample_size")) ? 2 : 1,
                sides);
    c->sample_size = sides[0];
    c->layers_per_block = (int)object_int(&o, "layers_per_block", 1, 1, 16);
    c->groups = (int)object_int(&o, "norm_num_groups", 32, 1, 65536);
    c->scaling_factor = (float)object_number(&o, "scaling_factor", 0.18215, 1e-6, 1e6);
    c->mid_attention = object_bool(&o, "mid_block_add_attention", true);
    c->quant_conv = object_bool(&o, "use_quant_conv", true);
    c->post_quant_conv = object_bool(&o, "use_post_quant_conv", true);
    c->levels = object_length(&o, "block_out_channels", LEVELS_MAX);
    if (c->levels) object_ints(&o, "block_out_channels", 1, 1, 65536, c->levels, c->channels);
    check_blocks(&o, "down_block_types", "DownEncoderBlock2D", c->levels);
    check_blocks(&o, "up_block_types", "UpDecoderBlock2D", c->levels);
    for (int i = 0; i < c->levels; i++)
        if (c->channels[i] % c->groups != 0)
            object_fault(&o, "block_out_channels", "norm_num_groups %d does not divide %lld", c->groups,
                         (long long)c->channels[i]);
    object_fixed(&o, FIXED, sizeof FIXED / sizeof *FIXED);
    object_ignore(&o, IGNORED);
    object_finish(&o);
    object_close(&o);
    return errors->count == before;
}
