/* SPDX-License-Identifier: MIT */
/* Tests of learned words and of a model's added tokens in prompts: which words can be added, where they
   match, which tokens they become, and what is taken for a misspelling of a word. */
#include "tests/tokenizer.h"
#include "text/prompt.h"
#include "text/unicode.h"

/* Checks that adding a word, or reading it as a single token, returned -1 with one message that contains
   `says`. */
static void test_refusal(const char *name, int32_t id, Messages *errors, const char *says) {
    const char *text = errors->count ? errors->text : "accepted\n";
    test_true(name, id == -1 && errors->count == 1 && strstr(text, says), "%.*s", (int)strlen(text) - 1,
              text);
    messages_free(errors);
}

static void test_words(void) {
    Tokenizer *t = make_tokenizer("critters", NULL);
    Messages errors = { 0 };
    int32_t critter = tokenizer_single_token(t, " Critter", &errors);
    test_true("a single token", critter == tokenizer_find(t, "critter</w>") && critter > 0, "%d", critter);
    char *text = tokenizer_token_text(t, critter);
    test_true("a token's text", strcmp(text, "critter") == 0, "%s", text);
    free(text);
    int32_t two = tokenizer_single_token(t, "blue critter", &errors);
    test_refusal("two words", two, &errors, "is 2 tokens in this model's vocabulary ('blue', 'critter')");
    int32_t none = tokenizer_single_token(t, " ", &errors);
    test_refusal("no word", none, &errors, "has no token");

    CHECK(tokenizer_add(t, "<x>", 3, &errors) == tokenizer_vocab_size(t));
    static const char *const taken[][2] = {
        { "critter", "vocabulary already" }, { "CRITTER", "vocabulary already" },
        { "*", "vocabulary already" },       { "<|startoftext|>", "vocabulary already" },
        { "<|EndOfText|>", "vocabulary" },   { "<x>", "placeholder token already" },
        { "<X>", "is a placeholder" },       { "<x>_2", "is a placeholder" },
        { "", "has no characters" },         { " ", "has no characters" },
        { "\t\n", "has no characters" },     { "a<|endoftext|>b", "contains a special token" },
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

/* If an added word matches inside the name of a special token that does not match itself, the rest of the
   name is encoded like any other text. */
static void test_cut_names(void) {
    static const struct {
        char pad[16]; /* matches only in its exact case, so the name in another case is ordinary text */
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

/* A word of several vectors becomes the tokens of all of them, in any case of the letters, and a name with a
   space matches whole words only. */
static void test_expanding(void) {
    Tokenizer *t = make_tokenizer("critters", NULL);
    Messages errors = { 0 };
    Words words = { .width = 1 };
    const float learned[4] = { 0 };
    bool added = words_add(&words, t, "EasyNeg", learned, 4, 1, "a file", NULL, &errors) &&
                 words_add(&words, t, "<two>", learned, 2, 1, "a file", NULL, &errors) &&
                 words_add(&words, t, "my Cat", learned, 2, 1, "a file", NULL, &errors) &&
                 words_add(&words, t, "<one>", learned, 1, 1, "a file", NULL, &errors);
    CHECK(added);
    static const struct {
        const char *prompt, *expanded;
    } cases[] = {
        { "EasyNeg", "easyneg easyneg_1 easyneg_2 easyneg_3" },
        { "EASYNEG, easyneg",
          "easyneg easyneg_1 easyneg_2 easyneg_3, easyneg easyneg_1 easyneg_2 easyneg_3" },
        { "EasyNegative", "easyneg easyneg_1 easyneg_2 easyneg_3ative" },
        { "A Photo of  <TWO>  at Night", "A Photo of  <two> <two>_1  at Night" },
        { "<two>_1", "<two>_1" },
        { "<two> and <two>_1", "<two> <two>_1 and <two>_1" },
        { "<One> and <ONE>_1", "<One> and <ONE>_1" },
        { "MY CAT", "my cat my cat_1" },
        { "the economy category", "the economy category" },
        { "my category, economy cat", "my category, economy cat" },
        { "(my  cat)'s", "(my cat my cat_1)'s" },
        { "economy cat and my cat", "economy cat and my cat my cat_1" },
        { "my cat_1 1my cat", "my cat_1 1my cat" },
        { "", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *expanded = tokenizer_expand_placeholders(t, cases[i].prompt);
        test_true("a prompt expanded", strcmp(expanded, cases[i].expanded) == 0, "%s", expanded);
        int64_t n, m, length = tokenizer_max_length(t);
        int32_t *ids = tokenizer_encode_prompt(t, cases[i].prompt, &n),
                *window = prompt_ids(t, cases[i].prompt, &errors),
                *expected = tokenizer_encode_raw(t, cases[i].expanded, strlen(cases[i].expanded), &m);
        bool ok = n == m && memcmp(ids, expected, (size_t)n * sizeof *ids) == 0 && n <= length - 2 &&
                  memcmp(ids, window + 1, (size_t)n * sizeof *ids) == 0;
        test_true("its tokens", ok && !errors.count, "%lld", (long long)n);
        free(expanded);
        free(ids);
        free(window);
        free(expected);
    }
    words_free(&words);
    tokenizer_free(t);
}

static void test_uses(void) {
    Tokenizer *t = make_tokenizer("critters", NULL);
    Messages errors = { 0 };
    bool added = tokenizer_add(t, "<grum>", 3, &errors) >= 0 && tokenizer_add(t, "<mimi>", 1, &errors) >= 0 &&
                 tokenizer_add(t, "my cat", 1, &errors) >= 0 && tokenizer_add(t, "EasyNeg", 2, &errors) >= 0;
    CHECK(added);
    static const struct {
        const char *prompt, *token;
        bool uses;
        const char *nearest;
    } cases[] = {
        { "a photo of a <grum>", "<grum>", true, NULL },
        { "a <GRUM>'s hat", "<grum>", true, NULL },
        { "a <grum>_2", "<grum>", true, NULL },
        { "a photo of a grum, blue", "<grum>", false, "grum," },
        { "A Photo of a <Gurm>", "<grum>", false, "<Gurm>" },
        { "a [grum] at night", "<grum>", false, "[grum]" },
        { "a photo of a critter", "<grum>", false, NULL },
        { "a <mimi>", "<grum>", false, NULL },
        { "a photo of my  cat", "my cat", true, NULL },
        { "economy category", "my cat", false, NULL },
        { "a photo of my cats", "my cat", false, "my cats" },
        { "easy neg, easynegs", "EasyNeg", true, NULL },
        { "easyneq", "EasyNeg", false, "easyneq" },
        { "  ", "<grum>", false, NULL },
        { "", "<grum>", false, NULL },
        { "<grum>", "<other>", false, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool uses = prompt_uses(t, cases[i].prompt, cases[i].token);
        char *nearest = uses ? NULL : prompt_nearest(t, cases[i].prompt, cases[i].token);
        const char *want = cases[i].nearest;
        bool ok = want ? nearest && strcmp(nearest, want) == 0 : !nearest;
        test_true("a word in a prompt", uses == cases[i].uses && ok, "%s in \"%s\": %s, near %s",
                  cases[i].token, cases[i].prompt, uses ? "used" : "not used", nearest ? nearest : "nothing");
        free(nearest);
    }
    tokenizer_free(t);
}

/* A model's added tokens count as part of its vocabulary. */
static void test_model_words(void) {
    Messages errors = { 0 };
    const char *vocab = "{" SPECIALS ", \"a\": 2, \"b</w>\": 3, \"ab</w>\": 4}", *merges = "a b</w>\n";
    const char *added = "{\"<x>\": 5, \"Zork\": 6, \"<x>_1\": 7}";
    for (int64_t rows = 4; rows <= 10; rows++) {
        TokenizerConfig config = { .model_max_length = 8, .rows = rows };
        CHECK(tokenizer_config_added(&config, "added", added, strlen(added), &errors));
        Tokenizer *t = tokenizer_parse("v.json", vocab, strlen(vocab), "m.txt", merges, strlen(merges),
                                       &config, &errors);
        tokenizer_config_free(&config);
        /* If rows < 5, the vocabulary itself does not fit, which model_load reports, not the tokenizer. */
        if (rows >= 5 && rows < 8) {
            test_refusal("a word without a row", t ? 0 : -1, &errors,
                         rows == 7 ? "the added token \"<x>_1\" would have the id 7"
                                   : "(the first of several)");
            continue;
        }
        CHECK(t);
        test_true("words of the model",
                  tokenizer_vocab_size(t) == 8 && tokenizer_find(t, "Zork") == 6 &&
                      tokenizer_first_learned_id(t) == max_i64(rows, 8),
                  "%lld", (long long)tokenizer_vocab_size(t));
        static const char *const taken[] = { "<x>", "<X>", "zork", "<x>_1" };
        for (int i = 0; i < 4; i++) {
            int32_t id = tokenizer_add(t, taken[i], 1, &errors);
            test_refusal("a word of the model", id, &errors, "in the model's vocabulary already");
        }
        int32_t first = tokenizer_add(t, "<y>", 2, &errors), second = tokenizer_add(t, "<z>", 1, &errors);
        test_true("ids after the last row", first == max_i64(rows, 8) && second == first + 2, "%d, %d", first,
                  second);
        test_true("by their ids",
                  strcmp(tokenizer_token(t, 7), "<x>_1") == 0 &&
                      strcmp(tokenizer_token(t, second), "<z>") == 0,
                  "named");
        int64_t count;
        int32_t *ids = tokenizer_encode_prompt(t, "<X> ab", &count);
        test_true("a word of the model, expanded", count == 3 && ids[0] == 5 && ids[1] == 7 && ids[2] == 4,
                  "%lld", (long long)count);
        free(ids);
        int32_t single = tokenizer_single_token(t, "ZORK", &errors);
        test_true("a word of the model as one token", single == 6, "%d", single);
        tokenizer_free(t);
    }
    messages_free(&errors);
}

int main(void) {
    test_words();
    test_cut_names();
    test_expanding();
    test_uses();
    test_model_words();
    return test_finish();
}
