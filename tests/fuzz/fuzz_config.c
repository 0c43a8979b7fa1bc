/* SPDX-License-Identifier: MIT */
/* Fuzzing targets: the JSON files of a model folder, and the options that a file sets. */
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/generate.h"
#include "cli/train.h"
#include "diffusion/sampler.h"
#include "tests/fuzz/fuzz_options.h"
#include "weights/folder.h"

/* ---- the parts' configs ---- */

static void clip_seeds(Seeds *s) {
    seeds_file(s, "weights/critters/text_encoder/config.json");
    seeds_file(s, "golden/models/wide/text_encoder/config.json");
    seeds_text(s, "{\"hidden_size\":768,\"num_attention_heads\":12,\"hidden_act\":\"gelu\","
                  "\"layer_norm_eps\":1e-6,\"vocab_size\":49408,\"max_position_embeddings\":77,"
                  "\"model_type\":\"clip_text_model\",\"attention_dropout\":0.0}");
    seeds_text(s, "{\"model_type\":\"clip\",\"text_config\":{\"hidden_size\":768,\"num_attention_heads\":12,"
                  "\"top_k\":50},\"vision_config\":{}}");
}

static bool try_clip(const unsigned char *bytes, size_t size) {
    ClipConfig c;
    Messages errors = { 0 }, warnings = { 0 };
    bool ok = verdict(clip_config_parse("x", bytes, size, &c, &errors, &warnings), &errors, &warnings);
    if (ok)
        CHECK(c.vocab_size >= 2 && c.positions >= 3 && c.layers >= 1 && c.heads >= 1 &&
              c.hidden_size % c.heads == 0 && c.layer_norm_eps > 0);
    return ok;
}

static void clip_model_seeds(Seeds *s) {
    seeds_file(s, "weights/critters/clip/config.json");
    seeds_text(s, "{\"model_type\":\"clip\",\"projection_dim\":768,\"text_config\":{},\"text_config_dict\":{"
                  "\"hidden_size\":768,\"num_attention_heads\":12,\"eos_token_id\":2},\"vision_config\":{"
                  "\"image_size\":224,\"patch_size\":14,\"num_attention_heads\":16,\"hidden_size\":1024},"
                  "\"vision_config_dict\":null}");
}

static bool try_clip_model(const unsigned char *bytes, size_t size) {
    ClipModelConfig c;
    Messages errors = { 0 }, warnings = { 0 };
    bool ok = verdict(clip_model_config_parse("x", bytes, size, &c, &errors, &warnings), &errors, &warnings);
    if (ok) {
        CHECK(c.projection_dim >= 1 && c.image_size % c.patch_size == 0 && c.eos_token_id >= 0);
        CHECK(c.vision.positions >= 2 && c.vision.positions <= 128 * 128 + 1);
        CHECK(c.vision.hidden_size % c.vision.heads == 0 && c.text.hidden_size % c.text.heads == 0);
    }
    return ok;
}

static void preprocessor_seeds(Seeds *s) {
    seeds_file(s, "weights/critters/clip/preprocessor_config.json");
    seeds_text(s, "{\"crop_size\":224,\"size\":224,\"do_center_crop\":true,\"resample\":3,"
                  "\"feature_extractor_type\":\"CLIPFeatureExtractor\",\"image_mean\":[0.5,0.4,0.4]}");
}

static bool try_preprocessor(const unsigned char *bytes, size_t size) {
    PreprocessorConfig c;
    Messages errors = { 0 }, warnings = { 0 };
    bool ok =
        verdict(preprocessor_config_parse("x", bytes, size, &c, &errors, &warnings), &errors, &warnings);
    if (ok) {
        CHECK(c.shortest_edge >= c.crop_width && c.shortest_edge >= c.crop_height && c.crop_width >= 1);
        for (int i = 0; i < 3; i++) CHECK(isfinite(c.mean[i]) && c.std[i] > 0);
    }
    return ok;
}

static void unet_seeds(Seeds *s) {
    seeds_file(s, "weights/critters/unet/config.json");
    seeds_file(s, "golden/models/wide/unet/config.json");
    seeds_file(s, "golden/models/narrow/unet/config.json");
    seeds_file(s, "golden/models/lcm/unet/config.json");
    seeds_text(s,
               "{\"sample_size\":[8,8],\"block_out_channels\":[32,64],\"layers_per_block\":[1,2],"
               "\"attention_head_dim\":[4,8],\"down_block_types\":[\"CrossAttnDownBlock2D\",\"DownBlock2D\"],"
               "\"up_block_types\":[\"UpBlock2D\",\"CrossAttnUpBlock2D\"],\"_diffusers_version\":\"0.6.0\","
               "\"transformer_layers_per_block\":[1,1],\"norm_num_groups\":8}");
}

static bool try_unet(const unsigned char *bytes, size_t size) {
    UnetConfig c;
    Messages errors = { 0 }, warnings = { 0 };
    if (!verdict(unet_config_parse("x", bytes, size, &c, &errors, &warnings), &errors, &warnings))
        return false;
    CHECK(c.time_cond_proj_dim == 0 || c.time_cond_proj_dim >= 4);
    CHECK(1 <= c.levels && c.levels <= LEVELS_MAX && c.sample_size >= 1 && c.groups >= 1 && c.norm_eps > 0);
    for (int i = 0; i < c.levels; i++) {
        CHECK(c.channels[i] >= 1 && c.channels[i] % c.groups == 0 && c.layers_per_block[i] >= 1);
        CHECK(c.heads[i] >= 1 && c.transformer_layers[i] >= 1);
        if (c.down_attends[i] || c.up_attends[c.levels - 1 - i]) CHECK_EQ(c.channels[i] % c.heads[i], 0);
    }
    return true;
}

static void vae_seeds(Seeds *s) {
    seeds_file(s, "weights/critters/vae/config.json");
    seeds_file(s, "golden/models/wide/vae/config.json");
}

static bool try_vae(const unsigned char *bytes, size_t size) {
    VaeConfig c;
    Messages errors = { 0 }, warnings = { 0 };
    if (!verdict(vae_config_parse("x", bytes, size, &c, &errors, &warnings), &errors, &warnings))
        return false;
    CHECK(1 <= c.levels && c.levels <= LEVELS_MAX && c.sample_size >= 1 && c.layers_per_block >= 1);
    CHECK(c.latent_channels >= 1 && c.scaling_factor > 0);
    for (int i = 0; i < c.levels; i++) CHECK(c.channels[i] >= 1 && c.channels[i] % c.groups == 0);
    return true;
}

static void scheduler_seeds(Seeds *s) {
    seeds_file(s, "weights/critters/scheduler/scheduler_config.json");
    seeds_text(
        s, "{\"_class_name\":\"DPMSolverMultistepScheduler\",\"num_train_timesteps\":4,"
           "\"trained_betas\":[0.1,0.2,0.3,0.4],\"beta_schedule\":\"linear\",\"prediction_type\":\"epsilon\","
           "\"lambda_min_clipped\":-Infinity,\"clip_sample_range\":2.0}");
    seeds_text(s,
               "{\"_class_name\":\"TCDScheduler\",\"num_train_timesteps\":40,\"beta_schedule\":"
               "\"squaredcos_cap_v2\",\"prediction_type\":\"v_prediction\",\"timestep_spacing\":\"trailing\","
               "\"rescale_betas_zero_snr\":true,\"original_inference_steps\":50}");
    seeds_text(
        s, "{\"_class_name\":\"UniPCMultistepScheduler\",\"num_train_timesteps\":61,\"thresholding\":true,"
           "\"dynamic_thresholding_ratio\":0.9,\"sample_max_value\":1.5,\"prediction_type\":\"sample\","
           "\"timestep_spacing\":\"linspace\",\"disable_corrector\":[],\"set_alpha_to_one\":false}");
    seeds_text(
        s,
        "{\"_class_name\":\"EulerDiscreteScheduler\",\"num_train_timesteps\":90,\"beta_start\":0.001,"
        "\"use_karras_sigmas\":true,\"use_exponential_sigmas\":false,\"sigma_min\":0.03,\"sigma_max\":14.6,"
        "\"final_sigmas_type\":\"sigma_min\",\"interpolation_type\":\"log_linear\",\"timestep_type\":"
        "\"continuous\",\"skip_prk_steps\":false,\"use_beta_sigmas\":false}");
    seeds_text(
        s, "{\"_class_name\":\"DPMSolverMultistepScheduler\",\"num_train_timesteps\":1000,\"beta_schedule\":"
           "\"squaredcos_cap_v2\",\"lambda_min_clipped\":-5.1,\"solver_order\":3,\"solver_type\":\"heun\","
           "\"algorithm_type\":\"sde-dpmsolver++\",\"lower_order_final\":false,\"euler_at_final\":true,"
           "\"use_lu_lambdas\":true,\"use_flow_sigmas\":false,\"variance_type\":null,\"steps_offset\":1}");
}

/* Every sampler either refuses the config or does all steps without a NaN. */
static void try_sampling(const SchedulerConfig *c, SamplerOptions o) {
    enum { COUNT = 5 };
    char *fault = sampler_fault(c, o);
    bool refused = fault != NULL;
    free(fault);
    if (refused) return;
    Trajectory t = trajectory_new(c, o);
    float *past = mem_alloc((size_t)(COUNT * t.sampler->history) * sizeof *past);
    CHECK(t.evaluations >= 1 && t.noise_scale > 0 && isfinite(t.noise_scale));
    for (int64_t k = 0; k < t.evaluations; k++) {
        float x[COUNT] = { 1, 2, 3, -4, 0 }, output[COUNT] = { 0.5f, 1, -1, 2, 0 };
        CHECK(isfinite(t.timesteps[k]) && isfinite(trajectory_input_divisor(&t, k)));
        trajectory_step(&t, k, output, output, COUNT, x, past);
        for (int i = 0; i < COUNT; i++) CHECK(!isnan(x[i]));
    }
    free(past);
    trajectory_free(&t);
}

static void try_samplers(const SchedulerConfig *c) {
    static const int64_t steps[] = { 30, 4, 1, STEPS_ALIGN_YOUR_STEPS };
    for (int i = 0; SAMPLERS[i]; i++)
        for (int k = 0; k < 4; k++) {
            SamplerOptions o = { .sampler = SAMPLERS[i], .steps = steps[k], .converted = k % 2 == 0 };
            if (SAMPLERS[i]->has_karras && k == 1) o.karras = KARRAS_ON;
            if (SAMPLERS[i]->has_eta) o.eta = 0.5f;
            try_sampling(c, o);
        }
    bool converted;
    const Sampler *own = sampler_of_config(c, &converted);
    CHECK(own && (converted || c->class_name));
}

static bool try_scheduler(const unsigned char *bytes, size_t size) {
    SchedulerConfig c;
    Messages errors = { 0 }, warnings = { 0 };
    if (!verdict(scheduler_config_parse("x", bytes, size, &c, &errors, &warnings), &errors, &warnings))
        return false;
    NoiseSchedule d = noise_schedule_new(&c);
    bool finite = noise_schedule_finite(&d);
    CHECK(finite || c.zero_snr);
    for (int64_t i = 0; finite && i < c.train_timesteps; i++)
        CHECK(d.alphas_cumprod[i] >= 0 && d.alphas_cumprod[i] <= (i ? d.alphas_cumprod[i - 1] : 1));
    if (finite) try_samplers(&c);
    noise_schedule_free(&d);
    free(c.trained_betas);
    return true;
}

/* ---- the tokenizer's config, made of two files ---- */

static void tokenizer_seeds(Seeds *s) {
    static const char *const parts[][2] = {
        { "{\"padding_side\":\"right\",\"image_token\":\"<i>\",\"extra_special_tokens\":[\"<a>\"]}",
          "{\"additional_special_tokens\":{\"b\":\"<b>\"},\"eos_token\":\"<|endoftext|>\"}" },
        { "{\"added_tokens_decoder\":{\"5\":{\"content\":\"a\",\"special\":true,\"normalized\":false}}}",
          "" },
        { "{\"model_max_length\":77,\"pad_token\":\"<|endoftext|>\"}", "{\"pad_token\":\"!\"}" },
        { "{\"model_max_length\":1000000000000000019884624838656,\"added_tokens_decoder\":{}}", "{}" },
        { "{\"pad_token\":{\"content\":\"a\"},\"x\":1}",
          "{\"pad_token\":null,\"bos_token\":{\"content\":\"b\"}}" }
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) seeds_parts(s, 2, parts[i]);
    seeds_file(s, "weights/critters/tokenizer/tokenizer_config.json");
}

static bool try_tokenizer(const unsigned char *bytes, size_t size) {
    TokenizerConfig c;
    Messages errors = { 0 }, warnings = { 0 };
    Bytes rest = { (unsigned char *)(uintptr_t)bytes, size }, config = next_part(&rest, false);
    Bytes map = next_part(&rest, true);
    bool ok = tokenizer_config_parse("x", config.at, config.size, map.size ? map.at : NULL, map.size, 77, &c,
                                     &errors, &warnings);
    if (ok) CHECK(3 <= c.model_max_length && c.model_max_length <= 77 && (!c.pad_token || c.pad_token[0]));
    if (ok) tokenizer_config_free(&c);
    free(config.at);
    free(map.at);
    return verdict(ok, &errors, &warnings);
}

/* ---- the folder's index, and that of a sharded file of weights ---- */

static void index_seeds(Seeds *s) {
    seeds_file(s, "weights/critters/model_index.json");
    seeds_text(s, "{\"_class_name\":\"StableDiffusionPipeline\",\"text_encoder\":[\"t\",\"CLIPTextModel\"],"
                  "\"tokenizer\":[\"t\",\"CLIPTokenizerFast\"],\"unet\":[\"d\",\"UNet2DConditionModel\"],"
                  "\"vae\":[\"d\",\"AutoencoderKL\"],\"more\":[]}");
}

static bool try_index(const unsigned char *bytes, size_t size) {
    Messages errors = { 0 }, warnings = { 0 };
    return verdict(model_index_parse("x", bytes, size, &errors, &warnings), &errors, &warnings);
}

static const char *const SHARD_WORDS[] = { "\"weight_map\"",
                                           "\"a\":\"b.safetensors\",",
                                           "\"../b\"",
                                           "\"..\"",
                                           "\".\"",
                                           "\"/etc/x\"",
                                           "\"\"",
                                           "{}",
                                           "null",
                                           "[]",
                                           "1",
                                           "\"\\u001b\"",
                                           NULL };

static void shard_seeds(Seeds *s) {
    seeds_text(s, "{\"metadata\":{\"total_size\":100},\"weight_map\":{\"a\":\"m-1.safetensors\","
                  "\"b\":\"m-2.safetensors\",\"c\":\"m-1.safetensors\"}}");
    /* The largest number of files that is supported is 1000. */
    char *many = mem_string("{\"weight_map\":{\"a\":\"b\"");
    size_t length = strlen(many);
    many = mem_grow(many, 1001 * 32);
    for (int i = 0; i < 999; i++) length += (size_t)snprintf(many + length, 32, ",\"a%d\":\"f%d\"", i, i);
    memcpy(many + length, "}}", 3);
    seeds_text(s, many);
    free(many);
}

static bool try_shards(const unsigned char *bytes, size_t size) {
    char **names;
    Messages errors = { 0 };
    int64_t n = shard_index_parse("x", bytes, size, &names, &errors);
    CHECK(0 <= n && n <= 1000);
    for (int64_t i = 0; i < n; i++) {
        CHECK(names[i][0] && !strchr(names[i], '/') && strcmp(names[i], ".."));
        if (i) CHECK(strcmp(names[i - 1], names[i]) < 0);
    }
    for (int64_t i = 0; i < n; i++) free(names[i]);
    free(names);
    return verdict(n > 0, &errors, NULL);
}

/* ---- options read from files ---- */

static const char *const OPTION_WORDS[] = { "\"train\"",
                                            "\"generate\"",
                                            "\"steps\"",
                                            "\"lr\"",
                                            "\"init\"",
                                            "\"schedule\"",
                                            "\"cosine\"",
                                            "\"constant\"",
                                            "\"force\"",
                                            "\"token\"",
                                            "\"<x>\"",
                                            "\"sampler\":\"ddim\",",
                                            "[\"a\",\"b\"]",
                                            "[\"\"]",
                                            "[1]",
                                            "[]",
                                            "{}",
                                            "true",
                                            "null",
                                            "1e300",
                                            "-1",
                                            "0.5",
                                            "9007199254740993",
                                            "\"\\u001b\"",
                                            "\"\xff\"",
                                            NULL };

static void defaults_seeds(Seeds *s) {
    seeds_file(s, "weights/critters/defaults.json");
    seeds_text(s, "{\"train\":{\"schedule\":\"linear\",\"warmup\":10,\"repeats\":3,\"cycles\":2}}");
    seeds_text(s, "{\"generate\":{\"sampler\":\"ddim\",\"guidance\":1}}");
}

static bool try_defaults(const unsigned char *bytes, size_t size) {
    static char *const words[] = { "--images", "a",        "--token", "b",       "--init",
                                   "c",        "--prompt", "d",       "--steps", "5" };
    TrainOptions train;
    GenerateOptions generate;
    Messages errors = { 0 };
    CHECK(options_parse(&TRAIN_COMMAND, 6 + 2 * one_in(bytes, size, 2), words, &train, &errors) ==
              OPTIONS_OK ||
          errors.count > 0);
    messages_free(&errors);
    CHECK(options_parse(&GENERATE_COMMAND, 2, words + 6, &generate, &errors) == OPTIONS_OK);
    bool ok = options_model_parse(&TRAIN_COMMAND, "x", bytes, size, &train, &errors);
    options_check(&TRAIN_COMMAND, &train);
    ok = options_model_parse(&GENERATE_COMMAND, "x", bytes, size, &generate, &errors) && ok;
    options_check(&GENERATE_COMMAND, &generate);
    options_free(&TRAIN_COMMAND, &train);
    options_free(&GENERATE_COMMAND, &generate);
    return verdict(ok, &errors, NULL);
}

static void options_seeds(Seeds *s) {
    static char *const words[] = { "--images", "a", "--token", "<b>", "--init", "c,d" };
    TrainOptions o;
    Messages errors = { 0 };
    CHECK(options_parse(&TRAIN_COMMAND, 6, words, &o, &errors) == OPTIONS_OK);
    char *text = options_to_json(&TRAIN_COMMAND, &o);
    seeds_text(s, text);
    free(text);
    options_free(&TRAIN_COMMAND, &o);
    seeds_text(s, "{\"train\":{\"steps\":600,\"lr\":5e-3,\"schedule\":\"cosine\",\"init\":[\"critter\"],"
                  "\"images\":\"p\",\"token\":\"<x>\",\"templates\":null,\"force\":true}}");
}

/* Reads a run's options after an empty command line, or after a command line whose options may differ. */
static bool try_options(const unsigned char *bytes, size_t size) {
    static char *const words[] = { "--steps", "600",        "--init=critter", "--lr",
                                   "1",       "--schedule", "cosine",         "--force" };
    bool some = one_in(bytes, size, 3);
    TrainOptions o;
    Messages errors = { 0 };
    /* This fails, since required options are missing. */
    options_parse(&TRAIN_COMMAND, some ? 8 : 0, words, &o, &errors);
    messages_free(&errors);
    bool ok = options_from_json(&TRAIN_COMMAND, "x", bytes, size, &o, &errors);
    options_check(&TRAIN_COMMAND, &o);
    options_free(&TRAIN_COMMAND, &o);
    return verdict(ok, &errors, NULL);
}

const Target CONFIG_TARGETS[] = {
    { "clip_config", 6, JSON_WORDS, clip_seeds, NULL, try_clip },
    { "clip_model_config", 4, JSON_WORDS, clip_model_seeds, NULL, try_clip_model },
    { "preprocessor_config", 3, JSON_WORDS, preprocessor_seeds, NULL, try_preprocessor },
    { "unet_config", 6, JSON_WORDS, unet_seeds, NULL, try_unet },
    { "vae_config", 6, JSON_WORDS, vae_seeds, NULL, try_vae },
    { "scheduler_config", 5, JSON_WORDS, scheduler_seeds, NULL, try_scheduler },
    { "tokenizer_config", 6, JSON_WORDS, tokenizer_seeds, NULL, try_tokenizer },
    { "model_index", 5, JSON_WORDS, index_seeds, NULL, try_index },
    { "shard_index", 1, SHARD_WORDS, shard_seeds, NULL, try_shards },
    { "defaults", 2, OPTION_WORDS, defaults_seeds, NULL, try_defaults },
    { "options", 3, OPTION_WORDS, options_seeds, NULL, try_options },
    { .name = NULL },
};
