/* SPDX-License-Identifier: MIT */
#include "text/tokenizer_json.h"

#include <string.h>

/* The members of "model" that must have one of these values. "fuse_unk" and "unk_token" are not among them,
   since transformers ignores these two members. */
static const JsonFixed MODEL[] = {
    { "type", "\"BPE\"", NULL },
    { "dropout", "null", "0" },
    { "continuing_subword_prefix", "\"\"", "null" },
    { "byte_fallback", "false", NULL },
    { "ignore_merges", "false", NULL },
};

/* Checks that the member `key`, such as "normalizer", is a sequence whose list, such as "normalizers", has
   exactly these types. Returns false and adds a message when it does not. */
static bool check_sequence(JsonObject *o, const char *key, const char *list, const char *const types[],
                           int count) {
    const json_t *m = object_member(o, key), *steps = json_object_get(m, list);
    bool ok = json_array_size(steps) == (size_t)count;
    for (int i = 0; i < count && ok; i++) {
        const char *type = json_string_value(json_object_get(json_array_get(steps, (size_t)i), "type"));
        ok = type && strcmp(type, types[i]) == 0;
    }
    return ok || object_fault(o, key, "only CLIP's tokenizer is supported");
}

/* Checks that the text is split into pieces by CLIP's regular expression. Newer files have the names of the
   special tokens as further alternatives before it. */
static bool check_pattern(JsonObject *o) {
    static const char pieces[] = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";
    const json_t *steps = json_object_get(object_member(o, "pre_tokenizer"), "pretokenizers");
    const json_t *split = json_object_get(json_array_get(steps, 0), "pattern");
    const char *pattern = json_string_value(json_object_get(split, "Regex"));
    return (pattern && strstr(pattern, pieces)) ||
           object_fault(o, "pre_tokenizer", "only CLIP's tokenizer is supported");
}

static bool check_model(JsonObject *model) {
    int before = model->errors->count;
    object_fixed(model, MODEL, sizeof MODEL / sizeof *MODEL);
    const char *suffix = json_string_value(object_member(model, "end_of_word_suffix"));
    if (model->errors->count == before && (!suffix || strcmp(suffix, "</w>") != 0))
        object_fault(model, "end_of_word_suffix", "only \"</w>\" is supported, as in CLIP");
    return model->errors->count == before;
}

Bpe *tokenizer_json_parse(const char *path, const void *text, size_t size, const char *unknown,
                          AddedTokens *added, Messages *errors) {
    static const char *const normalizers[] = { "NFC", "Replace", "Lowercase" }, *const pieces[] = {
        "Split", "ByteLevel"
    };
    JsonObject o, model;
    if (!object_parse(&o, path, text, size, errors, errors)) return NULL;
    Bpe *b = NULL;
    if (object_enter(&model, &o, "model")) {
        bool ok = check_model(&model) && check_sequence(&o, "normalizer", "normalizers", normalizers, 3) &&
                  check_sequence(&o, "pre_tokenizer", "pretokenizers", pieces, 2) && check_pattern(&o) &&
                  (!added || added_read(added, &o, "added_tokens"));
        json_t *vocab = object_member(&model, "vocab");
        if (ok && !vocab) object_fault(&model, "vocab", "an object of tokens and ids is needed");
        if (ok && vocab) b = bpe_from_json(path, vocab, object_member(&model, "merges"), unknown, errors);
        object_close(&model);
    }
    object_close(&o);
    return b;
}
