/* tokenizer/tokenizer_config.json and special_tokens_map.json: CLIPTokenizer. */
#include "text/tokenizer.h"

#include "io/object.h"

#include <stdlib.h>

static const char *const IGNORED[] = { "add_prefix_space",
                                       "added_tokens_decoder",
                                       "additional_special_tokens",
                                       "extra_special_tokens",
                                       "backend",
                                       "bos_token",
                                       "eos_token",
                                       "unk_token",
                                       "clean_up_tokenization_spaces",
                                       "do_lower_case",
                                       "errors",
                                       "is_local",
                                       "local_files_only",
                                       "max_length",
                                       "name_or_path",
                                       "pad_to_multiple_of",
                                       "pad_token_type_id",
                                       "padding_side",
                                       "special_tokens_map_file",
                                       "stride",
                                       "tokenizer_class",
                                       "tokenizer_file",
                                       "truncation_side",
                                       "truncation_strategy",
                                       NULL };

/* A token is a string or an object with it as content; NULL if it is neither. */
static const char *token_text(const json_t *m) {
    if (json_is_object(m)) m = json_object_get(m, "content");
    return json_is_string(m) ? json_string_value(m) : NULL;
}

static void read_pad_token(JsonObject *o, TokenizerConfig *c) {
    if (object_null(o, "pad_token")) return;
    const char *token = token_text(object_member(o, "pad_token"));
    if (!token || !*token)
        object_fault(o, "pad_token", "a token, or an object with it as content, should stand here");
    else
        c->pad_token = mem_string(token);
}

bool tokenizer_config_parse(const char *path, const void *text, size_t size, const void *map, size_t map_size,
                            int64_t positions, TokenizerConfig *c, Messages *errors, Messages *warnings) {
    int before = errors->count;
    JsonObject o, m;
    *c = (TokenizerConfig) { 0 };
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    /* The reference's default is 10^30: no limit, and so the text encoder's. */
    const json_t *length = object_member(&o, "model_max_length");
    bool unlimited = !length || (json_is_number(length) && json_number_value(length) >= 1e18);
    c->model_max_length = unlimited ? positions : object_int(&o, "model_max_length", positions, 3, positions);
    /* The map wins over the config (SD 2.x: "!" in the one, the end token in the other), but newer files, which
       have added_tokens_decoder, are read without it. */
    bool newer = object_member(&o, "added_tokens_decoder") != NULL;
    if (map && !newer && object_parse(&m, "special_tokens_map.json", map, map_size, errors, warnings)) {
        read_pad_token(&m, c);
        object_close(&m);
    }
    if (c->pad_token)
        object_member(&o, "pad_token");
    else
        read_pad_token(&o, c);
    object_ignore(&o, IGNORED);
    object_finish(&o);
    object_close(&o);
    bool ok = errors->count == before;
    if (!ok) {
        free(c->pad_token);
        c->pad_token = NULL;
    }
    return ok;
}
