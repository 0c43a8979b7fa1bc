/* text_encoder/config.json: CLIPTextModel. */
#include "weights/config.h"
#include "io/object.h"

static const JsonFixed FIXED[] = {
    { "model_type", "\"clip_text_model\"", "\"clip\"" }, /* the reference accepts both */
    /* Dropout would act, since the reference's script trains with the text encoder in training mode. */
    { "attention_dropout", "0", NULL },
};

/* Keys about text generation, which transformers 4 wrote into every config that is nested in another one. */
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
   the initializers concern models that are trained from nothing. */
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

static void read_fields(JsonObject *o, ClipConfig *c) {
    static const char *const activations[] = { [ACT_QUICK_GELU] = "quick_gelu", [ACT_GELU] = "gelu", NULL };
    c->vocab_size = object_int(o, "vocab_size", 49408, 2, 10000000);
    c->hidden_size = object_int(o, "hidden_size", 512, 1, 65536);
    c->intermediate_size = object_int(o, "intermediate_size", 2048, 1, 262144);
    c->positions = object_int(o, "max_position_embeddings", 77, 3, 4096);
    c->layers = (int)object_int(o, "num_hidden_layers", 12, 1, 128);
    c->heads = (int)object_int(o, "num_attention_heads", 8, 1, 1024);
    c->layer_norm_eps = (float)object_number(o, "layer_norm_eps", 1e-5, 1e-12, 1);
    c->activation = (Activation)object_choice(o, "hidden_act", ACT_QUICK_GELU, activations);
    if (c->hidden_size % c->heads != 0)
        object_fault(o, "num_attention_heads", "it does not divide hidden_size %lld",
                     (long long)c->hidden_size);
    object_fixed(o, FIXED, sizeof FIXED / sizeof *FIXED);
    object_ignore(o, IGNORED);
    object_finish(o);
}

/* The config of a whole CLIP model has its text encoder's as the member text_config. Its other members
   concern the picture encoder and are not read. */
bool clip_config_parse(const char *path, const void *text, size_t size, ClipConfig *c, Messages *errors,
                       Messages *warnings) {
    int before = errors->count;
    JsonObject o, inner;
    *c = (ClipConfig) { 0 };
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    if (!object_member(&o, "text_config")) {
        read_fields(&o, c);
    } else if (object_enter(&inner, &o, "text_config")) {
        object_ignore(&inner, GENERATION);
        read_fields(&inner, c);
        object_close(&inner);
    }
    object_close(&o);
    return errors->count == before;
}
