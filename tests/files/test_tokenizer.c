/* SPDX-License-Identifier: MIT */
/* Compares the tokenizer with recorded results of transformers' CLIPTokenizer, and tests which files it
   refuses. golden/tokenizer.py describes the lines of golden/tokenizer.txt. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "text/bpe.h"
#include "text/prompt.h"
#include "text/unicode.h"
#include "io/file.h"
#include "tests/tokenizer.h"

typedef struct {
    char *at;
    size_t size, capacity;
} Bytes;

static void append(Bytes *b, const void *data, size_t size) {
    if (b->size + size >= b->capacity) {
        b->capacity = 2 * (b->size + size) + 1;
        b->at = mem_grow(b->at, b->capacity);
    }
    memcpy(b->at + b->size, data, size);
    b->size += size;
    b->at[b->size] = 0;
}

/* Decodes the escapes \xHH of golden/tokenizer.txt. */
static Bytes unescape(const char *text, size_t size) {
    Bytes out = { .at = mem_alloc(size + 1) };
    for (size_t i = 0; i < size; i++) {
        char hex[3] = { 0 };
        bool escaped = text[i] == '\\' && i + 3 < size;
        if (escaped) memcpy(hex, text + i + 2, 2);
        out.at[out.size++] = escaped ? (char)strtol(hex, NULL, 16) : text[i];
        if (escaped) i += 3;
    }
    return out;
}

/* FNV-1a over the little-endian bytes of the ids, as in golden/tokenizer.py. */
static uint64_t hash_ids(const int32_t *ids, int64_t count) {
    uint64_t h = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < count; i++)
        for (int shift = 0; shift < 32; shift += 8)
            h = (h ^ ((uint32_t)ids[i] >> shift & 0xFF)) * 0x100000001b3u;
    return h;
}

/* The kinds of lines of golden/tokenizer.txt, which are counted separately. */
enum { TEXT, WINDOW, EXPAND, PROMPT, JOIN, NOISE, BLOCK, ADD, KINDS };
static const char *const kind_names[KINDS] = { "text", "window", "expand", "prompt",
                                               "join", "noise",  "block",  "add" };

/* The files of a tokenizer, each of which can be absent. */
enum { CONFIG, MAP, WORDS, JSON, VOCAB, MERGES, FILES };
static const char *const file_names[FILES] = { "tokenizer_config.json",
                                               "special_tokens_map.json",
                                               "added_tokens.json",
                                               "tokenizer.json",
                                               "vocab.json",
                                               "merges.txt" };

typedef struct {
    Tokenizer *t;
    Bytes files[FILES];
    int right[KINDS], wrong[KINDS];
    double slowest; /* the longest time that a noise text took, in seconds */
} Run;

static void count_line(Run *r, int kind, bool ok, int number) {
    (ok ? r->right : r->wrong)[kind]++;
    if (!ok && r->wrong[kind] <= 5) printf("golden/tokenizer.txt:%d: the result differs\n", number);
}

/* Returns whether the ids equal the list of numbers that ends before the '|'. */
static bool same_ids(const int32_t *ids, int64_t count, const char *list) {
    for (int64_t i = 0; i < count; i++) {
        char *end;
        if (strtol(list, &end, 10) != ids[i] || end == list) return false;
        list = end;
    }
    return *list == '|' || (*list == ' ' && list[1] == '|');
}

static bool check_text(const Run *r, int kind, const char *line, size_t size) {
    const char *bar = strchr(line, '|');
    Bytes text = unescape(bar + 1, size - (size_t)(bar + 1 - line));
    bool ok;
    if (kind == TEXT || kind == PROMPT) {
        int64_t count;
        int32_t *ids = kind == PROMPT ? tokenizer_encode_prompt(r->t, text.at, &count)
                                      : tokenizer_encode_raw(r->t, text.at, text.size, &count);
        ok = same_ids(ids, count, line);
        free(ids);
    } else {
        int64_t length = tokenizer_max_length(r->t);
        int32_t *ids = mem_alloc((size_t)length * sizeof *ids);
        tokenizer_encode(r->t, text.at, ids);
        ok = same_ids(ids, length, line);
        free(ids);
    }
    free(text.at);
    return ok;
}

static bool check_string(const Run *r, int kind, const char *line, size_t size) {
    const char *bar = strchr(line, '|');
    Bytes want = unescape(line, (size_t)(bar - line)),
          in = unescape(bar + 1, size - (size_t)(bar + 1 - line));
    char *got =
        kind == EXPAND ? tokenizer_expand_placeholders(r->t, in.at) : tokenizer_placeholder(r->t, in.at);
    bool ok = strcmp(got, want.at) == 0;
    free(got);
    free(want.at);
    free(in.at);
    return ok;
}

/* Returns a text of `length` random characters of the alphabet, the same as golden/tokenizer.py makes. */
static Bytes noise_text(uint64_t seed, long length, const Bytes *alphabet) {
    CodePoints letters = unicode_decode(alphabet->at, alphabet->size);
    int32_t *at = mem_alloc((size_t)length * sizeof *at);
    for (long i = 0; i < length; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        at[i] = letters.at[(int64_t)(seed >> 33) % letters.count];
    }
    Bytes text = { 0 };
    text.at = unicode_encode(at, length, &text.size);
    free(at);
    free(letters.at);
    return text;
}

/* Returns the text that golden/tokenizer.py makes of the code points low ... high, in which each of them
   stands between letters, and between a space and a digit. */
static Bytes block_text(int32_t low, int32_t high) {
    int32_t *at = mem_alloc((size_t)(high - low + 1) * 6 * sizeof *at), *next = at;
    for (int32_t c = low; c <= high; c++) {
        const int32_t six[] = { 'a', c, 'b', ' ', c, '1' };
        memcpy(next, six, sizeof six);
        next += 6;
    }
    Bytes text = { 0 };
    text.at = unicode_encode(at, next - at, &text.size);
    free(at);
    return text;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool check_hash(Run *r, int kind, const char *line, size_t size) {
    long long count, a, b;
    unsigned long long hash;
    CHECK(sscanf(line, "%lld %llx %lld %lld", &count, &hash, &a, &b) == 4);
    Bytes text;
    if (kind == NOISE) {
        const char *bar = strchr(line, '|');
        Bytes alphabet = unescape(bar + 1, size - (size_t)(bar + 1 - line));
        text = noise_text((uint64_t)a, (long)b, &alphabet);
        free(alphabet.at);
    } else {
        text = block_text((int32_t)a, (int32_t)b);
    }
    double start = seconds();
    int64_t got;
    int32_t *ids = tokenizer_encode_raw(r->t, text.at, text.size, &got);
    if (kind == NOISE && seconds() - start > r->slowest) r->slowest = seconds() - start;
    bool ok = got == count && hash_ids(ids, got) == hash;
    free(ids);
    free(text.at);
    return ok;
}

static bool check_add(const Run *r, const char *line, size_t size) {
    char *end;
    long vectors = strtol(line, &end, 10), first = strtol(end, &end, 10);
    Bytes word = unescape(end + 1, size - (size_t)(end + 1 - line));
    Messages errors = { 0 };
    bool ok = tokenizer_add(r->t, word.at, (int)vectors, &errors) == first;
    if (errors.count) fputs(errors.text, stdout);
    for (long i = 0; ok && i < vectors; i++) {
        char *name = i ? mem_format("%s_%ld", word.at, i) : mem_string(word.at);
        ok = tokenizer_find(r->t, name) == first + i &&
             strcmp(tokenizer_token(r->t, (int32_t)(first + i)), name) == 0;
        free(name);
    }
    messages_free(&errors);
    free(word.at);
    return ok;
}

/* Makes a tokenizer as folder_open and model_load do: tokenizer.json takes precedence over vocab.json and
   merges.txt. */
static Tokenizer *tokenizer_of_files(const Bytes *f, int64_t rows) {
    Messages errors = { 0 }, warnings = { 0 };
    TokenizerConfig c;
    bool ok = tokenizer_config_parse("c", f[CONFIG].at, f[CONFIG].size, f[MAP].at, f[MAP].size, 77, &c,
                                     &errors, &warnings);
    if (ok && f[WORDS].at) ok = tokenizer_config_added(&c, "w", f[WORDS].at, f[WORDS].size, &errors);
    c.rows = rows;
    Tokenizer *t = NULL;
    if (ok && f[JSON].at)
        t = tokenizer_parse("j", f[JSON].at, f[JSON].size, NULL, NULL, 0, &c, &errors);
    else if (ok)
        t = tokenizer_parse("v", f[VOCAB].at, f[VOCAB].size, "m", f[MERGES].at, f[MERGES].size, &c, &errors);
    if (!t || errors.count || warnings.count)
        printf("%s%s", errors.count ? errors.text : "", warnings.count ? warnings.text : "");
    if (!t) exit(1);
    tokenizer_config_free(&c);
    messages_free(&warnings);
    return t;
}

/* Handles the lines "folder", "file" and "open", which give the files of the tokenizer that the following
   lines test. */
static void handle_folder_line(Run *r, const char *line, size_t size) {
    bool open = strncmp(line, "open ", 5) == 0;
    if (open || strncmp(line, "folder ", 7) == 0) {
        tokenizer_free(r->t);
        r->t = open ? tokenizer_of_files(r->files, strtol(line + 5, NULL, 10)) : NULL;
        for (int i = 0; i < FILES; i++) free(r->files[i].at);
        memset(r->files, 0, sizeof r->files);
    }
    for (int i = 0; i < FILES && strncmp(line, "file ", 5) == 0; i++) {
        size_t n = strlen(file_names[i]) + 6;
        if (strncmp(line + 5, file_names[i], n - 6) != 0 || line[n - 1] != '|') continue;
        r->files[i] = unescape(line + n, size - n);
    }
}

static void check_line(Run *r, const char *line, size_t size, int number, char vocab[16]) {
    if (strncmp(line, "vocab ", 6) == 0) {
        snprintf(vocab, 16, "%s", line + 6);
    } else if (strncmp(line, "pad ", 4) == 0) {
        char *pad = mem_string(line + 4);
        tokenizer_free(r->t);
        r->t = make_tokenizer(vocab, pad);
        free(pad);
    }
    handle_folder_line(r, line, size);
    for (int kind = 0; kind < KINDS; kind++) {
        size_t n = strlen(kind_names[kind]);
        if (strncmp(line, kind_names[kind], n) != 0 || line[n] != ' ') continue;
        const char *rest = line + n + 1;
        size_t left = size - n - 1;
        bool ok = kind == TEXT || kind == WINDOW || kind == PROMPT ? check_text(r, kind, rest, left)
                  : kind == EXPAND || kind == JOIN                 ? check_string(r, kind, rest, left)
                  : kind == ADD                                    ? check_add(r, rest, left)
                                                                   : check_hash(r, kind, rest, left);
        count_line(r, kind, ok, number);
    }
}

static void test_recorded(void) {
    Messages errors = { 0 };
    File file;
    if (!file_map("golden/tokenizer.txt", &file, &errors)) {
        fprintf(stderr, "%s", errors.text);
        exit(1);
    }
    Run r = { 0 };
    char vocab[16] = "";
    int number = 0;
    const char *at = (const char *)file.data, *end = at + file.size;
    for (const char *stop; at < end && (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1) {
        Bytes line = { 0 };
        append(&line, at, (size_t)(stop - at));
        check_line(&r, line.at, line.size, ++number, vocab);
        free(line.at);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        char *name = mem_format("recorded.%s", kind_names[kind]);
        test_true(name, r.right[kind] > 0 && !r.wrong[kind], "%d right, %d wrong", r.right[kind],
                  r.wrong[kind]);
        free(name);
    }
    test_below("seconds for the slowest 200,000 characters", r.slowest, 5);
    tokenizer_free(r.t);
    file_close(&file);
}

/* Checks that a vocabulary and merges are refused with a message that contains `says`. */
static void refused(const char *name, const char *vocab, const char *merges, const char *pad, int64_t length,
                    const char *says) {
    Messages errors = { 0 };
    char *own = pad ? mem_string(pad) : NULL;
    TokenizerConfig config = { .model_max_length = length, .pad_token = own };
    Tokenizer *t = tokenizer_parse("v.json", vocab, vocab ? strlen(vocab) : 0, "m.txt", merges,
                                   strlen(merges), &config, &errors);
    const char *text = errors.count ? errors.text : "accepted\n";
    test_true(name, !t && strstr(text, says), "%.*s", (int)strcspn(text, "\n"), text);
    tokenizer_free(t);
    messages_free(&errors);
    free(own);
}

static void test_bad_files(void) {
    const char *fine = "{" SPECIALS ", \"a\": 2, \"b</w>\": 3, \"ab</w>\": 4}";
    refused("no object", "[1, 2]", "", NULL, 77, "is not an object");
    refused("no JSON", "{\"a\": ", "", NULL, 77, "v.json");
    refused("empty", "", "", NULL, 77, "v.json");
    refused("no tokens", "{}", "", NULL, 77, "has no tokens");
    refused("id out of range", "{" SPECIALS ", \"a\": 7}", "", NULL, 77,
            "the id of \"a\" is not in the range 0 to 2");
    refused("id negative", "{" SPECIALS ", \"a\": -1}", "", NULL, 77, "v.json");
    refused("id no number", "{" SPECIALS ", \"a\": \"2\"}", "", NULL, 77, "v.json");
    refused("id twice", "{" SPECIALS ", \"a\": 1}", "", NULL, 77, "both have the id 1");
    refused("token twice", "{" SPECIALS ", \"a\": 2, \"a\": 3}", "", NULL, 77, "v.json");
    refused("no end token", "{\"<|startoftext|>\": 0, \"a\": 1}", "", NULL, 77, "no token \"<|endoftext|>\"");
    refused("no start token", "{\"<|endoftext|>\": 0, \"a\": 1}", "", NULL, 77,
            "no token \"<|startoftext|>\"");
    refused("no such padding", fine, "a b</w>\n", "[PAD]", 77, "[PAD]");
    refused("window of one", fine, "a b</w>\n", NULL, 1, "model_max_length");
    refused("window beyond ids", fine, "a b</w>\n", NULL, INT64_MAX, "model_max_length");
    refused("merge of one", fine, "a\n", NULL, 77, "m.txt: line 1, \"a\": is not two tokens");
    refused("merge of three", fine, "a b</w> a\n", NULL, 77, "is not two tokens");
    refused("merge empty", fine, "#version: 0.2\na b</w>\n\n", NULL, 77, "line 3");
    refused("merge unknown", fine, "a c\n", NULL, 77, "has a token that the vocabulary lacks");
    refused("merge to unknown", fine, "a a\n", NULL, 77, "makes a token that the vocabulary lacks");
    refused("merge twice", fine, "a b</w>\na b</w>\n", NULL, 77, "twice");
    char *blank = mem_alloc(100001);
    memset(blank, '\n', 100000);
    refused("merges of blank lines, no vocabulary", NULL, blank, NULL, 77,
            "m.txt: makes the token \"\" twice");
    free(blank);
    refused("many faults", fine, "c\nc\nc\nc\nc\nc\nc\nc\n", NULL, 77, "m.txt: 3 more faults");
}

/* Returns a tokenizer.json with the given members "model" (absent when NULL) and "added_tokens", and
   otherwise like CLIP's except for the member `key` (NULL for no exception), which has the given value or is
   absent; free() it. */
static char *json_text_of(const char *model, const char *added, const char *key, const char *value) {
    static const char *const rest[][2] = {
        { "normalizer",
          "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\": \"Replace\", "
          "\"pattern\": {\"Regex\": \"\\\\s+\"}, \"content\": \" \"}, {\"type\": \"Lowercase\"}]}" },
        { "pre_tokenizer",
          "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": "
          "\"'s|'t|'re|'ve|'m|'ll|'d|[\\\\p{L}]+|[\\\\p{N}]|[^\\\\s\\\\p{L}\\\\p{N}]+\"}, \"behavior\": "
          "\"Removed\", \"invert\": true}, {\"type\": \"ByteLevel\"}]}" },
    };
    Text t = { 0 };
    text_format(&t, "{\"version\": \"1.0\", \"truncation\": null, \"added_tokens\": %s", added);
    for (int i = 0; i < 2; i++)
        if (!key || strcmp(key, rest[i][0]) != 0) text_format(&t, ", \"%s\": %s", rest[i][0], rest[i][1]);
    if (key && value) text_format(&t, ", \"%s\": %s", key, value);
    if (model) text_format(&t, ", \"model\": %s", model);
    text_add(&t, "}");
    return t.at;
}

/* Checks that a tokenizer.json is refused with a message that contains `says` or, when that is NULL, that it
   is accepted and has this many tokens. */
static void json_case(const char *name, const char *text, const char *says, int64_t tokens) {
    Messages errors = { 0 };
    TokenizerConfig config = { .model_max_length = 77, .rows = 9 };
    Tokenizer *t = tokenizer_parse("t.json", text, strlen(text), NULL, NULL, 0, &config, &errors);
    const char *said = errors.count ? errors.text : "accepted\n";
    bool ok = says ? !t && strstr(said, says) && strncmp(said, "t.json", 6) == 0
                   : t && tokenizer_vocab_size(t) == tokens;
    test_true(name, ok && (t || errors.count >= 1), "%.*s", (int)strcspn(said, "\n"), said);
    tokenizer_free(t);
    messages_free(&errors);
}

#define MODEL(vocab, merges)                                                                                 \
    "{\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\", \"vocab\": " vocab ", \"merges\": " merges "}"
#define ABC                   "{" SPECIALS ", \"a\": 2, \"b</w>\": 3, \"ab</w>\": 4}"
#define TOKEN(id, text, more) "{\"id\": " #id ", \"content\": \"" text "\"" more "}"

/* Members "model" and "added_tokens" of tokenizer.json, with the message to expect, or NULL and the number of
   tokens. */
static const struct {
    const char *model, *added, *says;
    int64_t tokens;
} JSON_CASES[] = {
    { MODEL(ABC, "[\"a b</w>\"]"), "[]", NULL, 5 },
    { MODEL(ABC, "[[\"a\", \"b</w>\"]]"), "[" TOKEN(0, "<|startoftext|>", "") "]", NULL, 5 },
    { MODEL(ABC, "[]"), "[" TOKEN(5, "<x>", "") ", " TOKEN(6, "", "") "]", NULL, 6 },
    { MODEL(ABC, "[]"), "{\"5\": {\"content\": \"<x>\", \"single_word\": true}}", NULL, 6 },
    { "{\"end_of_word_suffix\": \"</w>\", \"vocab\": " ABC ", \"merges\": []}", "[]", NULL, 5 },
    { NULL, "[]", "t.json: \"model\" is missing: an object is needed", 0 },
    { "7", "[]", "\"model\" is 7: an object is needed", 0 },
    { "{}", "[]", "t.json, \"model\": \"end_of_word_suffix\" is missing: only \"</w>\"", 0 },
    { "{\"type\": \"WordPiece\"}", "[]", "\"type\" is \"WordPiece\": only \"BPE\" is supported", 0 },
    { "{\"type\": \"BPE\", \"end_of_word_suffix\": \"\"}", "[]", "\"end_of_word_suffix\" is \"\"", 0 },
    { "{\"type\": \"BPE\", \"byte_fallback\": true}", "[]", "\"byte_fallback\" is true: only false", 0 },
    { "{\"end_of_word_suffix\": \"</w>\", \"merges\": []}", "[]", "\"vocab\" is missing", 0 },
    { MODEL("[\"a\"]", "[]"), "[]", "is not an object of tokens", 0 },
    { MODEL("{}", "[]"), "[]", "has no tokens, or too many", 0 },
    { MODEL("{" SPECIALS ", \"a\": 7}", "[]"), "[]", "the id of \"a\" is not in the range 0 to 2", 0 },
    { MODEL("{" SPECIALS ", \"a\": 1.5}", "[]"), "[]", "the id of \"a\" is not in the range 0 to 2", 0 },
    { MODEL("{" SPECIALS ", \"a\": -1}", "[]"), "[]", "the id of \"a\" is not in the range 0 to 2", 0 },
    { MODEL("{" SPECIALS ", \"a\": 1}", "[]"), "[]", "both have the id 1", 0 },
    { MODEL("{" SPECIALS ", \"a\": 2, \"a\": 3}", "[]"), "[]", "appears twice", 0 },
    { MODEL("{\"<|startoftext|>\": 0, \"a\": 1}", "[]"), "[]", "has no token \"<|endoftext|>\"", 0 },
    { MODEL("{\"<|endoftext|>\": 0, \"a\": 1}", "[]"), "[]", "has no token \"<|startoftext|>\"", 0 },
    { MODEL(ABC, "7"), "[]", "has no list \"merges\"", 0 },
    { MODEL(ABC, "[7]"), "[]", "merge 1, 7: is neither", 0 },
    { MODEL(ABC, "[\"a b</w>\", \"a\"]"), "[]", "merge 2, \"a\": is not two tokens", 0 },
    { MODEL(ABC, "[[\"a\"]]"), "[]", "merge 1, [\"a\"]: is neither", 0 },
    { MODEL(ABC, "[[\"a\", \"\"]]"), "[]", "is neither", 0 },
    { MODEL(ABC, "[[\"a\", \"c\"]]"), "[]", "has a token that the vocabulary lacks", 0 },
    { MODEL(ABC, "[\"a a\"]"), "[]", "makes a token that the vocabulary lacks", 0 },
    { MODEL(ABC, "[\"a b</w>\", [\"a\", \"b</w>\"]]"), "[]", "occurs twice", 0 },
    { MODEL(ABC, "[1, 1, 1, 1, 1, 1, 1, 1]"), "[]", "3 more faults of this kind", 0 },
    { MODEL(ABC, "[]"), "7", "\"added_tokens\" is 7: tokens are needed", 0 },
    { MODEL(ABC, "[]"), "[\"<x>\"]", "tokens are needed", 0 },
    { MODEL(ABC, "[]"), "[{\"content\": \"<x>\"}]", "tokens are needed", 0 },
    { MODEL(ABC, "[]"), "[{\"id\": 5}]", "tokens are needed", 0 },
    { MODEL(ABC, "[]"), "[" TOKEN(-1, "<x>", "") "]", "tokens are needed", 0 },
    { MODEL(ABC, "[]"), "[" TOKEN(5, "<x>", ", \"normalized\": 1") "]", "tokens are needed", 0 },
    { MODEL(ABC, "[]"), "{\"x\": {\"content\": \"<x>\"}}", "tokens are needed", 0 },
    { MODEL(ABC, "[]"),
      "[" TOKEN(5, "<x>", "") "," TOKEN(6, "<y>", "") "," TOKEN(7, "<z>", "") "," TOKEN(
          8, "<w>", "") "," TOKEN(20, "<v>", "") "]",
      "the added token \"<v>\" would have the id 9, but the token embedding has 9 rows", 0 },
};

static void test_bad_json(void) {
    for (size_t i = 0; i < sizeof JSON_CASES / sizeof *JSON_CASES; i++) {
        char *text = json_text_of(JSON_CASES[i].model, JSON_CASES[i].added, NULL, NULL);
        json_case("tokenizer.json", text, JSON_CASES[i].says, JSON_CASES[i].tokens);
        free(text);
    }
    static const char *const others[][2] = {
        { "normalizer", NULL },
        { "normalizer", "null" },
        { "normalizer", "{\"type\": \"NFKC\"}" },
        { "normalizer", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}]}" },
        { "pre_tokenizer", NULL },
        { "pre_tokenizer", "{\"type\": \"ByteLevel\"}" },
        { "pre_tokenizer",
          "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": "
          "\" \"}}, {\"type\": \"ByteLevel\"}]}" },
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char *text = json_text_of(MODEL(ABC, "[]"), "[]", others[i][0], others[i][1]);
        json_case(others[i][0], text, "only CLIP's tokenizer is supported", 0);
        free(text);
    }
    json_case("no JSON", "{", "t.json", 0);
    json_case("empty", "", "t.json", 0);
    json_case("no object", "[]", "is not a JSON object", 0);
}

static void test_small(void) {
    const char *vocab = "{" SPECIALS ", \"a\": 2, \"b</w>\": 3, \"ab</w>\": 4}", *merges = "a b</w>\r\n";
    Messages errors = { 0 };
    TokenizerConfig config = { .model_max_length = 4 };
    Tokenizer *t =
        tokenizer_parse("v.json", vocab, strlen(vocab), "m.txt", merges, strlen(merges), &config, &errors);
    CHECK(t);
    int32_t ids[4];
    int64_t count = tokenizer_encode(t, "AB qab aab", ids);
    const int32_t want[] = { 0, 4, 1, 1 }; /* the end token stands for "q", which the vocabulary lacks */
    test_true("tokens before truncation", count == 5, "%lld", (long long)count);
    test_same("truncated, unknown byte", ids, want, sizeof want);
    test_true("empty text", tokenizer_encode(t, "", ids) == 0 && ids[0] == 0 && ids[1] == 1 && ids[3] == 1,
              "start, end");
    tokenizer_free(t);
    messages_free(&errors);
}

int main(void) {
    test_recorded();
    test_bad_files();
    test_bad_json();
    test_small();
    return test_finish();
}
