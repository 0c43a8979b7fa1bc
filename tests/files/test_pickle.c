/* SPDX-License-Identifier: MIT */
/* Tests of the files that torch.save and other programs write: words from golden/words, whose rows the
   programs' own functions have recorded; each fault of a pickle's opcodes; and each way in which such a file
   can be cut off. */

#define _FILE_OFFSET_BITS 64
#define _POSIX_C_SOURCE   200809L
#include "exchange/single.h"
#include "exchange/torch_file.h"
#include "exchange/word_file.h"
#include "tests/command.h"
#include "tests/golden.h"
#include "tests/refusal.h"

/* ---- the files of other programs ---- */

static const Embedding *find_word(const Embeddings *e, const char *token) {
    for (int64_t i = 0; i < e->count; i++)
        if (strcmp(e->words[i].token, token) == 0) return &e->words[i];
    return NULL;
}

/* Checks the word that a tensor "FILE/TOKEN" of golden/words.safetensors records. */
static void check_word(const SafeTensor *want, int64_t *words) {
    const char *slash = strrchr(want->weight.name, '/');
    char *path = mem_format("golden/words/%.*s", (int)(slash - want->weight.name), want->weight.name);
    Embeddings e;
    Messages errors = { 0 };
    bool ok = word_file_read(path, &e, &errors);
    const Embedding *word = ok ? find_word(&e, slash + 1) : NULL;
    test_true(want->weight.name, word != NULL, "%s", ok ? "read" : text_of(&errors, ""));
    if (word && word->vectors == want->weight.shape.dim[0] && word->width == want->weight.shape.dim[1])
        test_same(want->weight.name, word->learned, want->weight.data, want->size);
    else
        test_true(want->weight.name, false, "another shape");
    *words += e.count == 1 ? 2 : 1; /* each word of a file of two counts half */
    if (ok) embeddings_free(&e);
    messages_free(&errors);
    free(path);
}

static void test_programs(void) {
    Safetensors golden;
    Messages errors = { 0 };
    CHECK(safetensors_open("golden/words.safetensors", &golden, &errors));
    int64_t words = 0, refused = 0;
    for (int64_t i = 0; i < golden.count; i++)
        if (strncmp(golden.tensors[i].weight.name, "tensor:", 7) != 0) check_word(&golden.tensors[i], &words);
    const char *key;
    json_t *message;
    json_object_foreach (json_object_get(golden.header, "__metadata__"), key, message) {
        if (strncmp(key, "refused:", 8) != 0) continue;
        char *path = mem_format("golden/words/%s", key + 8);
        Embeddings e;
        expect_refused(key, word_file_read(path, &e, &errors), &errors, json_string_value(message));
        free(path);
        refused++;
    }
    test_true("words.files", golden.count >= 30 && refused >= 8, "%lld words, %lld refused files",
              (long long)golden.count, (long long)refused);
    safetensors_close(&golden);
}

/* ---- models ---- */

/* Tests a checkpoint of PyTorch Lightning, beside whose weights there is what only its own classes
   understand. */
static void test_lightning(const char *path) {
    Safetensors golden, s;
    Messages errors = { 0 };
    CHECK(safetensors_open("golden/words.safetensors", &golden, &errors));
    bool ok = torch_open(path, &s, &errors);
    test_true(path, ok && s.count == 5, "%s", text_of(&errors, "opened"));
    for (int64_t i = 0; ok && i < golden.count; i++) {
        const SafeTensor *want = &golden.tensors[i];
        if (strncmp(want->weight.name, "tensor:", 7) != 0) continue;
        const SafeTensor *got = safetensors_find(&s, want->weight.name + 7);
        bool same = got && got->is_float && shape_equal(got->weight.shape, want->weight.shape);
        float *numbers = mem_alloc(want->size);
        if (same) weight_read(&got->weight, numbers);
        test_true(path, same && memcmp(numbers, want->weight.data, want->size) == 0, "%s", want->weight.name);
        const unsigned char *data = same ? got->weight.data : NULL;
        test_true(path, data > s.file.data && data < s.file.data + s.file.size, "%s lies in the file",
                  want->weight.name);
        free(numbers);
    }
    if (!ok) return;
    /* What is no tensor, or one that would have to be copied, is an error only for who asks for it. */
    Store *store = store_new(&s, 1, "", NULL, &errors);
    expect_refused(path, store_get(store, shape2(24, 2), "model.columns") != NULL, &errors,
                   "FloatStorage and not contiguous");
    const SafeTensor *callback = safetensors_find(&s, "model.callback");
    expect_refused(path, store_get(store, callback->weight.shape, "model.callback") != NULL, &errors,
                   "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint");
    store_free(store);
    safetensors_close(&s);
    safetensors_close(&golden);
}

/* Tests a folder with pickles: a zip file, two shards, and the format before torch 1.6. Its weights must be
   those of the folder from which they were saved. */
static void test_pickled_folder(void) {
    char *folder = folder_new(), *path = mem_format("%s/model", folder);
    char *script =
        mem_format("cp -R golden/models/narrow '%s' && chmod -R u+w '%s' && rm '%s'/*/*.safetensors && "
                   "cp -R golden/words/narrow/* '%s'",
                   path, path, path, path);
    CHECK(system(script) == 0);
    ModelFolder a, b;
    Messages errors = { 0 }, warnings = { 0 };
    bool ok = exchange_open_model("golden/models/narrow", NULL, &a, &errors, &warnings) &&
              exchange_open_model(path, NULL, &b, &errors, &warnings);
    test_true("bin.folder", ok, "%s", text_of(&errors, "opened"));
    if (ok) {
        test_true("bin.text_encoder", store_fingerprint(a.text_encoder) == store_fingerprint(b.text_encoder),
                  "the same weights");
        test_true("bin.vae", store_fingerprint(a.vae) == store_fingerprint(b.vae), "the same weights");
        int64_t wrong = 0;
        const Safetensors *unet = &a.unet_files.files[0];
        for (int64_t i = 0; i < unet->count; i++) {
            const SafeTensor *want = &unet->tensors[i];
            const Weight *got = store_get(b.unet, want->weight.shape, "%s", want->weight.name);
            wrong += !got || got->dtype != want->weight.dtype ||
                     memcmp(got->data, want->weight.data, want->size) != 0;
        }
        test_true("bin.unet", b.unet_files.count == 2 && !wrong, "%lld tensors differ", (long long)wrong);
        folder_close(&a);
        folder_close(&b);
    }
    free(script);
    free(path);
    folder_remove(folder);
    free(folder);
}

/* Checks that no part of a file from its beginning is accepted, and that all of them fail with a message. */
static void test_truncated(const char *path) {
    size_t size;
    char *text = read_text(path, &size);
    int64_t accepted = 0, silent = 0;
    for (size_t n = 0; n < size; n++) {
        Embeddings e;
        Messages errors = { 0 };
        char *part = malloc(n ? n : 1); /* exactly as long, for the sanitizer */
        CHECK(part);
        memcpy(part, text, n);
        bool ok = word_file_parse("x.pt", part, n, &e, &errors);
        accepted += ok;
        silent += !ok && errors.count != 1;
        if (ok) embeddings_free(&e);
        messages_free(&errors);
        free(part);
    }
    test_true("words.truncated", !accepted && !silent,
              "%s: %lld of %zu parts accepted, %lld without a message", path, (long long)accepted, size,
              (long long)silent);
    free(text);
}

/* ---- pickles ---- */

typedef struct {
    const char *name, *bytes;
    size_t size;
    const char *what; /* the expected message, or NULL when the pickle is accepted */
} PickleCase;

#define CASE(name, bytes, what)                                                                              \
    { name, "\x80\2" bytes, sizeof("\x80\2" bytes) - 1, what }
#define STORAGE                                                                                              \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                                       \
    "0X\3\0\0\0cpuK\6tQ"
#define REBUILD                        "ctorch._utils\n_rebuild_tensor_v2\n"
#define TENSOR(offset, shape, strides) REBUILD "(" STORAGE offset shape strides "\x89}tR."

static const PickleCase CASES[] = {
    CASE("nothing", "", "it ends early at byte 2"),
    CASE("stop", ".", "with values left over"),
    CASE("two values", "NN.", "with values left over"),
    CASE("mark", "(N.", "with values left over"),
    CASE("none", "N.", NULL),
    CASE("opcode", "\xff.", "the opcode 0xff at byte 2"),
    CASE("INST", "(iposix\nsystem\n.", "the opcode 0x69"),
    CASE("OBJ", "(o.", "the opcode 0x6f"),
    CASE("POP", "N0.", "the opcode 0x30"),
    CASE("EXT1", "\x82\1.", "the opcode 0x82"),
    CASE("PERSID", "Px\n.", "the opcode 0x50"),
    CASE("STRING", "S'x'\n.", "the opcode 0x53"),
    CASE("NEXT_BUFFER", "\x97.", "the opcode 0x97"),
    CASE("protocol", "\x80\6N.", "protocol is not 2 to 5"),
    CASE("BININT cut", "J\1\2\3", "it ends early"),
    CASE("BININT1 cut", "K", "it ends early"),
    CASE("BININT2 cut", "M\1", "it ends early"),
    CASE("LONG1 cut", "\x8a\3\1\1", "it ends early"),
    CASE("LONG4 cut", "\x8b\xff\xff\xff\xff.", "it ends early"),
    CASE("BINFLOAT cut", "G1234567", "it ends early"),
    CASE("BINUNICODE cut", "X\4\0\0\0abc", "it ends early"),
    CASE("BINUNICODE long", "X\xff\xff\xff\xff.", "it ends early"),
    CASE("BINUNICODE bytes", "X\1\0\0\0\xff.", "not UTF-8"),
    CASE("SHORT_BINUNICODE bytes", "\x8c\1\xff.", "not UTF-8"),
    CASE("BINSTRING bytes", "T\1\0\0\0\xff.", NULL),
    CASE("SHORT_BINSTRING cut", "U\2x", "it ends early"),
    CASE("BINBYTES cut", "B\2\0\0\0x", "it ends early"),
    CASE("FRAME cut", "\x95\1\0\0\0\0\0\0", "it ends early"),
    CASE("TUPLE without mark", "Nt.", "there is no mark"),
    CASE("TUPLE2 of one", "N\x86.", "too few values"),
    CASE("TUPLE1 over a mark", "N(\x85.", "too few values"),
    CASE("APPEND alone", "a.", "too few values"),
    CASE("APPEND to none", "NNa.", "what is no container"),
    CASE("APPEND to dict", "}Na.", "what is no container"),
    CASE("APPENDS without list", "(NNe.", "too few values"),
    CASE("SETITEM to list", "]NNs.", "what is no container"),
    CASE("SETITEMS odd", "}(Nu.", "a key has no value"),
    CASE("SETITEMS without mark", "}NNu.", "there is no mark"),
    CASE("BINPUT alone", "q\0.", "too few values"),
    CASE("BINGET unknown", "h\7.", "was not stored"),
    CASE("BINGET gap", "Nq\5h\4.", "was not stored"),
    CASE("LONG_BINPUT far", "Nr\xff\xff\xff\xff.", "more than 1000000 values"),
    CASE("LONG_BINGET far", "j\xff\xff\xff\xff.", "was not stored"),
    CASE("MEMOIZE alone", "\x94.", "too few values"),
    CASE("a list in itself", "]q\0h\0a.", NULL),
    CASE("a dict in itself", "}q\0K\1h\0s.", NULL),
    CASE("GLOBAL cut", "ctorch\nFloat", "it ends early"),
    CASE("GLOBAL bytes", "c\xff\nx\n.", "not UTF-8"),
    CASE("GLOBAL unknown", "cposix\nsystem\n.", "names \"posix.system\""),
    CASE("GLOBAL that is not called", "cbuiltins\neval\nN\x86.", "names \"builtins.eval\""),
    CASE("GLOBAL with dots", "ctorch\n_utils._rebuild_tensor_v2\n.",
         "names \"torch._utils._rebuild_tensor_v2\""),
    CASE("STACK_GLOBAL unknown", "\x8c\2os\x8c\6system\x93.", "names \"os.system\""),
    CASE("STACK_GLOBAL none", "NN\x93.", "name is no string"),
    CASE("STACK_GLOBAL alone", "\x93.", "too few values"),
    CASE("REDUCE alone", "R.", "too few values"),
    CASE("REDUCE of a string", "\x8c\1x)R.", "what is called is no global"),
    CASE("REDUCE with a list", "ccollections\nOrderedDict\n]R.", "arguments are no tuple"),
    CASE("REDUCE of an object", "ctorch\ndevice\n)R)R.", "what is called is no global"),
    CASE("NEWOBJ of none", "N)\x81.", "what is called is no global"),
    CASE("NEWOBJ_EX alone", "N\x92.", "too few values"),
    CASE("BUILD alone", "b.", "too few values"),
    CASE("BUILD of a number", "K\1Nb.", "what has none"),
    CASE("OrderedDict", "ccollections\nOrderedDict\n]]K\1a\x8c\1xaa\x85R.", NULL),
    CASE("OrderedDict of a number", "ccollections\nOrderedDict\nK\1\x85R.", "a container's arguments"),
    CASE("OrderedDict of numbers", "ccollections\nOrderedDict\n]K\1a\x85R.", "a container's arguments"),
    CASE("set of two", "c__builtin__\nset\n]]\x86R.", "a container's arguments"),
    CASE("BINPERSID alone", "Q.", "too few values"),
    CASE("BINPERSID of a string", "\x8c\1xQ.", "a storage's description"),
    CASE("BINPERSID empty", ")Q.", "a storage's description"),
    CASE("BINPERSID of a type",
         "(\x8c\7storage\x8c\1x\x8c\1"
         "0\x8c\3cpuK\1tQ.",
         "a storage's description"),
    CASE("BINPERSID of a class",
         "(\x8c\7storagectorch\ndevice\n\x8c\1"
         "0\x8c\3cpuK\1tQ.",
         "a storage's description"),
    CASE("BINPERSID negative",
         "(\x8c\7storagectorch\nFloatStorage\n\x8c\1"
         "0\x8c\3cpuJ\xff\xff\xff\xfftQ.",
         "a storage's description"),
    CASE("BINPERSID huge",
         "(\x8c\7storagectorch\nFloatStorage\n\x8c\1"
         "0\x8c\3cpu\x8a\x8\xff\xff\xff\xff\xff\xff\xff\x7ftQ.",
         "a storage's size"),
    CASE("BINPERSID with a view",
         "(\x8c\7storagectorch\nFloatStorage\n\x8c\1"
         "0\x8c\3cpuK\1)tQ.",
         "a storage's description"),
    CASE("BINPERSID module", "(\x8c\6moduleNNNtQ.", "a storage's description"),
    CASE("a tensor", TENSOR("K\0", "K\2K\3\x86", "K\3K\1\x86"), NULL),
    CASE("a tensor at the end", TENSOR("K\5", "K\1\x85", "K\1\x85"), NULL),
    CASE("a tensor of no rank", TENSOR("K\5", ")", ")"), NULL),
    CASE("an empty tensor", TENSOR("K\6", "K\0\x85", "K\1\x85"), NULL),
    CASE("an empty tensor outside", TENSOR("K\7", "K\0\x85", "K\1\x85"), "lies outside its storage"),
    CASE("a tensor that repeats", TENSOR("K\5", "M\xff\xff\x85", "K\0\x85"), NULL),
    CASE("offset", TENSOR("K\1", "K\2K\3\x86", "K\3K\1\x86"), "lies outside its storage"),
    CASE("stride", TENSOR("K\0", "K\2K\3\x86", "K\4K\1\x86"), "lies outside its storage"),
    CASE("size", TENSOR("K\0", "K\3K\3\x86", "K\3K\1\x86"), "lies outside its storage"),
    CASE("rank 0 outside", TENSOR("K\6", ")", ")"), "lies outside its storage"),
    CASE("overflow", TENSOR("K\0", "\x8a\x8\0\0\0\0\0\0\0\x40\x85", "K\4\x85"), "lies outside its storage"),
    CASE("overflow of a sum", TENSOR("\x8a\x8\xff\xff\xff\xff\xff\xff\xff\x7f", "K\2\x85", "K\1\x85"),
         "lies outside its storage"),
    CASE("negative size", TENSOR("K\0", "J\xff\xff\xff\xff\x85", "K\1\x85"), "a tensor's arguments"),
    CASE("negative stride", TENSOR("K\5", "K\2\x85", "J\xff\xff\xff\xff\x85"), "a tensor's arguments"),
    CASE("negative offset", TENSOR("J\xff\xff\xff\xff", "K\2\x85", "K\1\x85"), "a tensor's arguments"),
    CASE("a size in words", TENSOR("K\0", "\x8c\1x\x85", "K\1\x85"), "a tensor's arguments"),
    CASE("other strides", TENSOR("K\0", "K\2\x85", ")"), "a tensor's arguments"),
    CASE("9 dimensions", TENSOR("K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"),
         "more than 8 dimensions"),
    CASE("no storage", REBUILD "(NK\0))tR.", "a tensor's arguments"),
    CASE("no arguments", REBUILD ")R.", "a tensor's arguments"),
    CASE("parameter of nothing", "ctorch._utils\n_rebuild_parameter\n)R.", "a parameter's arguments"),
    CASE("parameter of a number", "ctorch._utils\n_rebuild_parameter\nK\1\x85R.", "a parameter's arguments"),
    CASE("from_type of nothing", "ctorch._tensor\n_rebuild_from_type_v2\n)R.", "a tensor's arguments"),
    CASE("from_type of itself", "ctorch._tensor\n_rebuild_from_type_v2\nq\0(h\0ctorch\nTensor\n(h\0N)t}tR.",
         NULL),
};

static void test_opcodes(void) {
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        Pickle p;
        Messages errors = { 0 };
        char *name = mem_format("pickle.%s", CASES[i].name), *bytes = malloc(CASES[i].size);
        CHECK(bytes);
        memcpy(bytes, CASES[i].bytes, CASES[i].size); /* exactly as long, for the sanitizer */
        bool ok = pickle_parse("x.pt", bytes, CASES[i].size, true, &p, &errors);
        if (CASES[i].what)
            expect_refused(name, ok, &errors, CASES[i].what);
        else
            test_true(name, ok && p.size == CASES[i].size, "%s", text_of(&errors, "read"));
        if (ok) pickle_free(&p);
        messages_free(&errors);
        free(bytes);
        free(name);
    }
}

/* Whatever is not in the table is an object without content to a reader that is not strict. */
static void test_lenient(void) {
    static const char bytes[] = "\x80\2}(X\1\0\0\0acposix\nsystem\nX\4\0\0\0echo\x85R}b(K\1K\2uX\1\0\0\0b" //
                                "cnumpy\nx\n)\x81(NNeX\1\0\0\0cca\nb\n)R)Ru.";
    Pickle p;
    Messages errors = { 0 };
    bool ok = pickle_parse("x.ckpt", bytes, sizeof bytes - 1, false, &p, &errors);
    const PickleValue *a = ok ? pickle_get(p.root, "a") : NULL, *c = ok ? pickle_get(p.root, "c") : NULL;
    test_true("pickle.objects",
              a && a->kind == PICKLE_OBJECT && pickle_text_is(a->as.object.name, "system") &&
                  !a->as.object.state && c && c->kind == PICKLE_OBJECT,
              "%s", text_of(&errors, "read"));
    if (ok) pickle_free(&p);
}

/* ---- pickles that would take much memory or time ---- */

/* Returns a pickle of the beginning, a part that is repeated, and the end. */
static Text repeated(const char *begin, size_t begin_size, const char *part, size_t size, int64_t times,
                     const char *end) {
    Text t = { 0 };
    text_add_part(&t, begin, begin_size);
    for (int64_t i = 0; i < times; i++) text_add_part(&t, part, size);
    text_add(&t, end);
    return t;
}

static void test_limits(void) {
    static const struct {
        const char *name, *begin;
        size_t begin_size;
        const char *part;
        size_t size;
        int64_t times;
        const char *end, *what;
    } cases[] = {
        { "values", "\x80\2(", 3, "}", 1, 1000001, "t.", "more than 1000000 values" },
        { "marks", "\x80\2", 2, "(", 1, 1000001, "t.", "more than 1000000 values" },
        { "the stack", "\x80\2(Nq\0", 6, "h\0", 2, 1000001, "t.", "more than 1000000 values" },
        { "a deep list", "\x80\2", 2, "]", 1, 900000, "N.", "values left over" },
        { "a long list", "\x80\2]q\0(", 6, "K\1", 2, 900000, "e.", NULL },
        /* Each copy of the list has 100,000 elements, and would cost 4 bytes of the pickle. */
        { "copies", "\x80\2(ccollections\nOrderedDict\nq\0]q\1(", 34, "))\x86", 3, 20000, "e\x85q\2",
          "it ends early" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Text t = repeated(cases[i].begin, cases[i].begin_size, cases[i].part, cases[i].size, cases[i].times,
                          cases[i].end);
        Pickle p;
        Messages errors = { 0 };
        bool ok = pickle_parse("x.pt", t.at, t.length, true, &p, &errors);
        if (cases[i].what)
            expect_refused(cases[i].name, ok, &errors, cases[i].what);
        else
            test_true(cases[i].name, ok, "%s", text_of(&errors, "read"));
        if (ok) pickle_free(&p);
        free(t.at);
    }
    /* The same arguments are used again and again. */
    Text t = repeated("\x80\2(ccollections\nOrderedDict\nq\0]q\1(", 34, "))\x86", 3, 20000, "e\x85q\2"),
         more = { 0 };
    text_add_part(&more, t.at, t.length);
    for (int i = 0; i < 100000; i++) text_add_part(&more, "h\0h\2R", 5);
    text_add(&more, "t.");
    Pickle p;
    Messages errors = { 0 };
    expect_refused("pickle.copies", pickle_parse("x.pt", more.at, more.length, true, &p, &errors), &errors,
                   "more than 1000000 values");
    free(t.at);
    free(more.at);
}

/* ---- zip files ---- */

/* Parses a zip file with these members as a word's file. */
static bool parse_parts(const ZipPart *parts, int count, Embeddings *e, Messages *errors) {
    Text zip;
    CHECK(zip_bytes("x.pt", parts, count, &zip, errors));
    bool ok = word_file_parse("dir/x.pt", zip.at, zip.length, e, errors);
    free(zip.at);
    return ok;
}

static void test_members(void) {
    static const char pickle[] = "\x80\2}X\1\0\0\0a" TENSOR("K\0", "K\2K\3\x86", "K\3K\1\x86");
    static const char numbers[] = "\0\0\x80?\0\0\0@\0\0@@\0\0\x80@\0\0\xa0@\0\0\xc0@";
    char program[sizeof pickle];
    memcpy(program, pickle, sizeof pickle);
    memcpy(program + sizeof pickle - 2, "s.", 2);
    size_t size = sizeof pickle; /* the last byte of TENSOR, STOP, gives way to SETITEM and STOP */
    static const struct {
        const char *name, *data, *number, *order;
        size_t bytes;
        const char *what;
    } cases[] = {
        { "whole", "x/data.pkl", "x/data/0", "little", 24, NULL },
        { "no pickle", "x/data.txt", "x/data/0", "little", 24, "it has no data.pkl" },
        { "a pickle outside", "data.pkl", "data/0", "little", 24, "it has no data.pkl" },
        { "no storage", "x/data.pkl", "x/data/1", "little", 24, "has no storage \"0\"" },
        { "another folder", "x/data.pkl", "y/data/0", "little", 24, "has no storage \"0\"" },
        { "a short storage", "x/data.pkl", "x/data/0", "little", 23, "23 bytes is too small" },
        { "byte order", "x/data.pkl", "x/data/0", "big", 24, "big-endian" },
        { "twice", "x/data.pkl", "x/data.pkl", "little", 24, "has \"x/data.pkl\" twice" },
        { "two", "x/data.pkl", "y/data.pkl", "little", 24, "it has no data.pkl" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ZipPart parts[] = { { cases[i].data, program, size },
                                  { "x/byteorder", cases[i].order, strlen(cases[i].order) },
                                  { cases[i].number, numbers, cases[i].bytes } };
        Embeddings e;
        Messages errors = { 0 };
        bool ok = parse_parts(parts, 3, &e, &errors);
        if (cases[i].what)
            expect_refused(cases[i].name, ok, &errors, cases[i].what);
        else
            test_true(cases[i].name,
                      ok && e.count == 1 && e.words[0].vectors == 2 && e.words[0].learned[5] == 6, "%s",
                      text_of(&errors, "read"));
        if (ok) embeddings_free(&e);
    }
}

/* ---- a file of more than 4 GB ---- */

static void add_number(Text *t, uint64_t n, int bytes) {
    for (int i = 0; i < bytes; i++) {
        char byte = (char)(i < 8 ? n >> (8 * i) : 0);
        text_add_part(t, &byte, 1);
    }
}

/* Adds a member's header, or its entry in the directory. Sizes and places that do not fit into 4 bytes are
   2^32 - 1, and follow in an extra field of Zip64. */
static void add_header(Text *t, bool entry, const char *name, uint64_t size, uint64_t place) {
    bool large = size >= UINT32_MAX, far = entry && place >= UINT32_MAX;
    int extra = (large ? 16 : 0) + (far ? 8 : 0);
    text_add(t, entry ? "PK\1\2" : "PK\3\4");
    if (entry) add_number(t, 45, 2);
    add_number(t, 45, 2);
    add_number(t, 0, 12); /* no flags, stored, no time, no checksum */
    add_number(t, large ? UINT32_MAX : size, 4);
    add_number(t, large ? UINT32_MAX : size, 4);
    add_number(t, strlen(name), 2);
    add_number(t, (uint64_t)(extra ? extra + 4 : 0), 2);
    if (entry) add_number(t, 0, 10);
    if (entry) add_number(t, far ? UINT32_MAX : place, 4);
    text_add(t, name);
    if (extra) add_number(t, 1, 2);
    if (extra) add_number(t, (uint64_t)extra, 2);
    if (large) add_number(t, size, 8);
    if (large) add_number(t, size, 8);
    if (far) add_number(t, place, 8);
}

/* Adds the directory's end: the record of Zip64, its locator, and the old record. */
static void add_end(Text *t, uint64_t size, uint64_t place) {
    text_add(t, "PK\6\6");
    add_number(t, 44, 8);
    add_number(t, 45, 2);
    add_number(t, 45, 2);
    add_number(t, 0, 8);
    add_number(t, 2, 8);
    add_number(t, 2, 8);
    add_number(t, size, 8);
    add_number(t, place, 8);
    text_add(t, "PK\6\7");
    add_number(t, 0, 4);
    add_number(t, place + size, 8);
    add_number(t, 1, 4);
    text_add(t, "PK\5\6");
    add_number(t, 0, 4);
    add_number(t, 2, 2);
    add_number(t, 2, 2);
    add_number(t, size, 4);
    add_number(t, UINT32_MAX, 4);
    add_number(t, 0, 2);
}

/* Tests a checkpoint with a storage of 5 GB, of which all but the last six numbers are a hole in the file. */
static void test_zip64(void) {
    enum { COUNT = 1250000000 };
    static const char pickle[] =
        "\x80\2}X\1\0\0\0a" REBUILD "((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
        "0X\3\0\0\0cpuJ\x80\x7c\x81\x4atQJ\x7a\x7c\x81\x4aK\2K\3\x86K\3K\1\x86\x89}tRs.";
    static const float numbers[] = { 1, 2, 3, 4, 5, 6 };
    char *folder = folder_new(), *path = mem_format("%s/x.ckpt", folder);
    FILE *file = fopen(path, "wb");
    Text head = { 0 }, tail = { 0 };
    add_header(&head, false, "x/data/0", 4ull * COUNT, 0);
    uint64_t second = head.length + 4ull * COUNT;
    text_add_part(&tail, (const char *)numbers, sizeof numbers);
    add_header(&tail, false, "x/data.pkl", sizeof pickle - 1, 0);
    text_add_part(&tail, pickle, sizeof pickle - 1);
    uint64_t place = second - sizeof numbers + tail.length;
    size_t before = tail.length;
    add_header(&tail, true, "x/data/0", 4ull * COUNT, 0);
    add_header(&tail, true, "x/data.pkl", sizeof pickle - 1, second);
    add_end(&tail, tail.length - before, place);
    CHECK(file && fwrite(head.at, 1, head.length, file) == head.length &&
          fseeko(file, (off_t)(second - sizeof numbers), SEEK_SET) == 0 &&
          fwrite(tail.at, 1, tail.length, file) == tail.length && fclose(file) == 0);
    Safetensors s;
    Messages errors = { 0 };
    bool ok = torch_open(path, &s, &errors);
    const SafeTensor *a = ok ? safetensors_find(&s, "a") : NULL;
    test_true("zip64", a && a->size == sizeof numbers && memcmp(a->weight.data, numbers, sizeof numbers) == 0,
              "%s", text_of(&errors, "the last numbers of 5 GB"));
    if (ok) safetensors_close(&s);
    free(head.at);
    free(tail.at);
    free(path);
    folder_remove(folder);
    free(folder);
}

int main(void) {
    test_zip64();
    test_programs();
    test_lightning("golden/words/lightning.ckpt");
    test_lightning("golden/words/lightning_old.ckpt");
    test_pickled_folder();
    test_truncated("golden/words/a1111.pt");
    test_truncated("golden/words/paper_old.pt");
    test_truncated("golden/words/deflated.pt");
    test_truncated("golden/words/protocol4.pt");
    test_opcodes();
    test_lenient();
    test_limits();
    test_members();
    return test_finish();
}
