/* SPDX-License-Identifier: MIT */
/* Fuzzing targets: prompts in every syntax, and files of prompts. */
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/prompt.h"
#include "text/prompt_list.h"

static const char *const PROMPT_WORDS[] = {
    "(",      ")",           "[",       "]",     "\\",       "\\(",      ":1.2)",
    ":-3)",   ":.)",         ": 1e9 )", ":0.5]", "|",        "BREAK",    " BREAK ",
    "AND",    "embedding:x", ",",       ", ",    "<x>",      "<x>_1",    "((((((",
    "))))))", "[[[[[[",      "nan)",    ":inf)", "critter ", "\xc3\xa9", "\xe2\x80\x83",
    "\n",     NULL
};

/* The first byte of an input chooses the syntax and what becomes of long prompts. */
static void prompt_seeds(Seeds *s) {
    static const char *const texts[] = {
        "a ((blue)) cat [[in the snow]], (night:0.5) <x>",
        "a \\(blue\\) cat BREAK a (toy:1.2, (x:3), BREAK y",
        "a <x>, <x>, <x>, <x>, <x>, <x>, <x>, <x>, <x>, <x>, <x>, <x>, <x>_1 <x>_1 <x>",
        "(a embedding:x,, (b:1.5) c:2) d) e (f\nantidisestablishmentarianismantidisestablishmentarianism",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int way = 0; way < 9; way += 4) {
            char *text = mem_format("%c%s", '0' + way, texts[i]);
            seeds_text(s, text);
            free(text);
        }
}

static const Tokenizer *tokenizer(void) {
    static Tokenizer *t;
    Messages errors = { 0 };
    const TokenizerConfig config = { .model_max_length = 9 };
    if (t) return t;
    t = tokenizer_load("weights/critters/tokenizer/vocab.json", "weights/critters/tokenizer/merges.txt",
                       &config, &errors);
    CHECK(t && tokenizer_add(t, "<x>", 3, &errors) > 0);
    return t;
}

static void check_prompt(const Tokenizer *t, const Prompt *p) {
    int64_t length = tokenizer_max_length(t);
    CHECK(p->chunks >= 1 && p->chunks <= 100);
    Prompt empty = prompt_empty(t);
    for (int64_t k = 0; k < p->chunks; k++) {
        const int32_t *ids = p->ids + k * length;
        CHECK(p->counts[k] >= 0 && p->counts[k] <= length - 2);
        CHECK(ids[0] == empty.ids[0] && ids[p->counts[k] + 1] == empty.ids[1]);
        for (int64_t i = 0; p->weights && i < length; i++) {
            float weight = p->weights[k * length + i];
            CHECK(isfinite(weight) && ((i > 0 && i <= p->counts[k]) || weight == 1));
        }
    }
    prompt_free(&empty);
}

static bool try_prompt(const unsigned char *bytes, size_t size) {
    if (size == 0) return false;
    char *text = mem_format("%.*s", (int)size - 1, (const char *)bytes + 1);
    Messages errors = { 0 }, warnings = { 0 };
    PromptOptions o = { (PromptSyntax)(bytes[0] % 3), (LongPrompts)(bytes[0] / 3 % 3) };
    Prompt p;
    bool ok = verdict(prompt_read(tokenizer(), text, o, &p, &errors, &warnings), &errors, &warnings);
    if (ok) {
        check_prompt(tokenizer(), &p);
        prompt_free(&p);
    }
    free(text);
    return ok;
}

static const char *const LIST_WORDS[] = { "#", "\t",  "\n",           "\r\n", "\t\n",
                                          " ", "\n#", "\xef\xbb\xbf", "\xff", NULL };

static void list_seeds(Seeds *s) {
    seeds_text(s, "# prompts\na photo of a cat\n\n a toy\ta cat\r\nat\t\n");
    seeds_text(s, "\xef\xbb\xbfone \xc3\xa9");
}

static bool try_list(const unsigned char *bytes, size_t size) {
    Messages errors = { 0 };
    PromptList l;
    if (!verdict(prompt_list_parse("x", bytes, size, &l, &errors), &errors, NULL)) return false;
    CHECK(l.count >= 1 && l.count <= 1000);
    for (int64_t i = 0; i < l.count; i++) {
        CHECK(*l.lines[i].prompt && !strchr(l.lines[i].prompt, '\n'));
        CHECK(!l.lines[i].negative || !strpbrk(l.lines[i].negative, "\t\n"));
    }
    prompt_list_free(&l);
    return true;
}

const Target PROMPT_TARGETS[] = {
    { "prompt", 12, PROMPT_WORDS, prompt_seeds, NULL, try_prompt },
    { "prompt_list", 4, LIST_WORDS, list_seeds, NULL, try_list },
    { .name = NULL },
};
