/* SPDX-License-Identifier: MIT */
/* Fuzzing targets: vocabularies and merges, the files of a folder's tokenizer, texts for the tokenizer, and
   template files. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "inversion/templates.h"
#include "text/prompt.h"

/* ---- vocabulary and merges, in parts: vocab.json, merges.txt, the padding token, a new word, a text ---- */

static const char VOCAB[] =
    "{\"<|startoftext|>\": 0, \"<|endoftext|>\": 1, \"a\": 2, \"b\": 3, \"a</w>\": 4, "
    "\"b</w>\": 5, \"aa\": 6, \"ab\": 7, \"ab</w>\": 8, \"aab\": 9, \"\\u00c3\": 10, \"<\": 11}";
static const char MERGES[] = "#version: 0.2\na a\na b\na b</w>\naa b\n";

static const char *const VOCAB_WORDS[] = { "\"a\": 2, ",
                                           "\"<|endoftext|>\": 1, ",
                                           "\"<|startoftext|>\"",
                                           "<|endoftext|>",
                                           "\"x\"",
                                           "\"x</w>\"",
                                           "</w>",
                                           "\"\"",
                                           "\"\\u0000\"",
                                           "\"\\ud83d\\ude00\"",
                                           "#version",
                                           "\na a\n",
                                           "\r\n",
                                           "\n",
                                           " ",
                                           "a",
                                           "b",
                                           "<x>",
                                           "_1",
                                           "-1",
                                           "1.5",
                                           "2147483648",
                                           "\xff",
                                           "\xc2\x9b",
                                           "\x1b",
                                           "{}",
                                           "[]",
                                           NULL };

static void vocabulary_seeds(Seeds *s) {
    static const char *const parts[][5] = {
        { VOCAB, MERGES, "<|endoftext|>", "<x>", "a ab aab <x> <x>_1 b" },
        { VOCAB, "a a\r\na b\r\n", "a", "X", "ABBA xx <|EndOfText|>\xc3\xa9" },
        { "", MERGES, "", "<x>", "ab aab \xc3\xa9" },
        { "{\"<|startoftext|>\":0,\"<|endoftext|>\":1}", "", "<", "<|", "<|startoftext|>|><|" },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) seeds_parts(s, 5, parts[i]);
}

static char *string_of(Bytes b) {
    char *s = mem_alloc(b.size + 1);
    if (b.size) memcpy(s, b.at, b.size);
    return s;
}

/* Checks that a prompt's tokens are those of its text, with additional ones after those of learned words.
   Also checks the functions that find words in a prompt. */
static void use_prompt(const Tokenizer *t, const char *prompt, int64_t known) {
    int64_t count, all, used = 0;
    int32_t *raw = tokenizer_encode_raw(t, prompt, strlen(prompt), &count),
            *ids = tokenizer_encode_prompt(t, prompt, &all);
    for (int64_t i = 0; i < all && used < count; i++) used += ids[i] == raw[used];
    CHECK_EQ(used, count);
    for (int64_t i = 0; i < all; i++) CHECK(ids[i] >= 0 && ids[i] < known);
    free(tokenizer_expand_placeholders(t, prompt));
    bool x = prompt_uses(t, prompt, "<x>");
    char *near = prompt_nearest(t, prompt, "<x>"), *longer = prompt_nearest(t, prompt, "a long name");
    CHECK(!x || tokenizer_find(t, "<x>") >= 0 || strstr(prompt, "embedding:"));
    CHECK(!near || strstr(prompt, near));
    CHECK(!longer || strstr(prompt, longer));
    free(near);
    free(longer);
    free(raw);
    free(ids);
}

/* Checks what holds for every text: ids are in range, and tokenizer_encode gives the raw ids, truncated and
   padded. */
static void use_text(const Tokenizer *t, int64_t length, int64_t known, Bytes text) {
    int64_t count;
    int32_t *raw = tokenizer_encode_raw(t, (const char *)text.at, text.size, &count);
    CHECK(count <= (int64_t)text.size * 4); /* a byte of invalid UTF-8 becomes three bytes */
    for (int64_t i = 0; i < count; i++) {
        CHECK(raw[i] >= 0 && raw[i] < known);
        CHECK(tokenizer_find(t, tokenizer_token(t, raw[i])) >= 0);
        if (i < 20) free(tokenizer_token_text(t, raw[i]));
    }
    free(raw);
    char *string = string_of(text);
    raw = tokenizer_encode_raw(t, string, strlen(string), &count);
    int32_t *ids = mem_alloc((size_t)length * sizeof *ids);
    CHECK_EQ(tokenizer_encode(t, string, ids), count);
    for (int64_t i = 0; i < count && i < length - 2; i++) CHECK_EQ(ids[i + 1], raw[i]);
    for (int64_t i = 0; i < length; i++) CHECK(ids[i] >= 0 && ids[i] < known);
    use_prompt(t, string, known);
    Messages errors = { 0 };
    int32_t single = tokenizer_single_token(t, string, &errors);
    CHECK(single < 0 || (count == 1 && raw[0] == single));
    verdict(single >= 0, &errors, NULL);
    free(string);
    free(ids);
    free(raw);
}

/* Adds the given word, and another one that is likely to be new. Returns the number of tokens after that. */
static int64_t add_words(Tokenizer *t, const char *word) {
    int64_t known = tokenizer_first_learned_id(t);
    const char *const words[] = { word, "<x>" };
    for (int i = 0; i < 2; i++) {
        int vectors = 1 + (int)(strlen(words[i]) + (size_t)i) % 3;
        Messages errors = { 0 };
        int32_t first = tokenizer_add(t, words[i], vectors, &errors);
        CHECK(first < 0 || first == known);
        if (first >= 0) {
            known += vectors;
            CHECK_EQ(tokenizer_find(t, words[i]), first);
        }
        free(tokenizer_placeholder(t, words[i]));
        verdict(first >= 0, &errors, NULL);
    }
    return known;
}

static bool try_vocabulary(const unsigned char *bytes, size_t size) {
    Bytes rest = { (unsigned char *)(uintptr_t)bytes, size }, parts[5];
    for (int i = 0; i < 5; i++) parts[i] = next_part(&rest, i == 4);
    char *pad = string_of(parts[2]), *word = string_of(parts[3]);
    TokenizerConfig config = { .model_max_length = 1 + (int64_t)parts[4].size % 40,
                               .pad_token = *pad ? pad : NULL };
    Messages errors = { 0 };
    const void *vocab = parts[0].size ? parts[0].at : NULL; /* with NULL, the merges define it */
    Tokenizer *t =
        tokenizer_parse("v", vocab, parts[0].size, "m", parts[1].at, parts[1].size, &config, &errors);
    bool ok = verdict(t != NULL, &errors, NULL);
    if (ok) use_text(t, config.model_max_length, add_words(t, word), parts[4]);
    tokenizer_free(t);
    free(pad);
    free(word);
    for (int i = 0; i < 5; i++) free(parts[i].at);
    return ok;
}

/* ---- a folder's tokenizer, in parts: tokenizer_config.json, special_tokens_map.json, added_tokens.json,
   tokenizer.json, a new word, a text. The length of the first part serves as the number of rows of the token
   embedding. ---- */

static const char *const ADDED_WORDS[] = { "\"added_tokens\"",
                                           "\"added_tokens_decoder\"",
                                           "\"content\":\"<x>\",",
                                           "\"content\":\"my cat\",",
                                           "\"content\":\"\",",
                                           "\"id\":12,",
                                           "\"id\":-1,",
                                           "\"id\":1e9,",
                                           "\"normalized\":true,",
                                           "\"normalized\":false,",
                                           "\"special\":true,",
                                           "\"single_word\":true,",
                                           "\"single_word\":1,",
                                           "\"pad_token\":\"<x>\",",
                                           "\"x_token\":\"y\",",
                                           "\"extra_special_tokens\":[\"<y>\"],",
                                           "\"merges\":[],",
                                           "\"vocab\":{},",
                                           "[\"a\",\"b\"],",
                                           "\"a b\",",
                                           "\"a\":2,",
                                           "<|endoftext|>",
                                           "<X>",
                                           "my cat",
                                           "null",
                                           "{}",
                                           "[]",
                                           " ",
                                           "\xff",
                                           NULL };

#define FOLDER_CONFIG "{\"model_max_length\":12,\"pad_token\":\"<|endoftext|>\"}"
#define FOLDER_JSON(added, merges)                                                                           \
    "{\"added_tokens\":[" added                                                                              \
    "],\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},"                           \
    "{\"type\":\"Replace\"},{\"type\":\"Lowercase\"}]},\"pre_tokenizer\":{\"type\":\"Sequence\","            \
    "\"pretokenizers\":["                                                                                    \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"'s|'t|'re|'ve|'m|'ll|'d|[\\\\p{L}]+|[\\\\p{N}]|[^"         \
    "\\\\s\\\\p{L}\\\\p{N}]+\"}},"                                                                           \
    "{\"type\":\"ByteLevel\"}]},\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\",\"vocab\":"      \
    "{\"<|startoftext|>\":0,\"<|endoftext|>\":1,\"a\":2,\"b\":3,\"a</w>\":4,\"b</w>\":5,\"ab\":6,\"ab</"     \
    "w>\":7},"                                                                                               \
    "\"merges\":[" merges "]}}"

static void folder_seeds(Seeds *s) {
    static const char *const parts[][6] = {
        { FOLDER_CONFIG, "", "", FOLDER_JSON("", "[\"a\",\"b</w>\"],[\"a\",\"b\"]"), "<x>",
          "ab <x> a <X>_1" },
        { FOLDER_CONFIG, "{\"eos_token\":{\"content\":\"<|endoftext|>\",\"normalized\":true}}",
          "{\"<x>\":9,\"<x>_1\":11}",
          FOLDER_JSON("{\"id\":8,\"content\":\"my "
                      "cat\",\"single_word\":true},{\"id\":12,\"content\":\"Z\",\"normalized\":false}",
                      "\"a b</w>\",\"a b\""),
          "my zog", "my cat <X> economy cat Z z my  zog" },
        { "{\"added_tokens_decoder\":{\"8\":{\"content\":\"<x>\"},\"9\":{\"content\":\"<x>_1\",\"special\":"
          "true}},\"image_token\":\"<i>\"}",
          "", "", FOLDER_JSON("{\"id\":8,\"content\":\"y\"}", ""), "y", "<x> y <i>" },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) seeds_parts(s, 6, parts[i]);
}

static bool try_folder(const unsigned char *bytes, size_t size) {
    enum { CONFIG, MAP, ADDED, JSON, WORD, WORDS_TEXT, PARTS };
    Bytes rest = { (unsigned char *)(uintptr_t)bytes, size }, p[PARTS];
    for (int i = 0; i < PARTS; i++) p[i] = next_part(&rest, i == PARTS - 1);
    TokenizerConfig config;
    Messages errors = { 0 }, warnings = { 0 };
    bool ok = tokenizer_config_parse("c", p[CONFIG].at, p[CONFIG].size, p[MAP].size ? p[MAP].at : NULL,
                                     p[MAP].size, 40, &config, &errors, &warnings);
    bool open = ok;
    if (open && p[ADDED].size) ok = tokenizer_config_added(&config, "a", p[ADDED].at, p[ADDED].size, &errors);
    if (open) config.rows = (int64_t)size % 3 ? (int64_t)p[CONFIG].size : 0;
    Tokenizer *t =
        ok ? tokenizer_parse("j", p[JSON].at, p[JSON].size, NULL, NULL, 0, &config, &errors) : NULL;
    ok = verdict(t != NULL, &errors, &warnings);
    if (ok) {
        CHECK(tokenizer_first_learned_id(t) >= tokenizer_vocab_size(t) &&
              tokenizer_first_learned_id(t) >= config.rows);
        char *word = string_of(p[WORD]);
        use_text(t, config.model_max_length, add_words(t, word), p[WORDS_TEXT]);
        free(word);
    }
    tokenizer_free(t);
    if (open) tokenizer_config_free(&config);
    for (int i = 0; i < PARTS; i++) free(p[i].at);
    return ok;
}

/* ---- a text for the embedded model's tokenizer ---- */

static const char *const TEXT_WORDS[] = { "a photo of a ",
                                          " ",
                                          "\t",
                                          "<|endoftext|>",
                                          "<|startoftext|>",
                                          "<|EndOfText|>",
                                          "<|",
                                          "<x>",
                                          "<x>_1",
                                          "'s",
                                          "'re",
                                          "1234",
                                          "!?",
                                          "</w>",
                                          "\xcc\x81",
                                          "\xcc\xa3",
                                          "\xc4\xb0",
                                          "\xf0\x9f\x98\x80",
                                          "\xe2\x80\x83",
                                          "\xed\x95\x9c",
                                          "\xe1\x84\x80\xe1\x85\xa1",
                                          "\xe2\x82",
                                          "\xed\xa0\x80",
                                          "\xff",
                                          "\xc0\x80",
                                          "\xf4\x8f\xbf\xbf",
                                          "\xef\xbf\xbd",
                                          "\xcf\x83",
                                          "\xce\xa3",
                                          "\xef\xac\x83",
                                          "\xe0\xa4\xa8\xe0\xa4\xbc",
                                          NULL };

static void text_seeds(Seeds *s) {
    seeds_text(s, "a photo of a critter wearing a crown, 1girl's painting!! <|endoftext|>");
    seeds_text(s, "A\xcc\x81 \xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8 \xc4\xb0stanbul \xce\xa3\xcf\x83 "
                  "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb");
    seeds_text(s, "");
}

/* The tokenizer is loaded only once, since it does not change when no words are added. */
static bool try_text(const unsigned char *bytes, size_t size) {
    static Tokenizer *t;
    Messages errors = { 0 };
    const TokenizerConfig config = { .model_max_length = 32 };
    if (!t)
        t = tokenizer_load("weights/critters/tokenizer/vocab.json", "weights/critters/tokenizer/merges.txt",
                           &config, &errors);
    CHECK(t);
    use_text(t, config.model_max_length, tokenizer_vocab_size(t),
             (Bytes) { (unsigned char *)(uintptr_t)bytes, size });
    int64_t count;
    free(tokenizer_encode_raw(t, (const char *)bytes, size, &count));
    return count > 0;
}

/* ---- templates ---- */

static const char *const TEMPLATE_WORDS[] = { "{}",       "{",    "}",  "a {}\n",
                                              "\n",       "\r\n", "#",  "\xef\xbb\xbf",
                                              "\xff",     " ",    "\t", "\x01",
                                              "\xc2\x9b", "{{}}", NULL };

static void templates_seeds(Seeds *s) {
    seeds_text(s, "a photo of a {}\n# comment\n\na {} in the style of x\r\n the {}");
    seeds_text(s, "\xef\xbb\xbf{} \xc3\xa9\n");
    char line[1003 + 1];
    memset(line, 'x', 1003);
    memcpy(line, "{} ", 3);
    memcpy(line + 1000, "\n{}", 4);
    seeds_text(s, line); /* the longest line that is allowed */
}

static bool try_templates(const unsigned char *bytes, size_t size) {
    Templates t, again;
    Messages errors = { 0 };
    if (!verdict(templates_parse(&t, "x", (const char *)bytes, size, NULL, &errors), &errors, NULL))
        return false;
    char *all = mem_alloc(4 + size + 2 * (size_t)t.count);
    size_t length = 3;
    memcpy(all, "\xef\xbb\xbf", 3);
    for (int64_t i = 0; i < t.count; i++) {
        char *filled = template_fill(t.lines[i], "<x>");
        CHECK(strstr(filled, "<x>") && strlen(filled) == strlen(t.lines[i]) + 1);
        free(filled);
        memcpy(all + length, t.lines[i], strlen(t.lines[i]));
        length += strlen(t.lines[i]);
        all[length++] = '\n';
    }
    CHECK(templates_parse(&again, "x", all, length, NULL, &errors) && again.count == t.count);
    for (int64_t i = 0; i < t.count; i++) CHECK(strcmp(again.lines[i], t.lines[i]) == 0);
    templates_free(&again);
    templates_free(&t);
    free(all);
    return true;
}

const Target TEXT_TARGETS[] = {
    { "vocabulary", 10, VOCAB_WORDS, vocabulary_seeds, NULL, try_vocabulary },
    { "tokenizer_folder", 8, ADDED_WORDS, folder_seeds, NULL, try_folder },
    { "text", 4, TEXT_WORDS, text_seeds, NULL, try_text },
    { "templates", 10, TEMPLATE_WORDS, templates_seeds, NULL, try_templates },
    { .name = NULL },
};
