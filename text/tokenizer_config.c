/* tokenizer/tokenizer_config.json and special_tokens_map.json: CLIPTokenizer. */
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

/* The special tokens that have names, in the order in which the reference adds those that the vocabulary
   lacks, and what they are where no file says. */
static const struct {
    const char *key, *absent;
} NAMED[] = { { "bos_token", "<|startoftext|>" },
              { "eos_token", "<|endoftext|>" },
              { "unk_token", "<|endoftext|>" },
              { "sep_token", NULL },
              { "pad_token", "<|endoftext|>" },
              { "cls_token", NULL },
              { "mask_token", NULL } };
enum { NAMES = sizeof NAMED / sizeof *NAMED, BOS = 0, EOS = 1, PAD = 4 };

/* The special token of that key, first of the map, then of the config. */
static bool read_named(JsonObject *map, JsonObject *o, const char *key, AddedToken *token) {
    bool mapped = map && !object_null(map, key), there = !object_null(o, key);
    JsonObject *from = mapped ? map : o;
    if (!mapped && !there) return false;
    return added_special(token, object_member(from, key)) ||
           object_fault(from, key, "a token, or an object with it as content, should stand here");
}

/* A list of special tokens, or an object with them as values. */
static void read_more(JsonObject *o, const char *key, AddedTokens *special) {
    json_t *all = object_null(o, key) ? NULL : object_member(o, key), *m;
    const char *name;
    AddedToken token;
    bool ok = !all || json_is_array(all) || json_is_object(all);
    size_t count = json_is_array(all) ? json_array_size(all) : json_object_size(all);
    ok = ok && count <= ADDED_MAX;
    for (size_t i = 0; ok && i < json_array_size(all); i++) {
        ok = added_special(&token, json_array_get(all, i));
        if (ok) added_put(special, token);
    }
    if (json_is_object(all))
        json_object_foreach (all, name, m) {
            ok = ok && added_special(&token, m);
            if (ok) added_put(special, token);
        }
    if (!ok) object_fault(o, key, "a list of tokens, or of objects with them as content, should stand here");
}

/* Special tokens under other names: "image_token". */
static void read_others(JsonObject *o, AddedTokens *special) {
    const char *key;
    json_t *m;
    json_object_foreach (o->object, key, m) {
        bool named = !text_ends_with(key, "_token");
        for (int i = 0; i < NAMES && !named; i++) named = strcmp(key, NAMED[i].key) == 0;
        AddedToken token;
        if (named || !json_is_string(m) || !added_special(&token, m)) continue;
        object_member(o, key); /* which is known so */
        added_put(special, token);
    }
}

/* map: NULL if there is none. */
static void read_special(JsonObject *o, JsonObject *map, TokenizerConfig *c) {
    for (int i = 0; i < NAMES; i++) {
        AddedToken token = { .text = NULL };
        int before = o->errors->count;
        bool there = read_named(map, o, NAMED[i].key, &token);
        if (!there && (o->errors->count > before || !NAMED[i].absent)) continue;
        if (!there) token = (AddedToken) { .text = (char *)(uintptr_t)NAMED[i].absent, .index = -1 };
        if ((i == BOS || i == EOS) && strcmp(token.text, NAMED[i].absent) != 0)
            object_fault(map && object_member(map, NAMED[i].key) ? map : o, NAMED[i].key,
                         "only \"%s\" is supported", NAMED[i].absent);
        if (i == PAD && there) c->pad_token = mem_string(token.text);
        added_put(&c->special, token);
    }
    static const char *const more[] = { "additional_special_tokens", "extra_special_tokens" };
    if (map) read_others(map, &c->special);
    read_others(o, &c->special);
    for (int i = 0; i < 2; i++) {
        read_more(o, more[i], &c->special);
        if (map) read_more(map, more[i], &c->special);
    }
}

bool tokenizer_config_parse(const char *path, const void *text, size_t size, const void *map, size_t map_size,
                            int64_t positions, TokenizerConfig *c, Messages *errors, Messages *warnings) {
    int before = errors->count;
    JsonObject o, m = { 0 };
    *c = (TokenizerConfig) { 0 };
    if (!object_parse(&o, path, text, size, errors, warnings)) return false;
    /* The reference's default is 10^30: no limit, and so the text encoder's. */
    const json_t *length = object_member(&o, "model_max_length");
    bool unlimited = !length || (json_is_number(length) && json_number_value(length) >= 1e18);
    c->model_max_length = unlimited ? positions : object_int(&o, "model_max_length", positions, 3, positions);
    /* The map wins over the config (SD 2.x: "!" in the one, the end token in the other), but newer files,
       which have added_tokens_decoder, are read without it, and without what other files say of added
       tokens. */
    c->decoder = object_member(&o, "added_tokens_decoder") != NULL;
    added_read(&c->added, &o, "added_tokens_decoder");
    bool mapped =
        map && !c->decoder && object_parse(&m, "special_tokens_map.json", map, map_size, errors, warnings);
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
    return c->decoder || added_read_plain(&c->added, path, text, size, &c->special, errors);
}

void tokenizer_config_free(TokenizerConfig *c) {
    free(c->pad_token);
    added_free(&c->special);
    added_free(&c->added);
    *c = (TokenizerConfig) { 0 };
}
