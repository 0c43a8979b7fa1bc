/* Random vocabularies, merges and texts against the tokenizer: fuzz_tokenizer [inputs [seed]]. Build it with
   -fsanitize=address,undefined; a fault ends it, and the line before tells the input's number. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/tokenizer.h"

static const char VOCAB[] =
    "{\"<|startoftext|>\": 0, \"<|endoftext|>\": 1, \"a\": 2, \"b\": 3, \"a</w>\": 4, "
    "\"b</w>\": 5, \"aa\": 6, \"ab\": 7, \"ab</w>\": 8, \"aab\": 9, \"\\u00c3\": 10, \"<\": 11}";
static const char MERGES[] = "#version: 0.2\na a\na b\na b</w>\naa b\n";
static const char *const PARTS[] = { "a",
                                     "b",
                                     "ab",
                                     " ",
                                     "\t",
                                     "<|endoftext|>",
                                     "<x>",
                                     "<X>_1",
                                     "<x>_1",
                                     "'s",
                                     "<|startoftext|>",
                                     "\xcc\x81",
                                     "\xcc\xa3",
                                     "\xc4\xb0",
                                     "\xf0\x9f\x98\x80",
                                     "\xe2\x80\x83",
                                     "\xed\x95\x9c",
                                     "1",
                                     "!",
                                     "\xff",
                                     "\xe2\x82",
                                     "\xed\xa0\x80",
                                     "\\u0000",
                                     "\"",
                                     "\n",
                                     "</w>" };

static uint64_t state;

static uint32_t draw(uint32_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

/* Text of up to so many parts, some of them random bytes; free() it. */
static char *random_text(uint32_t parts, size_t *size) {
    char *text = mem_alloc((size_t)parts * 16 + 1);
    *size = 0;
    for (uint32_t i = draw(parts + 1); i > 0; i--) {
        const char *part = PARTS[draw(sizeof PARTS / sizeof *PARTS)];
        if (draw(4) == 0)
            text[(*size)++] = (char)draw(256);
        else
            for (; *part; part++) text[(*size)++] = *part;
    }
    return text;
}

/* A copy of text with some bytes changed, dropped, repeated or parts put in; free() it. */
static char *mutate(const char *text, size_t *size) {
    size_t n = strlen(text);
    char *out = mem_alloc(n + 8 * 64);
    memcpy(out, text, n);
    for (uint32_t i = draw(3) ? draw(8) : 0; i > 0; i--) {
        size_t at = draw((uint32_t)n + 1);
        const char *part = PARTS[draw(sizeof PARTS / sizeof *PARTS)];
        size_t length = strlen(part), drop = draw(4);
        switch (draw(4)) {
        case 0:
            if (at < n) out[at] = (char)draw(256);
            break;
        case 1:
            if (at < n) out[at] = "0123456789-{}[],:\"\\ "[draw(20)];
            break;
        case 2:
            memmove(out + at + length, out + at, n - at);
            memcpy(out + at, part, length);
            n += length;
            break;
        default:
            if (at + drop <= n) {
                memmove(out + at, out + at + drop, n - at - drop);
                n -= drop;
            }
        }
    }
    *size = n;
    return out;
}

/* What holds for every text: ids in range; the window is the raw ids, cut and padded. */
static void use(Tokenizer *t, int64_t length) {
    Messages errors = { 0 };
    size_t size;
    char *word = random_text(4, &size);
    int vectors = 1 + (int)draw(4);
    bool added = tokenizer_add(t, word, vectors, &errors) >= 0;
    if (draw(2)) added |= tokenizer_add(t, "<x>", 1 + (int)draw(3), &errors) >= 0;
    CHECK(added || errors.count);
    int64_t known = tokenizer_vocab_size(t) + 4 * 7; /* four uses, each adds at most 4 and 3 */

    char *text = random_text(40, &size);
    int64_t count;
    int32_t *raw = tokenizer_encode_raw(t, text, size, &count);
    for (int64_t i = 0; i < count; i++) {
        CHECK(raw[i] >= 0 && raw[i] < known);
        free(tokenizer_token_text(t, raw[i]));
    }
    free(raw);
    raw = tokenizer_encode_raw(t, text, strlen(text), &count);
    int32_t *ids = mem_alloc((size_t)length * sizeof *ids);
    CHECK_EQ(tokenizer_encode(t, text, ids), count);
    for (int64_t i = 0; i < count && i < length - 2; i++) CHECK_EQ(ids[i + 1], raw[i]);
    free(ids);
    free(raw);
    free(tokenizer_expand_placeholders(t, text));
    free(tokenizer_placeholder(t, word));
    tokenizer_single(t, text, &errors);
    messages_free(&errors);
    free(text);
    free(word);
}

int main(int argc, char **argv) {
    long inputs = argc > 1 ? atol(argv[1]) : 20000, accepted = 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    for (long i = 0; i < inputs; i++) {
        state = seed * 1000003u + (uint64_t)i;
        Messages errors = { 0 };
        size_t vocab_size, merges_size;
        char *vocab = mutate(VOCAB, &vocab_size), *merges = mutate(MERGES, &merges_size);
        static char *const pads[] = { NULL, "<|endoftext|>", "a", "<", "", "none" };
        TokenizerConfig config = { draw(40), pads[draw(6)] };
        Tokenizer *t = tokenizer_parse("v", vocab, vocab_size, "m", merges, merges_size, &config, &errors);
        CHECK(t || errors.count);
        if (t) {
            accepted++;
            for (int k = 0; k < 4; k++) use(t, config.model_max_length);
        }
        tokenizer_free(t);
        messages_free(&errors);
        free(vocab);
        free(merges);
    }
    printf("%ld inputs, %ld of them tokenizers\n", inputs, accepted);
    return accepted == 0;
}
