/* SPDX-License-Identifier: MIT */
/* Parses unet/config.json, the config of diffusers' UNet2DConditionModel. */
#include <stdio.h>
#include <string.h>

#include "weights/config.h"
#include "io/object.h"

static const JsonFixed FIXED[] = {
    { "center_input_sample", "false", NULL },
    { "flip_sin_to_cos", "true", NULL },
    { "freq_shift", "0", NULL },
    { "mid_block_type", "\"UNetMidBlock2DCrossAttn\"", NULL },
    { "only_cross_attention", "false", NULL },
    { "mid_block_only_cross_attention", "null", "false" },
    { "downsample_padding", "1", NULL },
    { "mid_block_scale_factor", "1", NULL },
    { "dropout", "0", NULL },
    { "act_fn", "\"silu\"", "\"swish\"" },
    { "reverse_transformer_layers_per_block", "null", NULL },
    { "encoder_hid_dim", "null", NULL },
    { "encoder_hid_dim_type", "null", NULL },
    /* The reference refuses this key as well: attention_head_dim has the number of heads. */
    { "num_attention_heads", "null", NULL },
    { "dual_cross_attention", "false", NULL },
    { "class_embed_type", "null", NULL },
    { "addition_embed_type", "null", NULL },
    { "num_class_embeds", "null", NULL },
    { "resnet_time_scale_shift", "\"default\"", NULL },
    { "resnet_skip_time_act", "false", NULL },
    { "resnet_out_scale_factor", "1", NULL },
    { "time_embedding_type", "\"positional\"", NULL },
    { "time_embedding_dim", "null", NULL },
    { "time_embedding_act_fn", "null", NULL },
    { "timestep_post_act", "null", NULL },
    { "conv_in_kernel", "3", NULL },
    { "conv_out_kernel", "3", NULL },
    { "attention_type", "\"default\"", NULL },
    { "cross_attention_norm", "null", NULL },
};

/* Keys that change nothing here: upcast_attention, since all arithmetic is fp32, and the settings of parts
   that FIXED rules out. */
static const char *const IGNORED[] = { "upcast_attention",
                                       "addition_time_embed_dim",
                                       "addition_embed_type_num_heads",
                                       "class_embeddings_concat",
                                       "projection_class_embeddings_input_dim",
                                       NULL };

/* Reads a list of block types, one for each level, and fills attends [levels] with whether each is the type
   `attending` (with transformers) or `plain` (without). */
static void read_blocks(JsonObject *o, const char *key, const char *attending, const char *plain, int levels,
                        bool *attends) {
    const json_t *m = object_member(o, key);
    if (!m) {
        object_fault(o, key, "a list of \"%s\" and \"%s\" is needed", attending, plain);
        return;
    }
    bool ok = json_is_array(m) && json_array_size(m) == (size_t)levels;
    for (int i = 0; i < levels && ok; i++) {
        const char *type = json_string_value(json_array_get(m, (size_t)i));
        attends[i] = type && strcmp(type, attending) == 0;
        ok = attends[i] || (type && strcmp(type, plain) == 0);
    }
    if (!ok)
        object_fault(o, key, "a list of %d (as block_out_channels), each \"%s\" or \"%s\", is supported",
                     levels, attending, plain);
}

/* sample_size is a number, or a list of height and width, which have to be the same. */
static int64_t read_sample_size(JsonObject *o) {
    const json_t *m = object_member(o, "sample_size");
    int64_t sides[2] = { 0 };
    if (object_null(o, "sample_size")) {
        object_fault(o, "sample_size", "the latents' side is needed (64 in Stable Diffusion 1.x)");
        return 0;
    }
    object_ints(o, "sample_size", 0, 1, 8192, json_is_array(m) ? 2 : 1, sides);
    if (json_is_array(m) && sides[0] != sides[1])
        object_fault(o, "sample_size", "height and width have to be the same");
    /* Files written before diffusers 0.9.0 have the default of another pipeline here, which is too small. The
       reference corrects it in the same way. */
    const json_t *version = object_member(o, "_diffusers_version");
    int major = 0, minor = 0;
    bool old = json_is_string(version) &&
               sscanf(json_string_value(version), "%3d.%3d", &major, &minor) == 2 && major == 0 && minor < 9;
    return old && !json_is_array(m) ? max_i64(sides[0], 64) : sides[0];
}

/* Models distilled for latent consistency have 256 here. The embedding's formula divides by half of the
   length minus 1 (diffusion/guidance.h), so that it needs two frequencies. */
static int64_t read_time_cond(JsonObject *o) {
    return object_null(o, "time_cond_proj_dim") ? 0 : object_int(o, "time_cond_proj_dim", 0, 4, 65536);
}

static void read_levels(JsonObject *o, UnetConfig *c) {
    int64_t numbers[LEVELS_MAX];
    int n = c->levels = object_length(o, "block_out_channels", LEVELS_MAX);
    if (n == 0) { /* the other lists cannot be checked and are only marked as known */
        static const char *const dependent[] = { "down_block_types",   "up_block_types",
                                                 "layers_per_block",   "transformer_layers_per_block",
                                                 "attention_head_dim", NULL };
        object_ignore(o, dependent);
        return;
    }
    int before = o->errors->count;
    object_ints(o, "block_out_channels", 1, 1, 65536, n, c->channels);
    read_blocks(o, "down_block_types", "CrossAttnDownBlock2D", "DownBlock2D", n, c->down_attends);
    read_blocks(o, "up_block_types", "CrossAttnUpBlock2D", "UpBlock2D", n, c->up_attends);
    object_ints(o, "layers_per_block", 2, 1, 16, n, numbers);
    for (int i = 0; i < n; i++) c->layers_per_block[i] = (int)numbers[i];
    object_ints(o, "transformer_layers_per_block", 1, 1, 64, n, numbers);
    for (int i = 0; i < n; i++) c->transformer_layers[i] = (int)numbers[i];
    object_ints(o, "attention_head_dim", 8, 1, 1024, n, numbers);
    for (int i = 0; i < n; i++) c->heads[i] = (int)numbers[i];
    if (o->errors->count > before) return; /* the checks below would only repeat the message */
    for (int i = 0; i < n; i++) {
        bool attends = c->down_attends[i] || c->up_attends[n - 1 - i] || (c->mid_attends && i == n - 1);
        if (c->channels[i] % c->groups != 0)
            object_fault(o, "block_out_channels", "norm_num_groups %d does not divide %lld", c->groups,
                         (long long)c->channels[i]);
        if (attends && c->channels[i] % c->heads[i] != 0)
            object_fault(o, "attention_head_dim", "%d heads do not divide %lld channels", c->heads[i],
                         (long long)c->channels[i]);
    }
    if (c->channels[0] % 2 != 0)
        object_fault(o, "block_out_channels",
                     "the first must be even (the time embedding is sines and cosines)");
}

bool unet_config_parse(const char *path, const void *text, size_t size, UnetConfig *c, Messages *errors,
                       Messages *warnings) {
    int before = errors->count;
    JsonObject o;
    *c = (UnetConfig) { .mid_attends = true };
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    c->in_channels = object_int(&o, "in_channels", 4, 1, 1024);
    c->out_channels = object_int(&o, "out_channels", 4, 1, 1024);
    c->sample_size = read_sample_size(&o);
    c->cross_attention_dim = object_int(&o, "cross_attention_dim", 1280, 1, 65536);
    c->groups = (int)object_int(&o, "norm_num_groups", 32, 1, 65536);
    c->norm_eps = (float)object_number(&o, "norm_eps", 1e-5, 1e-12, 1);
    c->linear_projection = object_bool(&o, "use_linear_projection", false);
    c->time_cond_proj_dim = read_time_cond(&o);
    read_levels(&o, c);
    object_fixed(&o, FIXED, sizeof FIXED / sizeof *FIXED);
    object_ignore(&o, IGNORED);
    object_finish(&o);
    object_close(&o);
    return errors->count == before;
}
