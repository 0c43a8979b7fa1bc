/* SPDX-License-Identifier: MIT */
/* Parses the configs of CLIP: text_encoder/config.json of a model (transformers' CLIPTextModel), and the
   config of a whole CLIP with both of its encoders (CLIPModel). */
#include "weights/config.h"
#include "io/object.h"

#include <stdlib.h>
#include <string.h>

static const JsonFixed TEXT_FIXED[] = {
    { "model_type", "\"clip_text_model\"", "\"clip\"" }, /* the reference accepts both */
    /* Other values would act, since the reference's script puts the text encoder in training mode. */
    { "attention_dropout", "0", NULL },
};
static const JsonFixed VISION_FIXED[] = {
    { "model_type", "\"clip_vision_model\"", NULL },
    { "num_channels", "3", NULL },
};

/* Keys that mostly concern text generation, which transformers 4 wrote into every config that is nested in
   another one. */
static const char *const GENERATION[] = { "add_cross_attention",
                                          "bad_words_ids",
                                          "begin_suppress_tokens",
                                          "chunk_size_feed_forward",
                                          "cross_attention_hidden_size",
                                          "decoder_start_token_id",
                                          "diversity_penalty",
                                          "do_sample",
                                          "early_stopping",
                                          "encoder_no_repeat_ngram_size",
                                          "exponential_decay_length_penalty",
                                          "finetuning_task",
                                          "forced_bos_token_id",
                                          "forced_eos_token_id",
                                          "id2label",
                                          "is_decoder",
                                          "is_encoder_decoder",
                                          "label2id",
                                          "length_penalty",
                                          "max_length",
                                          "min_length",
                                          "no_repeat_ngram_size",
                                          "num_beam_groups",
                                          "num_beams",
                                          "num_return_sequences",
                                          "output_scores",
                                          "prefix",
                                          "problem_type",
                                          "pruned_heads",
                                          "remove_invalid_values",
                                          "repetition_penalty",
                                          "return_dict_in_generate",
                                          "sep_token_id",
                                          "suppress_tokens",
                                          "task_specific_params",
                                          "temperature",
                                          "tf_legacy_loss",
                                          "tie_encoder_decoder",
                                          "tokenizer_class",
                                          "top_k",
                                          "top_p",
                                          "torchscript",
                                          "typical_p",
                                          "use_bfloat16",
                                          NULL };

/* Keys that change nothing here: the ids and projection_dim concern the pooled output, which is not used, and
   the initializers concern models that are trained from scratch. */
static const char *const IGNORED[] = { "architectures",
                                       "bos_token_id",
                                       "eos_token_id",
                                       "pad_token_id",
                                       "projection_dim",
                                       "initializer_factor",
                                       "initializer_range",
                                       "dropout",
                                       "dtype",
                                       "torch_dtype",
                                       "transformers_version",
                                       "gradient_checkpointing",
                                       "use_cache",
                                       "use_attention_mask",
                                       "return_dict",
                                       "output_attentions",
                                       "output_hidden_states",
                                       "tie_word_embeddings",
                                       NULL };

/* Reads the fields that both encoders have. Their defaults are those of the text encoder where is_text. */
static void read_encoder(JsonObject *o, bool is_text, ClipConfig *c) {
    static const char *const activations[] = { [ACT_QUICK_GELU] = "quick_gelu", [ACT_GELU] = "gelu", NULL };
    c->hidden_size = object_int(o, "hidden_size", is_text ? 512 : 768, 1, 65536);
    c->intermediate_size = object_int(o, "intermediate_size", is_text ? 2048 : 3072, 1, 262144);
    c->layers = (int)object_int(o, "num_hidden_layers", 12, 1, 128);
    c->heads = (int)object_int(o, "num_attention_heads", is_text ? 8 : 12, 1, 1024);
    c->layer_norm_eps = (float)object_number(o, "layer_norm_eps", 1e-5, 1e-12, 1);
    c->activation = (Activation)object_choice(o, "hidden_act", ACT_QUICK_GELU, activations);
    if (c->hidden_size % c->heads != 0)
        object_fault(o, "num_attention_heads", "it does not divide hidden_size %lld",
                     (long long)c->hidden_size);
}

static void read_text(JsonObject *o, ClipConfig *c) {
    c->vocab_size = object_int(o, "vocab_size", 49408, 2, 10000000);
    c->positions = object_int(o, "max_position_embeddings", 77, 3, 4096);
    read_encoder(o, true, c);
    object_fixed(o, TEXT_FIXED, sizeof TEXT_FIXED / sizeof *TEXT_FIXED);
    object_ignore(o, IGNORED);
    object_finish(o);
}

/* In the config of a whole CLIP model, the text encoder's config is the member text_config. The other members
   concern the picture encoder and are not read. */
bool clip_config_parse(const char *path, const void *text, size_t size, ClipConfig *c, Messages *errors,
                       Messages *warnings) {
    int before = errors->count;
    JsonObject o, inner;
    *c = (ClipConfig) { 0 };
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    if (!object_member(&o, "text_config")) {
        read_text(&o, c);
    } else if (object_enter(&inner, &o, "text_config")) {
        object_ignore(&inner, GENERATION);
        read_text(&inner, c);
        object_close(&inner);
    }
    object_close(&o);
    return errors->count == before;
}

static void read_vision(JsonObject *o, ClipModelConfig *c) {
    enum { SIDE_PATCHES_MAX = 128 };
    static const char *const ignored[] = { "attention_dropout", NULL };
    c->image_size = object_int(o, "image_size", 224, 1, 4096);
    c->patch_size = object_int(o, "patch_size", 32, 1, 4096);
    int64_t side = c->image_size / c->patch_size;
    if (c->image_size % c->patch_size != 0)
        object_fault(o, "patch_size", "it does not divide image_size %lld", (long long)c->image_size);
    else if (side > SIDE_PATCHES_MAX)
        object_fault(o, "patch_size", "at most %d patches beside each other are supported", SIDE_PATCHES_MAX);
    c->vision.positions = side * side + 1;
    read_encoder(o, false, &c->vision);
    object_fixed(o, VISION_FIXED, sizeof VISION_FIXED / sizeof *VISION_FIXED);
    object_ignore(o, ignored);
    object_ignore(o, IGNORED);
    object_finish(o);
}

/* Opens the config of one encoder. In configs that transformers 4 wrote, the member KEY_dict, where it is not
   null, replaces the member KEY, as the reference still does. */
static bool enter_encoder(JsonObject *inner, JsonObject *o, const char *key) {
    char *replaces = mem_format("%s_dict", key);
    bool replaced = !object_null(o, replaces);
    object_member(o, key);
    bool ok = object_enter(inner, o, replaced ? replaces : key);
    if (ok) object_ignore(inner, GENERATION);
    free(replaces);
    return ok;
}

bool clip_model_config_parse(const char *path, const void *text, size_t size, ClipModelConfig *c,
                             Messages *errors, Messages *warnings) {
    static const char *const ignored[] = { "logit_scale_init_value", NULL };
    int before = errors->count;
    JsonObject o, inner;
    *c = (ClipModelConfig) { 0 };
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    const char *type = json_string_value(object_member(&o, "model_type"));
    if (!type || strcmp(type, "clip") != 0) { /* its fields would only give further messages */
        object_fault(
            &o, "model_type",
            "only \"clip\" is supported, a CLIP in transformers' layout (CLIPModel), and no SigLIP or "
            "OpenCLIP's own layout");
    } else {
        c->projection_dim = object_int(&o, "projection_dim", 512, 1, 65536);
        if (enter_encoder(&inner, &o, "text_config")) {
            c->eos_token_id = object_int(&inner, "eos_token_id", 49407, 0, 10000000);
            read_text(&inner, &c->text);
            object_close(&inner);
        }
        if (enter_encoder(&inner, &o, "vision_config")) {
            read_vision(&inner, c);
            object_close(&inner);
        }
        object_ignore(&o, ignored);
        object_ignore(&o, IGNORED);
        object_finish(&o);
    }
    object_close(&o);
    return errors->count == before;
}
