/* Mutates valid files in memory and reads them: safetensors, embeddings, each config. Meant for the
   sanitizers: the last number on stderr is at most 999 below the input that ended it.

       fuzz_weights [N [SEED]]        N inputs (default 100000), from that seed on (default 1)            */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/file.h"
#include "weights/embedding.h"
#include "weights/folder.h"

typedef struct {
    uint64_t state;
} Random;

/* xorshift64* */
static uint64_t draw(Random *r, uint64_t n) {
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return n ? (r->state * 0x2545f4914f6cdd1du >> 16) % n : 0;
}

enum { SIZE_MAX_FUZZED = 1 << 16 };

typedef struct {
    unsigned char bytes[SIZE_MAX_FUZZED];
    size_t size;
} Input;

/* Replaces old bytes at `at` by size new ones, where that fits. */
static void splice(Input *in, size_t at, size_t old, const void *bytes, size_t size) {
    if (in->size - old + size > SIZE_MAX_FUZZED) return;
    memmove(in->bytes + at + size, in->bytes + at + old, in->size - at - old);
    memcpy(in->bytes + at, bytes, size);
    in->size += size - old;
}

static void mutate(Input *in, const File *other, Random *r) {
    static const char *const words[] = { "null",       "true",
                                         "-1",         "0",
                                         "1e999",      "9007199254740993",
                                         "{}",         "[]",
                                         "\"\"",       "[[[[",
                                         "{\"a\":{",   "18446744073709551616",
                                         "\\u0000",    "\\ud800",
                                         "\xff",       "\xf4\x90\x80\x80",
                                         "1.5",        "-Infinity",
                                         ",",          ":",
                                         "\"F32\"",    "\"I64\"",
                                         "\"F4\"",     "\"__metadata__\":",
                                         "[0,0]",      "[2,2]",
                                         "4294967296", "\"pad_token\":",
                                         "0.0000001",  "\"" };
    enum { WORDS = sizeof words / sizeof *words };
    size_t at = draw(r, in->size + 1), left = in->size - at,
           n = min_i64((int64_t)left, (int64_t)draw(r, 40)) & 0xff;
    unsigned char kept[256], byte = (unsigned char)draw(r, 256);
    const char *word = words[draw(r, WORDS)];
    switch (draw(r, 9)) {
    case 0: /* a bit */
        if (left) in->bytes[at] ^= (unsigned char)(1u << draw(r, 8));
        break;
    case 1:
        splice(in, at, left ? 1 : 0, &byte, 1);
        break;
    case 2:
        splice(in, at, n, "", 0);
        break;
    case 3:
        splice(in, at, n > 4 ? 4 : n, word, strlen(word));
        break;
    case 4:
        splice(in, at, 0, word, strlen(word));
        break;
    case 5: /* a part twice */
        memcpy(kept, in->bytes + at, n);
        splice(in, at, 0, kept, n);
        break;
    case 6:
        in->size = at;
        break;
    case 7: /* a part of another file */
        n = draw(r, 60);
        if (other->size > n) splice(in, at, 0, other->data + draw(r, other->size - n), n);
        break;
    default: /* a digit */
        while (at < in->size && (in->bytes[at] < '0' || in->bytes[at] > '9')) at++;
        if (at < in->size) in->bytes[at] = (unsigned char)('0' + draw(r, 10));
    }
}

/* What a header says about its own length no longer holds after most mutations: then they would end there. */
static void repair_length(Input *in, size_t data) {
    if (in->size < 8 + data) return;
    uint64_t n = in->size - 8 - data;
    for (int i = 0; i < 8; i++) in->bytes[i] = (unsigned char)(n >> (8 * i));
}

static bool try_safetensors(const void *bytes, size_t size, Messages *errors) {
    Safetensors s;
    if (!safetensors_parse("x", bytes, size, &s, errors)) return false;
    for (int64_t i = 0; i < s.count; i++) {
        const SafeTensor *t = &s.tensors[i];
        CHECK(safetensors_find(&s, t->weight.name) == t);
        if (!t->is_float) continue;
        int64_t n = shape_count(t->weight.shape);
        CHECK_EQ((size_t)n * dtype_size(t->weight.dtype), t->size);
        float *all = mem_alloc((size_t)n * sizeof *all);
        weight_read(&t->weight, all);
        free(all);
    }
    safetensors_metadata(&s, "format");
    Store *store = store_new(&s, 1, "a", "b", errors);
    Unused unused = { 0 };
    store_fingerprint(store);
    store_unused(store, "", &unused);
    free(unused_text(&unused));
    unused_free(&unused);
    store_get(store, shape1(3), "x");
    store_free(store);
    safetensors_close(&s);
    return true;
}

/* All parsers in turn on the same bytes: each also gets what was meant for another. */
static int try_all(const unsigned char *bytes, size_t size, int kind, Random *r) {
    Messages errors = { 0 }, warnings = { 0 };
    Embeddings e;
    ClipConfig clip;
    UnetConfig unet;
    VaeConfig vae;
    SchedulerConfig scheduler;
    TokenizerConfig tokenizer;
    char **names;
    int64_t shards;
    bool ok = false;
    if (draw(r, 20) == 0) kind = (int)draw(r, 9);
    switch (kind) {
    case 0:
        ok = try_safetensors(bytes, size, &errors);
        break;
    case 1:
        ok = embeddings_parse("dir/x.safetensors", bytes, size, &e, &errors);
        if (ok) embeddings_free(&e);
        break;
    case 2:
        ok = clip_config_parse("x", bytes, size, &clip, &errors, &warnings);
        break;
    case 3:
        ok = unet_config_parse("x", bytes, size, &unet, &errors, &warnings);
        break;
    case 4:
        ok = vae_config_parse("x", bytes, size, &vae, &errors, &warnings);
        break;
    case 5:
        ok = scheduler_config_parse("x", bytes, size, &scheduler, &errors, &warnings);
        if (ok) free(scheduler.trained_betas);
        break;
    case 6:
        ok = tokenizer_config_parse("x", bytes, size, bytes, size, 77, &tokenizer, &errors, &warnings);
        if (ok) free(tokenizer.pad_token);
        break;
    case 7:
        ok = model_index_parse("x", bytes, size, &errors, &warnings);
        break;
    default:
        shards = shard_index_parse("x", bytes, size, &names, &errors);
        for (int64_t i = 0; i < shards; i++) free(names[i]);
        free(names);
        return messages_free(&errors), shards > 0;
    }
    CHECK(ok || errors.count > 0); /* whatever is refused is said */
    messages_free(&errors);
    messages_free(&warnings);
    return ok;
}

int main(int argc, char **argv) {
    static const char *const paths[] = { "golden/files.safetensors",
                                         "golden/embedding.safetensors",
                                         "weights/critters/text_encoder/config.json",
                                         "weights/critters/unet/config.json",
                                         "weights/critters/vae/config.json",
                                         "weights/critters/scheduler/scheduler_config.json",
                                         "weights/critters/tokenizer/tokenizer_config.json",
                                         "weights/critters/model_index.json" };
    static const char small[] = "{\"steps\":600,\"lr\":5e-3,\"schedule\":\"cosine\",\"init\":\"critter\","
                                "\"weight_map\":{\"a\":\"b.safetensors\",\"c\":\"d\"}}";
    enum { FILES = sizeof paths / sizeof *paths };
    long count = argc > 1 ? atol(argv[1]) : 100000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    File seeds[FILES + 1];
    Messages errors = { 0 };
    for (int i = 0; i < FILES; i++)
        if (!file_map(paths[i], &seeds[i], &errors) || seeds[i].size > SIZE_MAX_FUZZED / 2) {
            fprintf(stderr, "%s cannot be a seed\n", paths[i]);
            return 1;
        }
    seeds[FILES] = (File) { (const unsigned char *)small, sizeof small - 1 };
    Input *in = mem_alloc(sizeof *in);
    long accepted = 0;
    for (long i = 0; i < count; i++) {
        /* Each input from its own number: the one that fails is run again by `fuzz_weights 1 NUMBER`. */
        if (i % 1000 == 0) fprintf(stderr, "\r%llu", (unsigned long long)seed + (unsigned long long)i);
        Random r = { (seed + (uint64_t)i) * 0x9e3779b97f4a7c15u | 1 };
        int kind = (int)draw(&r, FILES + 1);
        in->size = seeds[kind].size;
        memcpy(in->bytes, seeds[kind].data, in->size);
        uint64_t length = 0;
        for (int b = 7; b >= 0; b--) length = length << 8 | seeds[kind].data[b];
        for (uint64_t k = draw(&r, 4) + 1; k > 0; k--) mutate(in, &seeds[draw(&r, FILES + 1)], &r);
        if (kind < 2 && draw(&r, 8)) repair_length(in, in->size ? seeds[kind].size - 8 - (size_t)length : 0);
        unsigned char *exact = mem_alloc(in->size); /* so that the sanitizer sees a byte read too far */
        memcpy(exact, in->bytes, in->size);
        accepted += try_all(exact, in->size, kind, &r);
        free(exact);
    }
    fprintf(stderr, "\r");
    printf("%ld inputs, %ld accepted\n", count, accepted);
    for (int i = 0; i < FILES; i++) file_unmap(&seeds[i]);
    free(in);
    return 0;
}
