/* tokenizer/tokenizer_config.json and special_tokens_map.json: CLIPTokenizer. */
#include "text/tokenizer.h"

#include "io/json.h"

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
static const char *token_text(const cJSON *m) {
    if (cJSON_IsObject(m)) m = cJSON_GetObjectItemCaseSensitive(m, "content");
    return cJSON_IsString(m) ? m->valuestring : NULL;
}

static void read_pad_token(JsonObject *o, TokenizerConfig *c) {
    if (json_null(o, "pad_token")) return;
    const char *token = token_text(json_member(o, "pad_token"));
    if (!token || !*token)
        json_fault(o, "pad_token", "a token, or an object with it as content, should stand here");
    else
        c->pad_token = mem_string(token);
}

bool tokenizer_config_parse(const char *path, const void *text, size_t size, const void *map, size_t map_size,
                            int64_t positions, TokenizerConfig *c, Messages *errors, Messages *warnings) {
    int before = errors->count;
    JsonObject o, m;
    *c = (TokenizerConfig) { 0 };
    if (!json_object_parse(&o, path, text, size, errors, warnings)) return false;
    /* The reference's default is 10^30: no limit, and so the text encoder's. */
    const cJSON *length = json_member(&o, "model_max_length");
    bool unlimited = !length || (cJSON_IsNumber(length) && length->valuedouble >= 1e18);
    c->model_max_length = unlimited ? positions : json_int(&o, "model_max_length", positions, 3, positions);
    /* The map wins over the config (SD 2.x: "!" in the one, the end token in the other), but newer files, which
       have added_tokens_decoder, are read without it. */
    bool newer = json_member(&o, "added_tokens_decoder") != NULL;
    if (map && !newer && json_object_parse(&m, "special_tokens_map.json", map, map_size, errors, warnings)) {
        read_pad_token(&m, c);
        json_object_close(&m);
    }
    if (c->pad_token)
        json_member(&o, "pad_token");
    else
        read_pad_token(&o, c);
    json_ignore(&o, IGNORED);
    json_finish(&o);
    json_object_close(&o);
    bool ok = errors->count == before;
    if (!ok) {
        free(c->pad_token);
        c->pad_token = NULL;
    }
    return ok;
}
