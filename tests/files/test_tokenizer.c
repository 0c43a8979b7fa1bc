/* The tokenizer against the recorded answers of transformers' CLIPTokenizer; golden/tokenizer.py says what
   the lines of golden/tokenizer.txt are. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text/bpe.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "io/file.h"
#include "tests/test.h"

enum { MAX_LENGTH_CRITTERS = 32, MAX_LENGTH_CLIP = 77 };

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

static Tokenizer *make_tokenizer(const char *name, char *pad) {
    Messages errors = { 0 };
    Tokenizer *t = NULL;
    if (strcmp(name, "critters") == 0) {
        TokenizerConfig config = { MAX_LENGTH_CRITTERS, pad };
        t = tokenizer_load("weights/critters/tokenizer/vocab.json", "weights/critters/tokenizer/merges.txt",
                           &config, &errors);
    } else {
        TokenizerConfig config = { MAX_LENGTH_CLIP, pad };
        t = tokenizer_load(NULL, "weights/clip/merges.txt", &config, &errors);
    }
    if (!t) {
        fprintf(stderr, "%s", errors.text);
        exit(1);
    }
    return t;
}

static uint64_t hash_ids(const int32_t *ids, int64_t count) {
    uint64_t h = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < count; i++)
        for (int shift = 0; shift < 32; shift += 8)
            h = (h ^ ((uint32_t)ids[i] >> shift & 0xFF)) * 0x100000001b3u;
    return h;
}

/* The kinds of line, each counted apart. */
enum { TEXT, WINDOW, EXPAND, JOIN, NOISE, BLOCK, ADD, KINDS };
static const char *const kind_names[KINDS] = { "text", "window", "expand", "join", "noise", "block", "add" };

typedef struct {
    Tokenizer *t;
    int right[KINDS], wrong[KINDS];
    double slowest; /* seconds for a noise text */
} Run;

static void count_line(Run *r, int kind, bool ok, int number) {
    (ok ? r->right : r->wrong)[kind]++;
    if (!ok && r->wrong[kind] <= 5) printf("golden/tokenizer.txt:%d: another answer\n", number);
}

/* Whether the ids are those written before the '|'. */
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
    if (kind == TEXT) {
        int64_t count;
        int32_t *ids = tokenizer_encode_raw(r->t, text.at, text.size, &count);
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

static void check_line(Run *r, const char *line, size_t size, int number, char vocab[16]) {
    if (strncmp(line, "vocab ", 6) == 0) {
        snprintf(vocab, 16, "%s", line + 6);
    } else if (strncmp(line, "pad ", 4) == 0) {
        char *pad = mem_string(line + 4);
        tokenizer_free(r->t);
        r->t = make_tokenizer(vocab, pad);
        free(pad);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        size_t n = strlen(kind_names[kind]);
        if (strncmp(line, kind_names[kind], n) != 0 || line[n] != ' ') continue;
        const char *rest = line + n + 1;
        size_t left = size - n - 1;
        bool ok = kind == TEXT || kind == WINDOW   ? check_text(r, kind, rest, left)
                  : kind == EXPAND || kind == JOIN ? check_string(r, kind, rest, left)
                  : kind == ADD                    ? check_add(r, rest, left)
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
    file_unmap(&file);
}

/* A vocabulary and merges that must be refused with a line that has this in it. */
static void refused(const char *name, const char *vocab, const char *merges, const char *pad, int64_t length,
                    const char *says) {
    Messages errors = { 0 };
    char *own = pad ? mem_string(pad) : NULL;
    TokenizerConfig config = { length, own };
    Tokenizer *t = tokenizer_parse("v.json", vocab, vocab ? strlen(vocab) : 0, "m.txt", merges,
                                   strlen(merges), &config, &errors);
    const char *text = errors.count ? errors.text : "accepted\n";
    test_true(name, !t && strstr(text, says), "%.*s", (int)strcspn(text, "\n"), text);
    tokenizer_free(t);
    messages_free(&errors);
    free(own);
}

#define SPECIALS "\"<|startoftext|>\": 0, \"<|endoftext|>\": 1"

static void test_bad_files(void) {
    const char *fine = "{" SPECIALS ", \"a\": 2, \"b</w>\": 3, \"ab</w>\": 4}";
    refused("no object", "[1, 2]", "", NULL, 77, "is not an object");
    refused("no JSON", "{\"a\": ", "", NULL, 77, "v.json");
    refused("empty", "", "", NULL, 77, "v.json");
    refused("no tokens", "{}", "", NULL, 77, "has no tokens");
    refused("id out of range", "{" SPECIALS ", \"a\": 7}", "", NULL, 77,
            "the id of \"a\" is not one of 0 to 2");
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

static void test_small(void) {
    const char *vocab = "{" SPECIALS ", \"a\": 2, \"b</w>\": 3, \"ab</w>\": 4}", *merges = "a b</w>\r\n";
    Messages errors = { 0 };
    TokenizerConfig config = { 4, NULL };
    Tokenizer *t =
        tokenizer_parse("v.json", vocab, strlen(vocab), "m.txt", merges, strlen(merges), &config, &errors);
    CHECK(t);
    int32_t ids[4];
    int64_t count = tokenizer_encode(t, "AB qab aab", ids);
    const int32_t want[] = { 0, 4, 1, 1 }; /* "q" is not in the vocabulary: the end token stands for it */
    test_true("tokens before truncation", count == 5, "%lld", (long long)count);
    test_same("truncated, unknown byte", ids, want, sizeof want);
    test_true("empty text", tokenizer_encode(t, "", ids) == 0 && ids[0] == 0 && ids[1] == 1 && ids[3] == 1,
              "start, end");
    tokenizer_free(t);
    messages_free(&errors);
}

/* Adding this word, or reading it as a single token, must fail with one line that has this in it. */
static void test_refusal(const char *name, int32_t id, Messages *errors, const char *says) {
    const char *text = errors->count ? errors->text : "accepted\n";
    test_true(name, id == -1 && errors->count == 1 && strstr(text, says), "%.*s", (int)strlen(text) - 1,
              text);
    messages_free(errors);
}

static void test_words(void) {
    Tokenizer *t = make_tokenizer("critters", NULL);
    Messages errors = { 0 };
    int32_t critter = tokenizer_single(t, " Critter", &errors);
    test_true("a single token", critter == tokenizer_find(t, "critter</w>") && critter > 0, "%d", critter);
    char *text = tokenizer_token_text(t, critter);
    test_true("a token's text", strcmp(text, "critter") == 0, "%s", text);
    free(text);
    int32_t two = tokenizer_single(t, "blue critter", &errors);
    test_refusal("two words", two, &errors, "is 2 tokens in this model's vocabulary ('blue', 'critter')");
    int32_t none = tokenizer_single(t, " ", &errors);
    test_refusal("no word", none, &errors, "is no token");

    CHECK(tokenizer_add(t, "<x>", 3, &errors) == tokenizer_vocab_size(t));
    static const char *const taken[][2] = {
        { "critter", "vocabulary already" }, { "CRITTER", "vocabulary already" },
        { "*", "vocabulary already" },       { "<|startoftext|>", "vocabulary already" },
        { "<|EndOfText|>", "vocabulary" },   { "<x>", "placeholder token already" },
        { "<X>", "is a placeholder" },       { "<x>_2", "is a placeholder" },
        { "", "has no characters" },         { " ", "has no characters" },
        { "\t\n", "has no characters" },     { "a<|endoftext|>b", "holds a special token" },
    };
    for (int i = 0; i < (int)(sizeof taken / sizeof *taken); i++) {
        int32_t id = tokenizer_add(t, taken[i][0], 1, &errors);
        test_refusal("a word that cannot be added", id, &errors, taken[i][1]);
    }
    bool added = tokenizer_add(t, "<x", 1, &errors) > 0 && tokenizer_add(t, "<x>_1_1", 1, &errors) > 0;
    test_true("words that begin alike", added, "%d", errors.count);
    int32_t id = tokenizer_add(t, "<x>_1", 2, &errors);
    messages_free(&errors);
    test_true("a vector's name is taken", id == -1, "%d", id);
    tokenizer_free(t);
}

/* A special token's name that an added word cuts short is no name. */
static void test_cut_names(void) {
    static const struct {
        char pad[16]; /* counts in exact case, so that the name in another case is a text */
        const char *whole, *before;
    } cases[] = { { "<|startoftext|>", "aaaaaaaaaaaa <|STARTOFTEXT|>", "aaaaaaaaaaaa <|START" },
                  { "<|endoftext|>", "aaaaaaaaaaaa <|ENDOFTEXT|>", "aaaaaaaaaaaa <|END" } };
    for (int i = 0; i < 2; i++) {
        char *pad = mem_string(cases[i].pad);
        Tokenizer *t = make_tokenizer("critters", pad);
        Messages errors = { 0 };
        int32_t word = tokenizer_add(t, "oftext|>", 1, &errors);
        int64_t n, m;
        int32_t *whole = tokenizer_encode_raw(t, cases[i].whole, strlen(cases[i].whole), &n),
                *before = tokenizer_encode_raw(t, cases[i].before, strlen(cases[i].before), &m);
        bool ok = n == m + 1 && whole[m] == word && memcmp(whole, before, (size_t)m * sizeof *before) == 0;
        test_true("a name cut short", ok, "%lld ids, %lld before the word", (long long)n, (long long)m);
        free(whole);
        free(before);
        tokenizer_free(t);
        free(pad);
    }
}

int main(void) {
    test_recorded();
    test_bad_files();
    test_small();
    test_words();
    test_cut_names();
    return test_finish();
}
