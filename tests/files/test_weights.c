/* SPDX-License-Identifier: MIT */
/* Tests of files with weights: safetensors headers on which the reference implementation's verdicts are
   recorded, every error of such a file, what is written, the store of tensors by name, and learned words. */
#include <math.h>

#include "tests/command.h"
#include "tests/golden.h"
#include "io/sha256.h"
#include "tests/refusal.h"
#include "exchange/word_file.h"
#include "io/json.h"

/* Safetensors files */

/* Makes a safetensors file in memory with the given header and `size` bytes of data, which are 0. */
static unsigned char *make_file(const char *header, size_t size, size_t *total) {
    size_t n = strlen(header);
    unsigned char *bytes = mem_alloc(8 + n + size);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)n >> (8 * i));
    memcpy(bytes + 8, header, n);
    *total = 8 + n + size;
    return bytes;
}

static bool accepts(const char *header, size_t size, Messages *errors) {
    size_t total;
    unsigned char *bytes = make_file(header, size, &total);
    Safetensors s;
    bool ok = safetensors_parse("x.safetensors", bytes, total, &s, errors);
    if (ok) safetensors_close(&s);
    free(bytes);
    return ok;
}

static void test_headers(char *lines[], int count) {
    int wrong = 0, tried = 0;
    for (int i = 0; i < count; i++) {
        if (strncmp(lines[i], "header\t", 7) != 0) continue;
        const char *verdict = lines[i] + 7, *size = strchr(verdict, '\t') + 1,
                   *header = strchr(size, '\t') + 1;
        Messages errors = { 0 };
        bool ok = accepts(header, (size_t)atoi(size), &errors), want = strncmp(verdict, "accept\t", 7) == 0;
        tried++;
        if (ok != want || (!ok && errors.count != 1)) {
            wrong++;
            printf("     %s: %s\n", lines[i], text_of(&errors, "accepted"));
        }
        messages_free(&errors);
    }
    test_true("safetensors.verdicts", tried > 500 && !wrong, "%d headers, %d with another verdict", tried,
              wrong);
}

static void test_header_faults(void) {
#define TENSOR "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
    static const struct {
        const char *name, *header, *what;
        size_t size;
    } cases[] = {
        { "type", "{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", "unknown type \"F33\"",
          4 },
        { "twice", "{\"a\":" TENSOR ",\"a\":" TENSOR "}", "\"a\" appears twice", 4 },
        { "size", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", "do not fit F32 [2]",
          4 },
        { "outside", "{\"a\":" TENSOR "}", "outside the file", 3 },
        { "rest", "{\"a\":" TENSOR "}", "1 bytes at the end belong to no tensor", 5 },
        { "overlap", "{\"a\":" TENSOR ",\"b\":" TENSOR "}", "overlap", 4 },
        { "gap", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "gap", 8 },
        { "no JSON", "{\"a\":\n\n nul}", "line 3: invalid token near 'nul'", 0 },
        { "UTF-8", "{\"\xc0\xaf\":" TENSOR "}", "invalid UTF-8", 4 },
        { "surrogate", "{\"\\udc00\\udc00\":" TENSOR "}", "line 1: invalid Unicode", 4 },
        { "metadata", "{\"__metadata__\":{\"k\":1}}", "metadata \"k\" is not a string", 0 },
        { "number", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1e0],\"data_offsets\":[0,4]}}",
          "not a whole number", 4 },
        { "start", "[]", "does not begin with '{'", 0 },
        { "empty", "", "does not begin with '{'", 8 },
    };
#undef TENSOR
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Messages errors = { 0 };
        bool ok = accepts(cases[i].header, cases[i].size, &errors);
        char *name = mem_format("safetensors.%s", cases[i].name);
        expect_refused(name, ok, &errors, cases[i].what);
        free(name);
    }
    Messages errors = { 0 };
    Safetensors s;
    expect_refused("safetensors.7 bytes", safetensors_parse("x", "1234567", 7, &s, &errors), &errors,
                   "too few");
    static const unsigned char huge[9] = { 1, 225, 245, 5, 0, 0, 0, 0, '{' },
                               beyond[9] = { 200, 0, 0, 0, 0, 0, 0, 0, '{' };
    expect_refused("safetensors.huge header", safetensors_parse("x", huge, 9, &s, &errors), &errors,
                   "100000001");
    expect_refused("safetensors.header beyond", safetensors_parse("x", beyond, 9, &s, &errors), &errors,
                   "truncated");
    expect_refused("safetensors.missing", safetensors_open("/nowhere/x", &s, &errors), &errors,
                   "cannot be opened");
    expect_refused("safetensors.folder", safetensors_open("/tmp", &s, &errors), &errors, "is a folder");
    char deep[400] = "{\"a\":";
    memset(deep + 5, '[', 200);
    expect_refused("safetensors.deep", accepts(deep, 0, &errors), &errors, "nested deeper");
}

static void test_whole(void) {
    static const struct {
        double value;
        int64_t want;
    } cases[] = { { 0, 0 },
                  { 3, 3 },
                  { 1.5, -1 },
                  { -1, -1 },
                  { 9007199254740991, 9007199254740991 },
                  { 9007199254740992, -1 } };
    bool ok = json_whole(NULL) == -1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *item = json_real(cases[i].value);
        ok = ok && json_whole(item) == cases[i].want;
        json_decref(item);
    }
    test_true("json.whole", ok, "numbers");
}

/* Earlier versions wrote JSON with the library cJSON. options.json and the output of --json must keep its
   format, except for U+007F, which cJSON did not escape. */
static void test_json_text(void) {
    static const char text[] =
        "{\"a\":{},\"b\":[],\"c\":[{\"x\":[1,-2.50,{\"y\":\"\\u007f\\u0001\\/\\n\\\"\\\\\"}]},{}],"
        "\"d\":[null,true,false,0.30000000000000004,1e15,9007199254740991,-0,1e-7,0.1234567890123456]}";
    static const struct {
        unsigned form;
        const char *want;
    } cases[] = {
        { 0, "{\"a\":{},\"b\":[],\"c\":[{\"x\":[1,-2.5,{\"y\":\"\\u007f\\u0001/\\n\\\"\\\\\"}]},{}],"
             "\"d\":[null,true,false,0.3,1e+15,9.00719925474099e+15,-0,1e-07,0.12345678901234559]}" },
        { JSON_EXACT,
          "{\"a\":{},\"b\":[],\"c\":[{\"x\":[1,-2.5,{\"y\":\"\\u007f\\u0001/\\n\\\"\\\\\"}]},{}],"
          "\"d\":[null,true,false,0.30000000000000004,1e+15,9007199254740991,-0,1e-07,0.1234567890123456]}" },
        { JSON_LINES,
          "{\n\t\"a\":\t{\n\t},\n\t\"b\":\t[],\n\t\"c\":\t[{\n\t\t\t\"x\":\t[1, -2.5, {\n\t\t\t\t\t\"y\":"
          "\t\"\\u007f\\u0001/\\n\\\"\\\\\"\n\t\t\t\t}]\n\t\t}, {\n\t\t}],\n\t\"d\":\t[null, true, false, "
          "0.3, "
          "1e+15, 9.00719925474099e+15, -0, 1e-07, 0.12345678901234559]\n}" },
    };
    Messages errors = { 0 };
    json_t *tree = json_parse("x", text, strlen(text), false, &errors);
    CHECK(tree);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = json_text(tree, cases[i].form);
        bool same = strcmp(got, cases[i].want) == 0;
        test_true("json.text", same, "%s", same ? "as before" : got);
        free(got);
    }
    json_decref(tree);
}

static void test_reading(void) {
    Golden *g = golden_open("golden/files.safetensors");
    static const char *const floats[] = { "f32", "f16", "bf16" };
    static const float want[] = { 0, -0.f, 1, -2.5f, 65504, 6.0e-8f, INFINITY };
    for (int k = 0; k < 3; k++) {
        float *got = golden_floats(g, "%s", floats[k]), worst = 0;
        for (int i = 0; i < 6; i++) {
            float error = fabsf(got[i] - want[i]) / fmaxf(fabsf(want[i]), 1e-4f);
            worst = fmaxf(worst, error);
        }
        test_true(floats[k], worst <= (k == 0 ? 0.f : 2e-3f) && isinf(got[6]), "error %.1e", (double)worst);
        free(got);
    }
    int64_t n;
    int32_t *wide = golden_ints(g, &n, "i64"), *narrow = golden_ints(g, NULL, "i32");
    test_true("i64", n == 3 && wide[0] == -1 && wide[2] == 1 && memcmp(wide, narrow, 12) == 0, "%lld",
              (long long)n);
    free(wide);
    free(narrow);
    test_true("scalar", golden_shape(g, "scalar").rank == 0 && golden_shape(g, "empty").dim[1] == 4,
              "shapes");
    test_true("metadata", strcmp(golden_meta(g, "script"), "files.py") == 0 && !golden_meta(g, "none"),
              "read");
    golden_free(g);
}

/* Checks that reading gives the same values at each of 8 alignments of a tensor's data. */
static void test_alignment(void) {
    static const char header[] = "{\"p\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[0,%d]},"
                                 "\"x\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[%d,%d]}}";
    static const float want[] = { 1.5f, -2, 1e-20f };
    bool ok = true;
    for (int pad = 0; pad < 8; pad++) {
        char *text = mem_format(header, pad, pad, pad, pad + 12);
        size_t total;
        unsigned char *bytes = make_file(text, (size_t)pad + 12, &total);
        memcpy(bytes + total - 12, want, 12);
        Messages errors = { 0 };
        Safetensors s;
        ok = ok && safetensors_parse("x", bytes, total, &s, &errors);
        if (!ok) break;
        float got[3], workspace[3];
        const Weight *w = &safetensors_find(&s, "x")->weight;
        weight_read(w, got);
        Panel p = weight_panel(w, 0, 3, 0, 1, workspace);
        ok = memcmp(got, want, 12) == 0 && p.data[2 * p.stride] == want[2];
        safetensors_close(&s);
        free(bytes);
        free(text);
    }
    test_true("safetensors.alignment", ok, "8 offsets");
}

static void test_writing(void) {
    Messages errors = { 0 };
    Golden *g = golden_open("golden/embedding.safetensors");
    float *learned = golden_floats(g, "<grum>");
    char *folder = folder_new(), *path = mem_format("%s/w.safetensors", folder);
    bool ok = embedding_write(path, "<grum>", learned, 2, 8, &errors);
    size_t n, m;
    char *got = read_text(path, &n), *want = read_text("golden/embedding.safetensors", &m);
    test_true("embedding.written", ok && n == m, "%zu bytes, the reference's has %zu", n, m);
    if (n == m) test_same("embedding.bytes", got, want, n);
    free(got);
    free(want);
    golden_free(g);

    const NamedTensor tensors[] = { { "b\"\\\n\x01", shape2(2, 3), learned },
                                    { "\xc3\xa9", shape1(0), learned },
                                    { "a", { 0, { 0 } }, learned + 5 } };
    const char *const metadata[][2] = { { "k", "v\t" }, { "", "" } };
    Safetensors s;
    ok = safetensors_write(path, tensors, 3, metadata, 2, &errors) && safetensors_open(path, &s, &errors);
    test_true("safetensors.round trip", ok && s.count == 3, "%s", text_of(&errors, "opened"));
    if (ok) {
        const SafeTensor *b = safetensors_find(&s, tensors[0].name), *a = safetensors_find(&s, "a");
        test_true("safetensors.round trip values",
                  a && b && memcmp(b->weight.data, learned, 24) == 0 &&
                      memcmp(a->weight.data, learned + 5, 4) == 0 && (uintptr_t)b->weight.data % 4 == 0 &&
                      strcmp(safetensors_metadata(&s, "k"), "v\t") == 0,
                  "as written");
        safetensors_close(&s);
    }
    ok = true;
    /* The data must begin at a multiple of 8 for every length of the header. */
    for (int length = 1; length <= 8 && ok; length++) {
        char token[] = "abcdefgh";
        token[length] = 0;
        ok = embedding_write(path, token, learned, 2, 8, &errors) && safetensors_open(path, &s, &errors);
        if (!ok) break;
        ok = (uintptr_t)s.tensors[0].weight.data % 8 == 0;
        safetensors_close(&s);
    }
    test_true("safetensors.padding", ok, "8 lengths");
    expect_refused("safetensors.no folder", safetensors_write("/nowhere/x", tensors, 3, NULL, 0, &errors),
                   &errors, "cannot be written");
    free(learned);
    free(path);
    folder_remove(folder);
    free(folder);
}

/* Tests the examples of FIPS 180-4, lengths near the border of a block, and a million letters. */
static void test_sha256(void) {
    static const struct {
        const char *repeated;
        size_t size;
        const char *want;
    } cases[] = {
        { "x", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        { "a", 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318" },
        { "a", 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb" },
        { "a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t period = strlen(cases[i].repeated);
        char *bytes = mem_alloc(cases[i].size + 1), text[SHA256_TEXT];
        for (size_t k = 0; k < cases[i].size; k++) bytes[k] = cases[i].repeated[k % period];
        sha256_text(bytes, cases[i].size, text);
        test_true("sha256", strcmp(text, cases[i].want) == 0, "%zu bytes: %s", cases[i].size, text);
        free(bytes);
    }
}

static void test_store(void) {
    Messages errors = { 0 };
    Safetensors s;
    if (!safetensors_open("weights/critters/text_encoder/model.safetensors", &s, &errors)) exit(1);
    Store *with = store_new(&s, 1, "", "text_model.", &errors),
          *bare = store_new(&s, 1, "text_model.", NULL, &errors);
    const Weight *a = store_get(with, shape1(192), "text_model.final_layer_norm.%s", "bias");
    const Weight *b = store_get(with, shape1(192), "final_layer_norm.bias");
    const Weight *c = store_get(bare, shape1(192), "final_layer_norm.bias");
    test_true("store.prefix", a && a == b && a == c && !errors.count, "with, without and stripped");
    /* The fingerprint must never change, since files of earlier runs contain it. */
    uint64_t fingerprint = store_fingerprint(with);
    test_true("store.fingerprint", fingerprint == 0x401a81cc9dca7ecc, "%llx",
              (unsigned long long)fingerprint);
    Unused unused = { 0 };
    store_unused(bare, "text_encoder/", &unused);
    char *text = unused_text(&unused);
    test_true("store.unused",
              unused.count == s.count - 1 && unused.group_count == 1 &&
                  strstr(text, "text_encoder/text_model. ("),
              "%s", text);
    free(text);
    unused_free(&unused);
    test_true("store.shape",
              store_shape(bare, "final_layer_norm.bias").dim[0] == 192 && !store_has(bare, "x"), "known");
    const Weight *w = store_get(with, shape1(191), "final_layer_norm.bias");
    expect_refused("store.wrong shape", w != NULL, &errors, "has the shape [192], but the config says [191]");
    w = store_get(with, shape1(1), "final.%d", 3);
    expect_refused("store.missing", w != NULL, &errors, "no tensor \"final.3\" [1]");
    for (int i = 0; i < 100; i++) store_get(with, shape1(1), "no.%d", i);
    test_true("store.flood", errors.count == 9, "100 missing tensors make %d messages", errors.count);
    messages_free(&errors);
    store_free(with);
    store_free(bare);
    safetensors_close(&s);
}

/* Learned embeddings */

static bool read_embedding(const char *path, const char *header, const void *data, size_t size, Embeddings *e,
                           Messages *errors) {
    size_t total;
    unsigned char *bytes = make_file(header, size, &total);
    memcpy(bytes + total - size, data, size);
    bool ok = word_file_parse(path, bytes, total, e, errors);
    free(bytes);
    return ok;
}

static void test_embeddings(void) {
#define ENTRY(type, shape, end) "{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[0," end "]}}"
    static const float f[] = { 1, -2, 3, 4, NAN };
    static const uint16_t half[] = { 0x3c00, 0xc000 }, brain[] = { 0x3f80, 0xc000 };
    static const struct {
        const char *header, *token, *what; /* what: the expected error, or NULL when the file is accepted */
        const void *data;
        size_t size;
        int64_t vectors, width;
    } cases[] = {
        { "{\"<x>\":" ENTRY("F32", "[2,2]", "16"), "<x>", NULL, f, 16, 2, 2 },
        { "{\"<x>\":" ENTRY("F32", "[2]", "8"), "<x>", NULL, f, 8, 1, 2 },
        { "{\"emb_params\":" ENTRY("F16", "[1,2]", "4"), "cat-toy", NULL, half, 4, 1, 2 },
        { "{\"<y>\":" ENTRY("BF16", "[2]", "4"), "<y>", NULL, brain, 4, 1, 2 },
        { "{\"*\":" ENTRY("F32", "[2]", "8"), "cat-toy", NULL, f, 8, 1, 2 },
        { "{\"<x>\":" ENTRY("F32", "[1,1,2]", "8"), NULL, "has the shape [1, 1, 2]", f, 8, 0, 0 },
        { "{\"<x>\":" ENTRY("F32", "[]", "4"), NULL, "has the shape []", f, 4, 0, 0 },
        { "{\"<x>\":" ENTRY("F32", "[0,768]", "0"), NULL, "has the shape [0, 768]", f, 0, 0, 0 },
        { "{\"<x>\":" ENTRY("I32", "[2]", "8"), NULL, "type I32", f, 8, 0, 0 },
        { "{\"<x>\":" ENTRY("F32", "[5]", "20"), NULL, "not finite", f, 20, 0, 0 },
        { "{\"clip_l\":" ENTRY("F32", "[2]", "8"), NULL, "Stable Diffusion XL", f, 8, 0, 0 },
        { "{\"\":" ENTRY("F32", "[2]", "8"), NULL, "empty name", f, 8, 0, 0 },
        { "{}", NULL, "holds no tensor", f, 0, 0, 0 },
    };
#undef ENTRY
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Embeddings e;
        Messages errors = { 0 };
        bool ok = read_embedding("out/cat-toy.safetensors", cases[i].header, cases[i].data, cases[i].size, &e,
                                 &errors);
        if (cases[i].what) {
            expect_refused("embedding", ok, &errors, cases[i].what);
            continue;
        }
        test_true("embedding",
                  ok && e.count == 1 && strcmp(e.words[0].token, cases[i].token) == 0 &&
                      e.words[0].vectors == cases[i].vectors && e.words[0].width == cases[i].width &&
                      e.words[0].learned[0] == 1 && e.words[0].learned[1] == -2,
                  "%s", ok ? cases[i].header : text_of(&errors, ""));
        if (ok) embeddings_free(&e);
    }
    Embeddings e;
    Messages errors = { 0 };
    bool ok = read_embedding(
        "x",
        "{\"<b>\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"<a>\":{\"dtype\":\"F32\","
        "\"shape\":[2],\"data_offsets\":[8,16]}}",
        f, 16, &e, &errors);
    test_true("embedding.two",
              ok && e.count == 2 && strcmp(e.words[0].token, "<a>") == 0 && e.words[1].learned[0] == 1,
              "words");
    if (ok) embeddings_free(&e);
    expect_refused("embedding.zip", word_file_parse("x.bin", "PK\3\4 and so on", 15, &e, &errors), &errors,
                   "its zip file is damaged");
    expect_refused("embedding.pickle", word_file_parse("x.pt", "\x80\2}q\1X..........", 15, &e, &errors),
                   &errors, "its pickle is damaged: it ends early");
    ok = word_file_read("golden/embedding.safetensors", &e, &errors);
    test_true("embedding.file", ok && e.words[0].vectors == 2 && e.words[0].width == 8, "the reference's");
    if (ok) embeddings_free(&e);
}

int main(void) {
    char *text, **lines;
    int count;
    lines = read_cases(&text, &count);
    test_headers(lines, count);
    test_header_faults();
    test_whole();
    test_json_text();
    test_reading();
    test_alignment();
    test_writing();
    test_sha256();
    test_store();
    test_embeddings();
    free(lines);
    free(text);
    return test_finish();
}
