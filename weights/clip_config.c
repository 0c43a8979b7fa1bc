/* text_encoder/config.json: CLIPTextModel. */
#include "weights/config.h"
#include "io/object.h"

static const JsonFixed FIXED[] = {
    { "model_type", "\"clip_text_model\"", NULL },
    { "attention_dropout", "0",
      NULL }, /* the reference's script trains with the text encoder in training mode */
};

/* The ids are of the pooled output, which is not used here; the initializers' of new models. */
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

bool clip_config_parse(const char *path, const void *text, size_t size, ClipConfig *c, Messages *errors,
                       Messages *warnings) {
    static const char *const activations[] = { [ACT_QUICK_GELU] = "quick_gelu", [ACT_GELU] = "gelu", NULL };
    int before = errors->count;
    JsonObject o;
    *c = (ClipConfig) { 0 };
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    c->vocab_size = object_int(&o, "vocab_size", 49408, 2, 10000000);
    c->hidden_size = object_int(&o, "hidden_size", 512, 1, 65536);
    c->intermediate_size = object_int(&o, "intermediate_size", 2048, 1, 262144);
    c->positions = object_int(&o, "max_position_embeddings", 77, 3, 4096);
    c->layers = (int)object_int(&o, "num_hidden_layers", 12, 1, 128);
    c->heads = (int)object_int(&o, "num_attention_heads", 8, 1, 1024);
    c->layer_norm_eps = (float)object_number(&o, "layer_norm_eps", 1e-5, 1e-12, 1);
    c->activation = (Activation)object_choice(&o, "hidden_act", ACT_QUICK_GELU, activations);
    if (c->hidden_size % c->heads != 0)
        object_fault(&o, "num_attention_heads", "it does not divide hidden_size %lld",
                     (long long)c->hidden_size);
    object_fixed(&o, FIXED, sizeof FIXED / sizeof *FIXED);
    object_ignore(&o, IGNORED);
    object_finish(&o);
    object_close(&o);
    return errors->count == before;
}
