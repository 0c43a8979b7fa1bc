/* SPDX-License-Identifier: MIT */
/* Tests of model folders: every field of the configs that can be wrong, configs whose meaning diffusers and
   transformers have recorded, and folders that are broken. */
#include "exchange/family.h"
#include "tests/command.h"
#include "tests/refusal.h"
#include "weights/folder.h"
#include "io/json.h"

/* Configs */

typedef enum { CLIP, UNET, VAE, SCHEDULER, TOKENIZER, INDEX, CLIP_MODEL, PREPROCESSOR, PARTS } Part;

static const char *const PATHS[PARTS] = { "weights/critters/text_encoder/config.json",
                                          "weights/critters/unet/config.json",
                                          "weights/critters/vae/config.json",
                                          "weights/critters/scheduler/scheduler_config.json",
                                          "weights/critters/tokenizer/tokenizer_config.json",
                                          "weights/critters/model_index.json",
                                          "weights/critters/clip/config.json",
                                          "weights/critters/clip/preprocessor_config.json" };

static bool parse(Part part, const char *text, Messages *errors, Messages *warnings) {
    union {
        ClipConfig clip;
        UnetConfig unet;
        VaeConfig vae;
        SchedulerConfig scheduler;
        TokenizerConfig tokenizer;
        ClipModelConfig clip_model;
        PreprocessorConfig preprocessor;
    } c;
    size_t n = strlen(text);
    bool ok = false;
    switch (part) {
    case CLIP:
        return clip_config_parse("config", text, n, &c.clip, errors, warnings);
    case UNET:
        return unet_config_parse("config", text, n, &c.unet, errors, warnings);
    case VAE:
        return vae_config_parse("config", text, n, &c.vae, errors, warnings);
    case SCHEDULER:
        ok = scheduler_config_parse("config", text, n, &c.scheduler, errors, warnings);
        free(c.scheduler.trained_betas);
        return ok;
    case TOKENIZER:
        ok = tokenizer_config_parse("config", text, n, NULL, 0, 77, &c.tokenizer, errors, warnings);
        tokenizer_config_free(&c.tokenizer);
        return ok;
    case CLIP_MODEL:
        return clip_model_config_parse("config", text, n, &c.clip_model, errors, warnings);
    case PREPROCESSOR:
        return preprocessor_config_parse("config", text, n, &c.preprocessor, errors, warnings);
    default:
        return model_index_parse("config", text, n, errors, warnings);
    }
}

/* Returns the embedded model's config with the member `key` set to the text `value`, or removed when value is
   NULL. A part without a file starts from an empty object. */
static char *edited(Part part, const char *key, const char *value) {
    char *base = PATHS[part] ? read_text(PATHS[part], NULL) : mem_string("{}");
    char *text = edited_object(base, key, value);
    free(base);
    return text;
}

typedef struct {
    Part part;
    const char *key, *value;
    const char *what; /* the expected error, or after '!' the expected warning; NULL when there is none */
} Edit;

static const Edit EDITS[] = {
    { CLIP, "hidden_act", "\"gelu\"", NULL },
    { CLIP, "hidden_act", "\"relu\"",
      "\"hidden_act\" is \"relu\": the supported values are \"quick_gelu\", \"gelu\"" },
    { CLIP, "hidden_act", NULL, NULL },
    { CLIP, "hidden_size", "192.5", "\"hidden_size\" is 192.5: a whole number from 1 to 65536" },
    { CLIP, "hidden_size", "\"192\"", "\"hidden_size\" is \"192\"" },
    { CLIP, "hidden_size", "9e18", "\"hidden_size\" is" },
    { CLIP, "num_attention_heads", "5", "does not divide hidden_size 192" },
    { CLIP, "num_hidden_layers", "-1", "\"num_hidden_layers\" is -1" },
    { CLIP, "layer_norm_eps", "null", "\"layer_norm_eps\" is null: a number" },
    { CLIP, "layer_norm_eps", "1e999", "larger than a double" },
    { CLIP, "attention_dropout", "0.1", "\"attention_dropout\" is 0.1: only 0 is supported" },
    { CLIP, "model_type", "\"clip\"", NULL },
    { CLIP, "model_type", "\"clip_vision_model\"", "only \"clip_text_model\"" },
    { CLIP, "text_config", "{\"hidden_size\": 192, \"num_attention_heads\": 4}", NULL },
    { CLIP, "text_config", "{\"num_attention_heads\": 5}",
      "config, \"text_config\": \"num_attention_heads\" is 5: it does not divide hidden_size 512" },
    { CLIP, "text_config", "{\"temperature\": 1, \"id2label\": {}, \"hiden_size\": 2}",
      "!config, \"text_config\": not known here, and ignored: \"hiden_size\"" },
    { CLIP, "text_config", "3", "\"text_config\" is 3: an object is needed" },
    { CLIP, "text_config", "null", "an object is needed" },
    { CLIP, "torch_dtype", "\"float16\"", NULL },
    { CLIP, "hiden_size", "3", "!not known here, and ignored: \"hiden_size\"" },
    { CLIP, "_private", "3", NULL },
    { CLIP, "hidden_size", "192, \"hidden_size\": 192", "the key \"hidden_size\" appears twice" },
    { CLIP, "x", "1, \"q\\\"\\\\\": 1, \"\\u0071\\\"\\\\\": 2", "the key \"q\"\\\" appears twice" },
    { CLIP, "x", "1, \"a key of more than twenty bytes\": 1, \"a key of more than twenty bytes\" : 1",
      "the key \"a key of more than twenty bytes\" appears twice" },
    { CLIP, "x", "[NaN, Infinity, -Infinity, \"NaN\"]", "!not known here, and ignored: \"x\"" },
    { CLIP, "hidden_size", "NaN", "\"hidden_size\" is null" },
    { CLIP, "x", "-NaN", "invalid token" },
    { CLIP_MODEL, "model_type", "\"siglip\"", "\"model_type\" is \"siglip\": only \"clip\" is supported" },
    { CLIP_MODEL, "model_type", NULL, "\"model_type\" is missing: only \"clip\" is supported" },
    { CLIP_MODEL, "model_type", "3", "\"model_type\" is 3: only" },
    { CLIP_MODEL, "projection_dim", "0", "\"projection_dim\" is 0: a whole number from 1 to 65536" },
    { CLIP_MODEL, "projection_dim", NULL, NULL },
    { CLIP_MODEL, "vision_config", NULL, "\"vision_config\" is missing: an object is needed" },
    { CLIP_MODEL, "text_config", "{}", NULL },
    { CLIP_MODEL, "text_config", "{\"eos_token_id\": [2]}", "\"eos_token_id\" is [2]: a whole number" },
    { CLIP_MODEL, "vision_config", "{\"num_channels\": 4}",
      "config, \"vision_config\": \"num_channels\" is 4: only 3 is supported" },
    { CLIP_MODEL, "vision_config", "{\"patch_size\": 33}", "it does not divide image_size 224" },
    { CLIP_MODEL, "vision_config", "{\"patch_size\": 1}", "at most 128 patches" },
    { CLIP_MODEL, "vision_config", "{\"image_size\": 4096}", NULL },
    { CLIP_MODEL, "vision_config", "{\"num_attention_heads\": 5}", "it does not divide hidden_size 768" },
    { CLIP_MODEL, "vision_config", "{\"model_type\": \"siglip_vision_model\"}",
      "only \"clip_vision_model\"" },
    { CLIP_MODEL, "vision_config", "{\"attention_dropout\": 0.1, \"top_k\": 3, \"dropout\": 0}", NULL },
    { CLIP_MODEL, "vision_config", "{\"patch\": 1}", "!not known here, and ignored: \"patch\"" },
    { CLIP_MODEL, "vision_config_dict", "{\"patch_size\": 33}",
      "config, \"vision_config_dict\": \"patch_size\" is 33" },
    { CLIP_MODEL, "vision_config_dict", "null", NULL },
    { CLIP_MODEL, "text_config_dict", "3", "\"text_config_dict\" is 3: an object is needed" },
    { CLIP_MODEL, "x", "3", "!not known here, and ignored: \"x\"" },
    { PREPROCESSOR, "size", "64", NULL },
    { PREPROCESSOR, "size", "0", "\"size\" is 0: a whole number from 1 to 4096" },
    { PREPROCESSOR, "size", "{\"height\": 64, \"width\": 64}", "\"shortest_edge\" is missing: no other way" },
    { PREPROCESSOR, "size", "{\"shortest_edge\": 64, \"longest_edge\": 99}", "\"longest_edge\"" },
    { PREPROCESSOR, "size", NULL, NULL },
    { PREPROCESSOR, "crop_size", "64", NULL },
    { PREPROCESSOR, "crop_size", "65", "\"crop_size\" is 65: it is larger than \"size\"" },
    { PREPROCESSOR, "crop_size", "{\"height\": 64, \"width\": 65}", "it is larger than \"size\"" },
    { PREPROCESSOR, "crop_size", "{\"height\": 0, \"width\": 64}", "\"height\" is 0" },
    { PREPROCESSOR, "image_mean", "[0.5, 0.5]", "a list of three numbers from -1000 to 1000 is needed" },
    { PREPROCESSOR, "image_mean", "[0.5, null, 0.5]", "a list of three numbers" },
    { PREPROCESSOR, "image_mean", "0.5", "a list of three numbers" },
    { PREPROCESSOR, "image_std", "[0.5, 0.5, 0]", "a list of three numbers from 1e-06 to 1000 is needed" },
    { PREPROCESSOR, "image_std", "[1, 1, NaN]", "a list of three numbers" },
    { PREPROCESSOR, "resample", "2", "\"resample\" is 2: only 3 is supported" },
    { PREPROCESSOR, "do_center_crop", "false", "only true is supported" },
    { PREPROCESSOR, "do_normalize", "1", "only true is supported" },
    { PREPROCESSOR, "rescale_factor", "0", "\"rescale_factor\" is 0" },
    { PREPROCESSOR, "do_convert_rgb", "false", NULL },
    { PREPROCESSOR, "x", "1", "!not known here, and ignored: \"x\"" },
    { UNET, "attention_head_dim", "[2, 4, 8]", NULL },
    { UNET, "attention_head_dim", "[2, 4]", "or a list of 3" },
    { UNET, "attention_head_dim", "3", "3 heads do not divide 64" },
    { UNET, "num_attention_heads", "2", "only null is supported" },
    { UNET, "layers_per_block", "[1, 2, 1]", NULL },
    { UNET, "layers_per_block", "0", "\"layers_per_block\" is 0" },
    { UNET, "transformer_layers_per_block", "[1, 1, 10]", NULL },
    { UNET, "transformer_layers_per_block", "[1, 1, [1, 1]]",
      "\"transformer_layers_per_block\" is [1,1,[1,1]]" },
    { UNET, "use_linear_projection", "true", NULL },
    { UNET, "use_linear_projection", "1", "true or false" },
    { UNET, "upcast_attention", "true", NULL },
    { UNET, "block_out_channels", "[64, 128, 256, 256]", "\"down_block_types\" is" },
    { UNET, "block_out_channels", "[64, 128, 250]", "norm_num_groups 32 does not divide 250" },
    { UNET, "block_out_channels", "[]", "a list of 1 to 8 members" },
    { UNET, "block_out_channels", NULL, "\"block_out_channels\" is missing" },
    { UNET, "down_block_types", "[\"CrossAttnDownBlock2D\", \"AttnDownBlock2D\", \"DownBlock2D\"]",
      "AttnDownBlock2D" },
    { UNET, "mid_block_type", "\"UNetMidBlock2DSimpleCrossAttn\"", "only \"UNetMidBlock2DCrossAttn\"" },
    { UNET, "resnet_time_scale_shift", "\"scale_shift\"", "only \"default\" is supported" },
    { UNET, "class_embed_type", "\"timestep\"", "only null" },
    { UNET, "addition_embed_type", "\"text_time\"", "only null" },
    { UNET, "conv_in_kernel", "5", "only 3" },
    { UNET, "time_cond_proj_dim", "256", NULL },
    { UNET, "time_cond_proj_dim", "4", NULL },
    { UNET, "time_cond_proj_dim", "null", NULL },
    { UNET, "time_cond_proj_dim", "3", "\"time_cond_proj_dim\" is 3: a whole number from 4 to 65536" },
    { UNET, "time_cond_proj_dim", "true", "\"time_cond_proj_dim\" is true: a whole number" },
    { UNET, "sample_size", "[16, 16]", NULL },
    { UNET, "sample_size", "[16, 32]", "have to be the same" },
    { UNET, "sample_size", "null", "the latents' side is needed" },
    { UNET, "norm_num_groups", "null", "\"norm_num_groups\" is null" },
    { UNET, "act_fn", "\"gelu\"", "only \"silu\"" },
    { UNET, "only_cross_attention", "[false, false, true]", "only false" },
    { VAE, "scaling_factor", NULL, NULL },
    { VAE, "scaling_factor", "0", "\"scaling_factor\" is 0" },
    { VAE, "shift_factor", "0.1", "only null" },
    { VAE, "latents_mean", "[0.1]", "only null" },
    { VAE, "in_channels", "4", "from 3 to 3" },
    { VAE, "norm_num_groups", "48", "48 does not divide 32" },
    { VAE, "up_block_types", "[\"UpDecoderBlock2D\"]", "a list of 3" },
    { VAE, "mid_block_add_attention", "false", NULL },
    { SCHEDULER, "_class_name", "\"FlowMatchEulerDiscreteScheduler\"", "such as \"DDIMScheduler\"" },
    { SCHEDULER, "_class_name", "[\"DDIMScheduler\"]", "\"_class_name\" is [\"DDIMScheduler\"]" },
    { SCHEDULER, "timestep_spacing", "\"trailing\"", NULL },
    { SCHEDULER, "timestep_spacing", "\"even\"",
      "the supported values are \"leading\", \"linspace\", \"trailing\"" },
    { SCHEDULER, "beta_schedule", "\"squaredcos_cap_v2\"", NULL },
    { SCHEDULER, "beta_schedule", "\"sigmoid\"",
      "the supported values are \"linear\", \"scaled_linear\", \"squaredcos_cap_v2\"" },
    { SCHEDULER, "prediction_type", "\"sample\"", NULL },
    { SCHEDULER, "prediction_type", "\"flow_prediction\"",
      "the supported values are \"epsilon\", \"v_prediction\", \"sample\"" },
    { SCHEDULER, "rescale_betas_zero_snr", "true", NULL },
    { SCHEDULER, "rescale_betas_zero_snr", "1", "true or false" },
    { SCHEDULER, "use_flow_sigmas", "true", NULL },
    { SCHEDULER, "thresholding", "true", NULL },
    { SCHEDULER, "thresholding", "true, \"sample_max_value\": 0",
      "\"sample_max_value\" is 0: a number from" },
    { SCHEDULER, "thresholding", "true, \"dynamic_thresholding_ratio\": 1.1",
      "\"dynamic_thresholding_ratio\" is 1.1: a number from 0 to 1" },
    { SCHEDULER, "thresholding", "false, \"sample_max_value\": 0, \"dynamic_thresholding_ratio\": null",
      NULL },
    { SCHEDULER, "trained_betas", "[0.1, 0.2]", "1000 numbers" },
    { SCHEDULER, "lambda_min_clipped", "-Infinity", NULL },
    { SCHEDULER, "lambda_min_clipped", "\"-5.1\"", "\"lambda_min_clipped\" is \"-5.1\"" },
    { SCHEDULER, "use_karras_sigmas", "null", NULL },
    { SCHEDULER, "use_karras_sigmas", "1", "true or false" },
    { SCHEDULER, "final_sigmas_type", "\"sigma_max\"", "the supported values are \"zero\", \"sigma_min\"" },
    { SCHEDULER, "timestep_type", "\"fractional\"", "the supported values are \"discrete\", \"continuous\"" },
    { SCHEDULER, "interpolation_type", "\"log\"", "the supported values are \"linear\", \"log_linear\"" },
    { SCHEDULER, "algorithm_type", "\"euler\"", "the supported values are \"dpmsolver++\"" },
    { SCHEDULER, "solver_type", "\"bh2\"", NULL },
    { SCHEDULER, "solver_type", "\"bh3\"", "the supported values are \"midpoint\"" },
    { SCHEDULER, "solver_order", "0", "a whole number from 1 to 1000" },
    { SCHEDULER, "variance_type", "null", NULL },
    { SCHEDULER, "variance_type", "3", "\"variance_type\" is 3" },
    { SCHEDULER, "sigma_min", "0", "\"sigma_min\" is 0: a number from" },
    { SCHEDULER, "original_inference_steps", "0", "a whole number from 1 to 100000" },
    { SCHEDULER, "beta_start", "-Infinity", "\"beta_start\" is null" },
    { SCHEDULER, "num_train_timesteps", "1e400", "larger than a double" },
    { TOKENIZER, "model_max_length", "78", "from 3 to 77" },
    { TOKENIZER, "model_max_length", "1000000000000000019884624838656", NULL },
    { TOKENIZER, "pad_token", "3", "\"pad_token\" is 3" },
    { TOKENIZER, "bos_token", "\"<|startoftext|>\"", NULL },
    { TOKENIZER, "bos_token", "\"<s>\"", "\"bos_token\" is \"<s>\": only \"<|startoftext|>\" is supported" },
    { TOKENIZER, "eos_token", "{\"content\": \"</s>\"}", "only \"<|endoftext|>\" is supported" },
    { TOKENIZER, "eos_token", "[]", "\"eos_token\" is []: a token" },
    { TOKENIZER, "padding_side", "\"left\"", "\"padding_side\" is \"left\": only \"right\"" },
    { TOKENIZER, "truncation_side", "\"left\"", "only \"right\"" },
    { TOKENIZER, "image_token", "\"<image>\"", NULL },
    { TOKENIZER, "extra_special_tokens", "[\"<a>\", {\"content\": \"<b>\"}]", NULL },
    { TOKENIZER, "extra_special_tokens", "{\"a\": \"<a>\"}", NULL },
    { TOKENIZER, "additional_special_tokens", "[1]", "a list of tokens" },
    { TOKENIZER, "additional_special_tokens", "null", NULL },
    { TOKENIZER, "added_tokens_decoder", "{\"5\": {\"content\": \"<a>\", \"special\": false}}", NULL },
    { TOKENIZER, "added_tokens_decoder", "{\"5\": \"<a>\"}", "tokens are needed" },
    { TOKENIZER, "added_tokens_decoder", "{\"a\": {\"content\": \"<a>\"}}", "tokens are needed" },
    { INDEX, "_class_name", "\"StableDiffusionXLPipeline\"", "only StableDiffusionPipeline is supported" },
    { INDEX, "_class_name", "\"StableDiffusionImg2ImgPipeline\"", NULL },
    { INDEX, "_class_name", "\"StableDiffusionInpaintPipeline\"", NULL },
    { INDEX, "_class_name", "\"StableDiffusionControlNetPipeline\"", "only StableDiffusionPipeline" },
    { INDEX, "_class_name", NULL, "\"_class_name\" is missing" },
    { INDEX, "text_encoder", "[\"transformers\", \"T5EncoderModel\"]", "only CLIPTextModel" },
    { INDEX, "unet", "[null, null]", "\"unet\" is [null,null]" },
};

static void test_edits(void) {
    static const char *const names[PARTS] = { "clip", "unet", "vae", "scheduler", "tokenizer", "index" };
    for (size_t i = 0; i < sizeof EDITS / sizeof *EDITS; i++) {
        const Edit *e = &EDITS[i];
        char *text = edited(e->part, e->key, e->value);
        char *name = mem_format("%s.%s = %s", names[e->part], e->key, e->value ? e->value : "(absent)");
        Messages errors = { 0 }, warnings = { 0 };
        bool ok = parse(e->part, text, &errors, &warnings);
        if (!e->what) {
            test_true(name, ok && !errors.count && !warnings.count, "%s%s", text_of(&errors, "accepted"),
                      text_of(&warnings, ""));
        } else if (*e->what == '!') {
            bool said = warnings.count == 1 && strstr(warnings.text, e->what + 1);
            test_true(name, ok && said && !errors.count, "%s", text_of(&warnings, "no warning"));
        } else {
            expect_refused(name, ok, &errors, e->what);
        }
        messages_free(&errors);
        messages_free(&warnings);
        free(name);
        free(text);
    }
}

/* A number of heads that does not divide the channels is an error only at levels with attention. The last
   member of up_block_types is the finest level, whose 3 heads do not divide 64 channels. */
static void test_attending_levels(void) {
    static const char *const ups[] = { "[\"UpBlock2D\", \"CrossAttnUpBlock2D\", \"UpBlock2D\"]",
                                       "[\"UpBlock2D\", \"CrossAttnUpBlock2D\", \"CrossAttnUpBlock2D\"]" };
    for (int attends = 0; attends < 2; attends++) {
        char *base = edited(UNET, "up_block_types", ups[attends]),
             *heads = edited_object(base, "attention_head_dim", "[3, 2, 2]"),
             *text = edited_object(heads, "down_block_types",
                                   "[\"DownBlock2D\", \"CrossAttnDownBlock2D\", \"DownBlock2D\"]");
        Messages errors = { 0 }, warnings = { 0 };
        bool ok = parse(UNET, text, &errors, &warnings);
        if (attends)
            expect_refused("unet.heads of the finest level", ok, &errors, "3 heads do not divide 64");
        else
            test_true("unet.heads of no attention", ok, "%s", text_of(&errors, "accepted"));
        messages_free(&errors);
        messages_free(&warnings);
        free(text);
        free(heads);
        free(base);
    }
}

/* Compares a config with the fields of the reference's DDIMScheduler as golden/files.py prints them. */
static bool same_scheduler(const SchedulerConfig *c, const char *want) {
    char schedule[32], prediction[32], spacing[32];
    long long timesteps, offset;
    int alpha, clip, zero, thresholding;
    double start, end, range, ratio, most;
    int fields = sscanf(want, "%lld %lf %lf %31s %31s %lld %d %d %lf %31s %d %d %lf %lf", &timesteps, &start,
                        &end, schedule, prediction, &offset, &alpha, &clip, &range, spacing, &zero,
                        &thresholding, &ratio, &most);
    return fields == 14 && timesteps == c->train_timesteps && start == c->beta_start && end == c->beta_end &&
           strcmp(schedule, BETA_SCHEDULE_NAMES[c->beta_schedule]) == 0 &&
           strcmp(prediction, PREDICTION_NAMES[c->prediction]) == 0 && offset == c->steps_offset &&
           alpha == c->set_alpha_to_one && clip == c->clip_sample && range == c->clip_sample_range &&
           strcmp(spacing, SPACING_NAMES[c->spacing]) == 0 && zero == c->zero_snr &&
           thresholding == c->thresholding && ratio == c->threshold_ratio && most == c->threshold_max;
}

/* Compares how scheduler_config.json, tokenizer_config.json and special_tokens_map.json are read with how the
   reference's classes read them. */
static void test_readings(char *lines[], int count) {
    int tried = 0;
    for (int i = 0; i < count; i++) {
        Messages errors = { 0 }, warnings = { 0 };
        char *config = strchr(lines[i], '\t');
        if (!config++) continue;
        char *second = strchr(config, '\t');
        if (!second++) continue;
        size_t n = (size_t)(second - config) - 1;
        if (strncmp(lines[i], "scheduler\t", 10) == 0) {
            SchedulerConfig c;
            bool ok = scheduler_config_parse("config", config, n, &c, &errors, &warnings);
            test_true("scheduler", ok && !warnings.count && same_scheduler(&c, second), "%.*s -> %s %s%s",
                      (int)n, config, second, text_of(&errors, ""), text_of(&warnings, ""));
            tried++;
        } else if (strncmp(lines[i], "tokenizer\t", 10) == 0) {
            TokenizerConfig c;
            char *want = strchr(second, '\t');
            size_t map = (size_t)(want - second);
            bool ok = tokenizer_config_parse("config", config, n, map ? second : NULL, map, 77, &c, &errors,
                                             &warnings);
            char *got = mem_format("%s %lld", c.pad_token ? c.pad_token : "<|endoftext|>",
                                   (long long)c.model_max_length);
            test_true("tokenizer", ok && strcmp(got, want + 1) == 0, "%s -> %s", lines[i] + 10, got);
            free(got);
            tokenizer_config_free(&c);
            tried++;
        }
        messages_free(&errors);
        messages_free(&warnings);
    }
    test_true("readings", tried >= 190, "%d configs", tried);
}

/* Folders */

/* Copies the embedded model into the folder and replaces an earlier copy there. Returns the copy's path. */
static char *copy_of_model(const char *folder) {
    char *path = mem_format("%s/model", folder),
         *command = mem_format("rm -rf %s && cp -r weights/critters %s", path, path);
    if (system(command) != 0) exit(1);
    free(command);
    return path;
}

static void shell(const char *folder, const char *command) {
    char *line = mem_format("cd %s && %s", folder, command);
    if (system(line) != 0) exit(1);
    free(line);
}

static void test_folder(void) {
    Messages errors = { 0 }, warnings = { 0 };
    ModelFolder m;
    bool ok = folder_open("weights/critters", true, weights_open, &m, &errors, &warnings);
    test_true("folder", ok && !warnings.count, "%s", text_of(&errors, "opened"));
    if (ok) {
        static const int64_t channels[] = { 64, 128, 256 };
        test_true("folder.unet",
                  m.unet_config.levels == 3 && memcmp(m.unet_config.channels, channels, 24) == 0 &&
                      m.unet_config.heads[2] == 2 && m.unet_config.down_attends[1] &&
                      !m.unet_config.down_attends[2] && !m.unet_config.up_attends[0] &&
                      m.unet_config.up_attends[2] && m.unet_config.sample_size == 16,
                  "as its config says");
        test_true("folder.others",
                  m.clip.positions == 32 && m.vae_config.groups == 16 && !m.scheduler.clip_sample &&
                      m.tokenizer.model_max_length == 32 && m.tokenizer.rows == 2176 &&
                      m.scheduler.steps_offset == 1,
                  "as their configs say");
        test_true("folder.stores",
                  store_has(m.text_encoder, "final_layer_norm.bias") && store_has(m.unet, "conv_in.bias") &&
                      store_has(m.vae, "quant_conv.bias"),
                  "have their tensors");
        folder_close(&m);
    }
    expect_refused("folder.none", folder_open("/nowhere", true, weights_open, &m, &errors, &warnings),
                   &errors, "no such folder or file");
    expect_refused("folder.file", folder_open("README.md", true, weights_open, &m, &errors, &warnings),
                   &errors, "README.md");
    expect_refused("folder.other", folder_open("weights", true, weights_open, &m, &errors, &warnings),
                   &errors, "no model_index.json");
    messages_free(&warnings);
}

/* Copies of the embedded model, each changed by a shell command that runs in its folder. */
static const struct {
    const char *name, *command, *what;
    int count; /* the number of errors; 0 when the folder opens */
} CHANGES[] = {
    { "several faults at once",
      "rm unet/config.json tokenizer/merges.txt && echo '{' > vae/config.json && : > "
      "text_encoder/model.safetensors",
      "merges.txt: is missing", 4 },
    { "truncated",
      "head -c 1000000 unet/diffusion_pytorch_model.safetensors > x && mv x "
      "unet/diffusion_pytorch_model.safetensors",
      "truncated", 1 },
    { "only .bin, which is no pickle",
      "head -c 100 vae/diffusion_pytorch_model.safetensors > vae/diffusion_pytorch_model.bin && rm "
      "vae/*.safetensors",
      "vae/diffusion_pytorch_model.bin: its header of", 1 },
    { "no weights", "rm vae/*.safetensors", "no diffusion_pytorch_model.safetensors", 1 },
    { "fp16", "mv vae/diffusion_pytorch_model.safetensors vae/diffusion_pytorch_model.fp16.safetensors", "",
      0 },
    { "tokenizer.json", "rm tokenizer/vocab.json && echo '{}' > tokenizer/tokenizer.json", "",
      0 }, /* tokenizer.json is read only when the model is opened */
    { "no vocabulary", "rm tokenizer/vocab.json tokenizer/merges.txt", "vocab.json: is missing", 2 },
    { "added_tokens.json", "echo '{\"<x>\": 2176}' > tokenizer/added_tokens.json", "", 0 },
    { "added_tokens.json of no ids", "echo '{\"<x>\": -1}' > tokenizer/added_tokens.json",
      "added_tokens.json: \"<x>\" is -1", 1 },
    { "added_tokens.json that is none", "echo '[]' > tokenizer/added_tokens.json", "is not a JSON object",
      1 },
    { "shards",
      "mv unet/diffusion_pytorch_model.safetensors unet/part-1.safetensors && echo "
      "'{\"metadata\":{},\"weight_map\":"
      "{\"conv_in.bias\":\"part-1.safetensors\",\"conv_out.bias\":\"part-1.safetensors\"}}' > "
      "unet/diffusion_pytorch_model.safetensors.index.json",
      "", 0 },
    { "shard missing",
      "rm unet/*.safetensors && echo '{\"weight_map\":{\"a\":\"b.safetensors\"}}' > "
      "unet/diffusion_pytorch_model.safetensors.index.json",
      "unet/b.safetensors: cannot be opened", 1 },
    { "shard outside",
      "rm unet/*.safetensors && echo '{\"weight_map\":{\"a\":\"../x\"}}' > "
      "unet/diffusion_pytorch_model.safetensors.index.json",
      "\"weight_map\" is", 1 },
    { "other width", "sed -i 's/\"cross_attention_dim\": 192/\"cross_attention_dim\": 768/' unet/config.json",
      "cross_attention_dim 768 is not the text encoder's hidden_size 192", 1 },
    { "inpainting", "sed -i 's/\"in_channels\": 4/\"in_channels\": 9/' unet/config.json", "inpainting", 1 },
    { "a device", "rm unet/config.json && mkfifo unet/config.json", "is a device", 1 },
};

static void test_broken_folders(void) {
    char *folder = folder_new();
    for (size_t i = 0; i < sizeof CHANGES / sizeof *CHANGES; i++) {
        char *path = copy_of_model(folder), *name = mem_format("folder.%s", CHANGES[i].name);
        shell(path, CHANGES[i].command);
        Messages errors = { 0 }, warnings = { 0 };
        ModelFolder m;
        bool ok = folder_open(path, true, weights_open, &m, &errors, &warnings),
             said = errors.text && strstr(errors.text, CHANGES[i].what);
        test_true(name, ok == !CHANGES[i].count && errors.count == CHANGES[i].count && (ok || said), "%s",
                  text_of(&errors, "opened"));
        if (ok) folder_close(&m);
        messages_free(&errors);
        messages_free(&warnings);
        free(name);
        free(path);
    }
    folder_remove(folder);
    free(folder);
}

int main(void) {
    char *text, **lines;
    int count;
    lines = read_cases(&text, &count);
    test_edits();
    test_attending_levels();
    test_readings(lines, count);
    test_folder();
    test_broken_folders();
    free(lines);
    free(text);
    return test_finish();
}
