/* SPDX-License-Identifier: MIT */
/* Reads tokenizer/tokenizer_config.json and special_tokens_map.json as the reference's class CLIPTokenizer
   does. */
#include "text/tokenizer.h"

#include "io/object.h"

#include <stdlib.h>
#include <string.h>

static const char *const IGNORED[] = { "add_prefix_space",
                                       "backend",
                                       "clean_up_tokenization_spaces",
                                       "do_lower_case",
                                       "errors",
                                       "is_local",
                                       "local_files_only",
                                       "max_length",
                                       "name_or_path",
                                       "pad_to_multiple_of",
                                       "pad_token_type_id",
                                       "special_tokens_map_file",
                                       "stride",
                                       "tokenizer_class",
                                       "tokenizer_file",
                                       "truncation_strategy",
                                       NULL };

static const JsonFixed FIXED[] = {
    { "padding_side", "\"right\"", NULL },
    { "truncation_side", "\"right\"", NULL },
};

/* The special tokens that have a key of their own, with their default values, which are used when no file
   has the key; NULL when there is no default. Tokens that the vocabulary lacks are added in this order,
   as in the reference. */
static const struct {
    const char *key, *fallback;
} NAMED_TOKENS[] = { { "bos_token", "<|startoftext|>" },
                     { "eos_token", "<|endoftext|>" },
                     { "unk_token", "<|endoftext|>" },
                     { "sep_token", NULL },
                     { "pad_token", "<|endoftext|>" },
                     { "cls_token", NULL },
                     { "mask_token", NULL } };
enum { NAMED_COUNT = sizeof NAMED_TOKENS / sizeof *NAMED_TOKENS, BOS = 0, EOS = 1, PAD = 4 };

/* Reads the special token `key` from the map, or from the config when the map does not have it. Returns false
   when neither has the token. Returns false and adds a message when the token is malformed. */
static bool read_named(JsonObject *map, JsonObject *o, const char *key, AddedToken *token) {
    bool mapped = map && !object_null(map, key), there = !object_null(o, key);
    JsonObject *from = mapped ? map : o;
    if (!mapped && !there) return false;
    return added_read_special(token, object_member(from, key)) ||
           object_fault(from, key, "a token, or an object with a token as \"content\", is needed");
}

/* Reads a member that is a list of special tokens, or an object with special tokens as values. */
static void read_additional(JsonObject *o, const char *key, AddedTokens *special) {
    json_t *all = object_null(o, key) ? NULL : object_member(o, key), *m;
    const char *name;
    AddedToken token;
    bool ok = !all || json_is_array(all) || json_is_object(all);
    size_t count = json_is_array(all) ? json_array_size(all) : json_object_size(all);
    ok = ok && count <= ADDED_MAX;
    for (size_t i = 0; ok && i < json_array_size(all); i++) {
        ok = added_read_special(&token, json_array_get(all, i));
        if (ok) added_put(special, token);
    }
    if (json_is_object(all))
        json_object_foreach (all, name, m) {
            ok = ok && added_read_special(&token, m);
            if (ok) added_put(special, token);
        }
    if (!ok) object_fault(o, key, "a list of tokens, or of objects with a token as \"content\", is needed");
}

/* Reads special tokens under other keys that end in "_token", such as "image_token". */
static void read_other_keys(JsonObject *o, AddedTokens *special) {
    const char *key;
    json_t *m;
    json_object_foreach (o->object, key, m) {
        bool skip = !text_ends_with(key, "_token");
        for (int i = 0; i < NAMED_COUNT && !skip; i++) skip = strcmp(key, NAMED_TOKENS[i].key) == 0;
        AddedToken token;
        if (skip || !json_is_string(m) || !added_read_special(&token, m)) continue;
        object_member(o, key); /* marks the key as known, so that no warning names it */
        added_put(special, token);
    }
}

/* Collects all special tokens in c->special and sets c->pad_token. `map` is NULL when there is no map. */
static void read_special(JsonObject *o, JsonObject *map, TokenizerConfig *c) {
    for (int i = 0; i < NAMED_COUNT; i++) {
        AddedToken token = { .text = NULL };
        int before = o->errors->count;
        bool there = read_named(map, o, NAMED_TOKENS[i].key, &token);
        if (!there && (o->errors->count > before || !NAMED_TOKENS[i].fallback)) continue;
        if (!there) token = (AddedToken) { .text = (char *)(uintptr_t)NAMED_TOKENS[i].fallback, .index = -1 };
        if ((i == BOS || i == EOS) && strcmp(token.text, NAMED_TOKENS[i].fallback) != 0)
            object_fault(map && object_member(map, NAMED_TOKENS[i].key) ? map : o, NAMED_TOKENS[i].key,
                         "only \"%s\" is supported", NAMED_TOKENS[i].fallback);
        if (i == PAD && there) c->pad_token = mem_string(token.text);
        added_put(&c->special, token);
    }
    static const char *const more[] = { "additional_special_tokens", "extra_special_tokens" };
    if (map) read_other_keys(map, &c->special);
    read_other_keys(o, &c->special);
    for (int i = 0; i < 2; i++) {
        read_additional(o, more[i], &c->special);
        if (map) read_additional(map, more[i], &c->special);
    }
}

bool tokenizer_config_parse(const char *path, const void *text, size_t size, const void *map, size_t map_size,
                            int64_t positions, TokenizerConfig *c, Messages *errors, Messages *warnings) {
    int before = errors->count;
    JsonObject o, m = { 0 };
    *c = (TokenizerConfig) { 0 };
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    /* The reference writes 10^30 when there is no limit, and assumes this value when the member is absent.
       Then the text encoder's number of positions is the limit. */
    const json_t *length = object_member(&o, "model_max_length");
    bool unlimited = !length || (json_is_number(length) && json_number_value(length) >= 1e18);
    c->model_max_length = unlimited ? positions : object_int(&o, "model_max_length", positions, 3, positions);
    /* The map takes precedence over the config: in Stable Diffusion 2.x, the padding token is "!" according
       to the map and the end token according to the config. But when a config has added_tokens_decoder, as
       newer ones do, the reference reads neither the map nor the added tokens in other files. */
    c->has_decoder = object_member(&o, "added_tokens_decoder") != NULL;
    added_read(&c->added, &o, "added_tokens_decoder");
    bool mapped = map && !c->has_decoder &&
                  object_parse(&m, "special_tokens_map.json", map, map_size, errors, warnings);
    read_special(&o, mapped ? &m : NULL, c);
    if (mapped) object_close(&m);
    object_fixed(&o, FIXED, sizeof FIXED / sizeof *FIXED);
    object_ignore(&o, IGNORED);
    object_finish(&o);
    object_close(&o);
    if (errors->count == before) return true;
    tokenizer_config_free(c);
    return false;
}

bool tokenizer_config_added(TokenizerConfig *c, const char *path, const void *text, size_t size,
                            Messages *errors) {
    return c->has_decoder || added_read_json(&c->added, path, text, size, &c->special, errors);
}

void tokenizer_config_free(TokenizerConfig *c) {
    free(c->pad_token);
    added_free(&c->special);
    added_free(&c->added);
    *c = (TokenizerConfig) { 0 };
}
