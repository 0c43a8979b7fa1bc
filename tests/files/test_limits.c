/* SPDX-License-Identifier: MIT */
/* Tests of files of weights and configs at their limits: the smallest and the largest value of each number
   and its default, every kind of UTF-8, and the names of tensors, of learned words and of a model's files. */
#include "tests/refusal.h"
#include "weights/config.h"
#include "exchange/word_file.h"
#include "weights/folder.h"
#include "io/json.h"
#include "weights/store.h"

#include <stddef.h>

typedef enum { CLIP, UNET, VAE, SCHEDULER, TOKENIZER, CLIP_MODEL, PREPROCESSOR } Part;
typedef union {
    ClipConfig clip;
    UnetConfig unet;
    VaeConfig vae;
    SchedulerConfig scheduler;
    TokenizerConfig tokenizer;
    ClipModelConfig clip_model;
    PreprocessorConfig preprocessor;
} Config;

enum { POSITIONS = 60 };

static bool parse(Part part, const char *text, Config *c, Messages *errors, Messages *warnings) {
    size_t n = strlen(text);
    switch (part) {
    case CLIP:
        return clip_config_parse("a", text, n, &c->clip, errors, warnings);
    case UNET:
        return unet_config_parse("a", text, n, &c->unet, errors, warnings);
    case VAE:
        return vae_config_parse("a", text, n, &c->vae, errors, warnings);
    case SCHEDULER:
        return scheduler_config_parse("a", text, n, &c->scheduler, errors, warnings);
    case CLIP_MODEL:
        return clip_model_config_parse("a", text, n, &c->clip_model, errors, warnings);
    case PREPROCESSOR:
        return preprocessor_config_parse("a", text, n, &c->preprocessor, errors, warnings);
    case TOKENIZER:
        break;
    }
    return tokenizer_config_parse("a", text, n, NULL, 0, POSITIONS, &c->tokenizer, errors, warnings);
}

static void config_free(Part part, Config *c) {
    if (part == SCHEDULER) free(c->scheduler.trained_betas);
    if (part == TOKENIZER) tokenizer_config_free(&c->tokenizer);
}

/* For each part, a config that has only the required members. */
static const char *const MINIMAL[] = {
    "{}",
    "{\"sample_size\": 8, \"block_out_channels\": [32], \"down_block_types\": "
    "[\"DownBlock2D\"], \"up_block_types\": [\"UpBlock2D\"]}",
    "{\"block_out_channels\": [32], \"down_block_types\": "
    "[\"DownEncoderBlock2D\"], \"up_block_types\": [\"UpDecoderBlock2D\"]}",
    "{}",
    "{}",
    "{\"model_type\": \"clip\", \"text_config\": {}, \"vision_config\": {}}",
    "{}"
};

/* Returns that config with one member set to a JSON text, or without the member when value is NULL. The
   caller frees it. */
static char *with_member(Part part, const char *key, const char *value) {
    return edited_object(MINIMAL[part], key, value);
}

typedef enum { I64, INT, F32_NUMBER, F64_NUMBER } Kind;
typedef struct {
    Part part;
    const char *key;
    double low, high, absent; /* absent: the default, or a negative number when the member is required */
    Kind kind;
    size_t at; /* offset in Config */
} Field;

#define AT(part, field) offsetof(Config, part.field)
static const Field FIELDS[] = {
    { CLIP, "vocab_size", 2, 10000000, 49408, I64, AT(clip, vocab_size) },
    { CLIP, "hidden_size", 1, 65536, 512, I64, AT(clip, hidden_size) },
    { CLIP, "intermediate_size", 1, 262144, 2048, I64, AT(clip, intermediate_size) },
    { CLIP, "max_position_embeddings", 3, 4096, 77, I64, AT(clip, positions) },
    { CLIP, "num_hidden_layers", 1, 128, 12, INT, AT(clip, layers) },
    { CLIP, "num_attention_heads", 1, 1024, 8, INT, AT(clip, heads) },
    { CLIP, "layer_norm_eps", 1e-12, 1, 1e-5, F32_NUMBER, AT(clip, layer_norm_eps) },
    { UNET, "in_channels", 1, 1024, 4, I64, AT(unet, in_channels) },
    { UNET, "out_channels", 1, 1024, 4, I64, AT(unet, out_channels) },
    { UNET, "sample_size", 1, 8192, -1, I64, AT(unet, sample_size) },
    { UNET, "cross_attention_dim", 1, 65536, 1280, I64, AT(unet, cross_attention_dim) },
    { UNET, "norm_num_groups", 1, 65536, 32, INT, AT(unet, groups) },
    { UNET, "norm_eps", 1e-12, 1, 1e-5, F32_NUMBER, AT(unet, norm_eps) },
    { UNET, "block_out_channels", 1, 65536, -1, I64, AT(unet, channels) },
    { UNET, "layers_per_block", 1, 16, 2, INT, AT(unet, layers_per_block) },
    { UNET, "transformer_layers_per_block", 1, 64, 1, INT, AT(unet, transformer_layers) },
    { UNET, "attention_head_dim", 1, 1024, 8, INT, AT(unet, heads) },
    { VAE, "in_channels", 3, 3, 3, I64, AT(vae, in_channels) },
    { VAE, "out_channels", 3, 3, 3, I64, AT(vae, out_channels) },
    { VAE, "latent_channels", 1, 256, 4, I64, AT(vae, latent_channels) },
    { VAE, "sample_size", 1, 65536, 32, I64, AT(vae, sample_size) },
    { VAE, "layers_per_block", 1, 16, 1, INT, AT(vae, layers_per_block) },
    { VAE, "norm_num_groups", 1, 65536, 32, INT, AT(vae, groups) },
    { VAE, "block_out_channels", 1, 65536, -1, I64, AT(vae, channels) },
    { VAE, "scaling_factor", 1e-6, 1e6, 0.18215, F32_NUMBER, AT(vae, scaling_factor) },
    { SCHEDULER, "num_train_timesteps", 1, 100000, 1000, I64, AT(scheduler, train_timesteps) },
    { SCHEDULER, "beta_start", 0, 0.999, 0.0001, F64_NUMBER, AT(scheduler, beta_start) },
    { SCHEDULER, "beta_end", 0, 0.999, 0.02, F64_NUMBER, AT(scheduler, beta_end) },
    { SCHEDULER, "clip_sample_range", 1e-6, 1e6, 1, F64_NUMBER, AT(scheduler, clip_sample_range) },
    { TOKENIZER, "model_max_length", 3, POSITIONS, POSITIONS, I64, AT(tokenizer, model_max_length) },
    { CLIP_MODEL, "projection_dim", 1, 65536, 512, I64, AT(clip_model, projection_dim) },
    { PREPROCESSOR, "size", 1, 4096, 224, I64, AT(preprocessor, shortest_edge) },
    { PREPROCESSOR, "crop_size", 1, 4096, 224, I64, AT(preprocessor, crop_height) },
    { PREPROCESSOR, "rescale_factor", 1e-6, 1, 1 / 255.0, F64_NUMBER, AT(preprocessor, rescale_factor) },
};

static double value_at(const Config *c, const Field *f) {
    const char *at = (const char *)c + f->at;
    switch (f->kind) {
    case I64:
        return (double)*(const int64_t *)(const void *)at;
    case INT:
        return *(const int *)(const void *)at;
    case F32_NUMBER:
        return (double)*(const float *)(const void *)at;
    case F64_NUMBER:
        break;
    }
    return *(const double *)(const void *)at;
}

/* Returns whether the value is accepted and stored unchanged. Errors about other members do not count, since
   they may follow from the value. One channel, for example, cannot be divided into 32 groups. */
static bool accepts(const Field *f, double value) {
    bool list = strcmp(f->key, "block_out_channels") == 0;
    char *number = mem_format(list ? "[%.17g]" : "%.17g", value),
         *text = with_member(f->part, f->key, number);
    char *fault = mem_format("\"%s\" is ", f->key);
    Messages errors = { 0 }, warnings = { 0 };
    Config c;
    parse(f->part, text, &c, &errors, &warnings);
    const char *line = errors.text ? strstr(errors.text, fault) : NULL;
    bool refused = line && strstr(line, " number from ");
    double want = f->kind == F32_NUMBER ? (double)(float)value : value;
    bool accepted = !refused && value_at(&c, f) == want;
    config_free(f->part, &c);
    messages_free(&errors);
    messages_free(&warnings);
    free(fault);
    free(number);
    free(text);
    return accepted;
}

static void test_fields(void) {
    for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
        const Field *f = &FIELDS[i];
        bool whole = f->kind == I64 || f->kind == INT;
        double below = whole ? f->low - 1 : f->low > 0 ? f->low * 0.999 : -1e-9;
        double above = whole ? f->high + 1 : f->high * 1.001;
        test_true(f->key,
                  accepts(f, f->low) && accepts(f, f->high) && !accepts(f, below) && !accepts(f, above) &&
                      (!whole || !accepts(f, (f->low + f->high) / 2 + 0.25)),
                  "%g to %g", f->low, f->high);
        if (f->absent < 0) continue;
        char *text = with_member(f->part, f->key, NULL);
        Messages errors = { 0 }, warnings = { 0 };
        Config c;
        bool ok = parse(f->part, text, &c, &errors, &warnings);
        double want = f->kind == F32_NUMBER ? (double)(float)f->absent : f->absent;
        test_true(f->key, ok && value_at(&c, f) == want && !warnings.count, "%.9g without it%s",
                  value_at(&c, f), text_of(&errors, ""));
        config_free(f->part, &c);
        messages_free(&errors);
        messages_free(&warnings);
        free(text);
    }
}

/* Tests members of other kinds. fault is a part of the message, or NULL when the value is accepted. */
static void test_values(void) {
    static const struct {
        Part part;
        const char *key, *value, *fault;
    } values[] = {
        { VAE, "sample_size", "[48, 40]", NULL },
        { VAE, "sample_size", "[48]", "a list of 2" },
        { UNET, "sample_size", "[8, 8]", NULL },
        { UNET, "sample_size", "[8, 9]", "have to be the same" },
        { UNET, "down_block_types", NULL, "a list of" },
        { UNET, "block_out_channels", "[32, 32, 32, 32, 32, 32, 32, 32, 32]", "1 to 8 members" },
        { UNET, "block_out_channels", "[]", "1 to 8 members" },
        { UNET, "block_out_channels", "[33]", "the first must be even" },
        { UNET, "attention_head_dim", "5", "5 heads do not divide 32 channels" }, /* in the middle block */
        { TOKENIZER, "model_max_length", "1e18", NULL },
        { TOKENIZER, "model_max_length", "9.99e17", "from 3 to 60" },
        { TOKENIZER, "pad_token", "{\"content\": \"!\"}", NULL },
        { TOKENIZER, "pad_token", "\"\"", "a token" },
        { SCHEDULER, "trained_betas", "null", NULL },
        { SCHEDULER, "trained_betas", "[0.1]", "1000 numbers" },
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char *text = with_member(values[i].part, values[i].key, values[i].value);
        Messages errors = { 0 }, warnings = { 0 };
        Config c;
        bool ok = parse(values[i].part, text, &c, &errors, &warnings);
        bool said = values[i].fault && errors.text && strstr(errors.text, values[i].fault);
        test_true(values[i].key, ok ? !values[i].fault : said, "%s: %s",
                  values[i].value ? values[i].value : "", text_of(&errors, "accepted"));
        config_free(values[i].part, &c);
        messages_free(&errors);
        messages_free(&warnings);
        free(text);
    }
}

/* Tests a VAE with the largest number of levels that is supported. */
static void test_levels(void) {
    char lists[3][400] = { "", "", "" };
    for (int i = 0; i < LEVELS_MAX; i++) {
        strcat(lists[0], i ? ", \"DownEncoderBlock2D\"" : "\"DownEncoderBlock2D\"");
        strcat(lists[1], i ? ", \"UpDecoderBlock2D\"" : "\"UpDecoderBlock2D\"");
        strcat(lists[2], i ? ", 32" : "32");
    }
    char *text =
        mem_format("{\"down_block_types\": [%s], \"up_block_types\": [%s], \"block_out_channels\": [%s]}",
                   lists[0], lists[1], lists[2]);
    Messages errors = { 0 }, warnings = { 0 };
    Config c;
    bool ok = parse(VAE, text, &c, &errors, &warnings);
    test_true("eight levels", ok && c.vae.levels == 8 && c.vae.channels[7] == 32, "%s", text_of(&errors, ""));
    messages_free(&errors);
    messages_free(&warnings);
    free(text);
}

static void test_betas(void) {
    static const struct {
        const char *list;
        bool ok;
    } cases[] = { { "[0.25, 0.5, 0.75]", true },
                  { "[0.25, 0.5]", false },
                  { "[0.25, 0.5, 0.75, 0.1]", false },
                  { "[0, 0.5, 0.75]", false },
                  { "[0.25, 0.5, 1]", false },
                  { "[0.25, \"0.5\", 0.75]", false },
                  { "0.25", false },
                  { "[0.25, -0.5, 0.75]", false } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = mem_format("{\"num_train_timesteps\": 3, \"trained_betas\": %s}", cases[i].list);
        Messages errors = { 0 }, warnings = { 0 };
        Config c;
        bool ok = parse(SCHEDULER, text, &c, &errors, &warnings);
        const double *b = c.scheduler.trained_betas;
        bool same = b && b[0] == 0.25 && b[1] == 0.5 && b[2] == 0.75;
        test_true("trained betas", ok == cases[i].ok && same == ok, "%s", cases[i].list);
        config_free(SCHEDULER, &c);
        messages_free(&errors);
        messages_free(&warnings);
        free(text);
    }
}

/* Returns whether a JSON string that consists of these bytes is accepted. */
static bool accepts_string(const void *bytes, size_t size) {
    char text[20] = "\"";
    memcpy(text + 1, bytes, size);
    text[1 + size] = '"';
    Messages errors = { 0 };
    json_t *json = json_parse("a", text, size + 2, false, &errors);
    bool ok = json != NULL;
    json_decref(json);
    messages_free(&errors);
    return ok;
}

/* Returns whether the bytes are UTF-8 by its definition: each character has as many bytes as its first byte
   says and no more than its code point needs, is no surrogate, and is at most U+10FFFF. */
static bool is_utf8(const unsigned char *b, int size) {
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    for (int n; size > 0; b += n, size -= n) {
        n = b[0] < 0x80 ? 1 : b[0] >> 5 == 6 ? 2 : b[0] >> 4 == 14 ? 3 : b[0] >> 3 == 30 ? 4 : 0;
        if (n == 0 || n > size) return false;
        uint32_t c = n == 1 ? b[0] : b[0] & (0x7fu >> n);
        for (int i = 1; i < n; i++) {
            if (b[i] >> 6 != 2) return false;
            c = c << 6 | (b[i] & 0x3f);
        }
        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return false;
    }
    return true;
}

static void test_utf8(void) {
    static const unsigned char ends[] = { 0x7e, 0x7f, 0x80, 0x81, 0xbe, 0xbf, 0xc0, 0xc1 };
    int wrong = 0, accepted = 0;
    for (int size = 1; size <= 4; size++)
        for (int first = 0x80; first < 0x100; first++)
            for (int second = 0x70; second < (size > 1 ? 0xd0 : 0x71); second++)
                for (int i = 0; i < (size > 3 ? 64 : size > 2 ? 8 : 1); i++) {
                    const unsigned char b[4] = { (unsigned char)first, (unsigned char)second, ends[i % 8],
                                                 ends[i / 8] };
                    bool ok = accepts_string(b, (size_t)size);
                    wrong += ok != is_utf8(b, size);
                    accepted += ok;
                }
    test_true("UTF-8", wrong == 0 && accepted > 1000, "%d accepted, %d wrong", accepted, wrong);
    static const struct {
        const char *text;
        bool ok;
    } pairs[] = { { "\\ud800\\udc00", true },  { "\\udbff\\udfff", true },  { "\\ud800\\udbff", false },
                  { "\\udbff\\ue000", false }, { "\\udc00\\ud800", false }, { "\\udbff", false },
                  { "\\ud7ff", true },         { "\\ue000", true },         { "\\udfff", false },
                  { "\\ud800x", false },       { "\\u0000", false },        { "\\u0001", true } };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        test_true("surrogates", accepts_string(pairs[i].text, strlen(pairs[i].text)) == pairs[i].ok, "%s",
                  pairs[i].text);
}

/* Checks that messages shorten a long value between two characters, and that they name only twenty of many
   unknown keys. */
static void test_messages(void) {
    char value[200] = "\"", want[200] = "is \"";
    for (int i = 0; i < 60; i++) strcat(value, "\xc3\xa9");
    for (int i = 0; i < 39; i++) strcat(want, "\xc3\xa9");
    char *text = with_member(CLIP, "hidden_act", strcat(value, "\""));
    Messages errors = { 0 }, warnings = { 0 };
    Config c;
    bool ok = parse(CLIP, text, &c, &errors, &warnings);
    test_true("a long value", !ok && strstr(errors.text, strcat(want, "...: the supported values")), "%s",
              text_of(&errors, ""));
    messages_free(&errors);
    free(text);
    for (int keys = 20; keys <= 23; keys += 3) {
        char many[600] = "{";
        for (int i = 0; i < keys; i++)
            snprintf(many + strlen(many), 40, "%s\"key %d\": 1", i ? ", " : "", i + 1);
        ok = parse(CLIP, strcat(many, "}"), &c, &errors, &warnings);
        bool more = warnings.text && strstr(warnings.text, "and 3 more");
        test_true("unknown keys",
                  ok && more == (keys == 23) && strstr(warnings.text, "\"key 20\"") &&
                      !strstr(warnings.text, "\"key 21\""),
                  "%d", keys);
        messages_free(&warnings);
    }
}

/* Returns a safetensors file with this header, padded with spaces to `length` bytes, and with `data` zero
   bytes as its data. The caller frees it. */
static char *file_of(const char *header, size_t length, size_t data, size_t *size) {
    char *bytes = mem_alloc(8 + length + data);
    memset(bytes + 8, ' ', length);
    memcpy(bytes + 8, header, strlen(header));
    for (int i = 0; i < 8; i++) bytes[i] = (char)(length >> (8 * i) & 0xff);
    *size = 8 + length + data;
    return bytes;
}

static void test_tensors(void) {
    static const struct {
        const char *header;
        size_t data;
        bool ok;
    } cases[] = { { "{\"a\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1, true },
                  { "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1, false },
                  { "{\"a\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[0,3]}}", 3, true },
                  { "{\"a\":{\"dtype\":\"F6_E2M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, false },
                  { "{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}}", 16, true } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        char *bytes = file_of(cases[i].header, 100, cases[i].data, &size);
        Messages errors = { 0 };
        Safetensors s;
        bool ok = safetensors_parse("a", bytes, size, &s, &errors);
        test_true("types of less than a byte", ok == cases[i].ok, "%s", cases[i].header);
        if (ok) safetensors_close(&s);
        messages_free(&errors);
        free(bytes);
    }
}

/* Checks that a tensor is found under its name with the optional prefix and without it, and that the file may
   contain either name. */
static void test_prefix(void) {
    static const char *const stored[] = { "a.weight", "text.a.weight" };
    for (int i = 0; i < 4; i++) {
        char *header =
            mem_format("{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", stored[i % 2]);
        size_t size;
        char *bytes = file_of(header, 120, 4, &size);
        Messages errors = { 0 };
        Safetensors s;
        CHECK(safetensors_parse("a", bytes, size, &s, &errors));
        Store *store = store_new(&s, 1, "", "text.", &errors);
        const Weight *w = store_get(store, shape1(1), "%s", stored[i / 2]);
        test_true("an optional prefix", w != NULL && errors.count == 0, "%s asked for, %s there",
                  stored[i / 2], stored[i % 2]);
        store_free(store);
        safetensors_close(&s);
        messages_free(&errors);
        free(bytes);
        free(header);
    }
}

/* If a file does not name its word, the word is the file's name without its last extension. */
static void test_words(void) {
    static const struct {
        const char *path, *header, *token; /* token: NULL when the file is refused */
        size_t length;
    } cases[] = {
        { "dir.d/cat.toy.safetensors",
          "{\"emb_params\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]}}", "cat.toy", 120 },
        { "dir/.cat", "{\"*\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", ".cat", 120 },
        { "cat", "{\"weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "cat", 120 },
        /* With a header of 640 bytes, the file begins with the same bytes as a pickle. */
        { "x", "{\"<cat>\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "<cat>", 640 },
        { "x", "{\"<cat>\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", NULL, 120 },
        { "x", "{\"<cat>\":{\"dtype\":\"F32\",\"shape\":[1,1,1],\"data_offsets\":[0,4]}}", NULL, 120 },
        { "x", "{\"<cat>\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]}}", NULL, 120 },
        { "x",
          "{\"weight\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]},"
          "\"vectors\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[2,4]}}",
          NULL, 180 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size;
        char *bytes = file_of(cases[i].header, cases[i].length, 4, &size);
        Messages errors = { 0 };
        Embeddings e;
        bool ok = word_file_parse(cases[i].path, bytes, size, &e, &errors);
        test_true("a word",
                  ok ? cases[i].token && strcmp(e.words[0].token, cases[i].token) == 0 : !cases[i].token,
                  "%s", ok ? e.words[0].token : text_of(&errors, ""));
        embeddings_free(&e);
        messages_free(&errors);
        free(bytes);
    }
}

/* Checks that a model may have 1000 files of weights and no more. */
static void test_shards(void) {
    for (int parts = 1000; parts <= 1001; parts++) {
        char *text = mem_string("{\"weight_map\": {");
        size_t length = strlen(text);
        text = mem_grow(text, length + 60 * 1001 + 4);
        for (int i = 0; i < parts; i++)
            length += (size_t)snprintf(text + length, 60, "%s\"a%d\": \"part-%d\"", i ? ", " : "", i, i);
        memcpy(text + length, "}}", 3);
        Messages errors = { 0 };
        char **names = NULL;
        int64_t count = shard_index_parse("a", text, strlen(text), &names, &errors);
        test_true("parts of a model", count == (parts == 1000 ? 1000 : 0) && errors.count == parts - 1000,
                  "%lld of %d", (long long)count, parts);
        for (int64_t i = 0; i < count && names; i++) free(names[i]);
        free(names);
        messages_free(&errors);
        free(text);
    }
}

int main(void) {
    test_fields();
    test_values();
    test_levels();
    test_betas();
    test_utf8();
    test_messages();
    test_tensors();
    test_prefix();
    test_words();
    test_shards();
    return test_finish();
}
