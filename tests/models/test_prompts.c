/* SPDX-License-Identifier: MIT */
/* Tests prompts with weights and prompts longer than the window against golden/prompts.py, a separate
   writing of A1111's and ComfyUI's rules: the tokens and weights of each chunk, and the context. Then what
   is refused, and that no way of filling chunks cuts a learned word. test_picture compares whole pictures. */
#include "diffusion/emphasis.h"
#include "tests/network.h"
#include "tests/run_graph.h"

#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = 1e-5;

/* Runs the text encoder on the chunks of a prompt and an empty one, and applies the weights. */
static void test_context(const Model *m, const Golden *golden, const Prompt *p, const char *name) {
    int64_t length = tokenizer_max_length(m->tokenizer), width = m->clip.config.hidden_size;
    int32_t *ids = mem_alloc((size_t)((p->chunks + 1) * length) * sizeof *ids);
    memcpy(ids, p->ids, (size_t)(p->chunks * length) * sizeof *ids);
    Prompt empty = prompt_empty(m->tokenizer);
    memcpy(ids + p->chunks * length, empty.ids, (size_t)length * sizeof *ids);
    Graph *g = graph_new();
    Tensor *learned = golden_constant(g, golden, "rows");
    Tensor *states = clip_text(g, &m->clip, ids, p->chunks + 1, length, learned);
    float *context = run_graph(g, states, NULL, NULL, 0, PRECISION_F32, name);
    for (int64_t k = 0; p->weights && k < p->chunks; k++)
        weight_context(p->syntax, p->weights + k * length, context + p->chunks * length * width, length,
                       width, context + k * length * width);
    golden_close(golden, name, context, shape2(p->chunks * length, width), TOLERANCE);
    free(context);
    golden_leaf_free(learned);
    graph_free(g);
    prompt_free(&empty);
    free(ids);
}

static void test_prompt(const Model *m, const Golden *golden, const char *model, PromptSyntax syntax,
                        int number) {
    const char *text = golden_meta(golden, "prompt/%d", number);
    char *prefix = mem_format("%s/%s/%d", model, PROMPT_SYNTAX_NAMES[syntax], number);
    int64_t length = tokenizer_max_length(m->tokenizer), count;
    int32_t *ids = golden_ints(golden, &count, "%s/ids", prefix);
    float *weights = golden_floats(golden, "%s/weights", prefix);
    Messages errors = { 0 }, warnings = { 0 };
    Prompt p = { 0 };
    PromptOptions options = { syntax, LONG_PROMPTS_CHUNKS };
    bool ok = prompt_read(m->tokenizer, text, options, &p, &errors, &warnings);
    test_true(prefix, ok && p.chunks * length == count, "%lld chunks, not %lld%s", (long long)p.chunks,
              (long long)(count / length), ok ? "" : errors.text);
    if (ok && p.chunks * length == count) {
        test_same(prefix, p.ids, ids, (size_t)count * sizeof *ids);
        double worst = 0;
        for (int64_t i = 0; i < count; i++)
            worst = test_worse(worst, (double)(p.weights ? p.weights[i] : 1) - (double)weights[i]);
        for (int64_t i = 0; i < count; i++)
            worst = test_worse(worst, (double)weights[i] - (double)(p.weights ? p.weights[i] : 1));
        test_below(prefix, worst, 0);
        char *context = mem_format("%s/context", prefix);
        if (golden_has(golden, "%s", context)) test_context(m, golden, &p, context);
        free(context);
    }
    prompt_free(&p);
    messages_free(&errors);
    messages_free(&warnings);
    free(weights);
    free(ids);
    free(prefix);
}

static void test_model(const Golden *golden, const char *model, const char *path) {
    Messages errors = { 0 };
    Model m = network_open(path, &errors);
    CHECK(tokenizer_add(m.tokenizer, "<thing>", 2, &errors) >= 0);
    for (int syntax = SYNTAX_PLAIN; syntax <= SYNTAX_COMFY; syntax++)
        for (int i = 0; golden_has(golden, "%s/%s/%d/ids", model, PROMPT_SYNTAX_NAMES[syntax], i); i++)
            test_prompt(&m, golden, model, (PromptSyntax)syntax, i);
    model_close(&m);
    messages_free(&errors);
}

static void refuses(const Tokenizer *t, PromptSyntax syntax, const char *text, const char *says) {
    Messages errors = { 0 }, warnings = { 0 };
    Prompt p;
    bool ok = prompt_read(t, text, (PromptOptions) { .syntax = syntax }, &p, &errors, &warnings);
    test_true("refused", says ? !ok && errors.count == 1 && strstr(errors.text, says) : ok, "%.60s: %s", text,
              ok ? "accepted" : errors.text);
    if (ok) prompt_free(&p);
    messages_free(&errors);
    messages_free(&warnings);
}

/* Brackets that are nested deeply, and prompts that are very long. */
static void refuses_excess(const Tokenizer *t) {
    static const char brackets[] = "([";
    for (int i = 0; i < 2; i++) {
        char text[202] = "";
        for (int k = 0; k < 100; k++) text[k] = brackets[i], text[k + 100] = i ? ']' : ')';
        refuses(t, SYNTAX_A1111, text, NULL);
        memset(text, brackets[i], 101);
        refuses(t, SYNTAX_A1111, text, "its brackets are nested too deep");
    }
    char nested[210] = "";
    for (int k = 0; k < 101; k++) nested[k] = '(', nested[k + 101] = ')';
    refuses(t, SYNTAX_COMFY, nested, "its brackets are nested too deep");
    char *cats = mem_alloc(2501);
    for (int i = 0; i < 2500; i += 5) memcpy(cats + i, "x y z", 5);
    refuses(t, SYNTAX_A1111, cats, "is longer than 100 chunks of 8 tokens");
    refuses(t, SYNTAX_PLAIN, cats, NULL);
    free(cats);
}

static void test_refused(void) {
    Messages errors = { 0 };
    Model m = network_open("golden/models/lcm", &errors);
    const Tokenizer *t = m.tokenizer;
    CHECK(tokenizer_add(m.tokenizer, "<big>", 9, &errors) >= 0);
    static const struct {
        PromptSyntax syntax;
        const char *text, *says; /* says is NULL for a prompt that is read */
    } cases[] = {
        { SYNTAX_A1111, "a [cat:toy:3]", "changes at a step as in [a:b:n]" },
        { SYNTAX_A1111, "a [cat:.5]", "changes at a step" },
        { SYNTAX_A1111, "a [cat::0.5]", "changes at a step" },
        { SYNTAX_A1111, "a [(cat:2): 3] b", "changes at a step" },
        { SYNTAX_A1111, "a [cat:toy]", NULL },
        { SYNTAX_A1111, "a [(cat:2)]", NULL },
        { SYNTAX_A1111, "a (cat:2", "ends with a number after a colon" },
        { SYNTAX_A1111, "a cat : -2. ", "ends with a number after a colon" },
        { SYNTAX_A1111, "a cat: 2b", NULL },
        { SYNTAX_A1111, "a [cat|toy]", "alternates between texts" },
        { SYNTAX_A1111, "a (cat|toy) | b", NULL },
        { SYNTAX_A1111, "a \\[cat|toy]", NULL },
        { SYNTAX_A1111, "a AND b", "joins texts with AND" },
        { SYNTAX_A1111, "aAND ANDb AND_ and LAND END", NULL },
        { SYNTAX_A1111, "a (cat:1.2.3)", "has a weight that is no number" },
        { SYNTAX_A1111, "a (cat:.)", "has a weight that is no number" },
        { SYNTAX_A1111, "a cat:1.2.3) b", NULL },
        { SYNTAX_A1111, "a (cat BREAK toy)", "has a BREAK within brackets" },
        { SYNTAX_A1111, "a [cat BREAK toy", "has a BREAK within brackets" },
        { SYNTAX_A1111, "(a:99999999999999999999) ((b:99999999999999999999):1.0)", NULL },
        { SYNTAX_A1111, "((a:99999999999999999999):99999999999999999999)",
          "has a weight that is not finite" },
        { SYNTAX_A1111, "a (<big>:1.2)",
          "the word \"<big>\" has 9 vectors, but a chunk of a prompt holds 8" },
        { SYNTAX_COMFY, "a (cat:inf)", "has a weight that is not finite" },
        { SYNTAX_COMFY, "a (cat:nan)", "has a weight that is not finite" },
        { SYNTAX_COMFY, "a (cat:0x10)", NULL },
        { SYNTAX_COMFY, "a [cat:3] AND b BREAK", NULL },
        { SYNTAX_COMFY, "a embedding:big2", "embedding:big2: no learned word has this name" },
        { SYNTAX_COMFY, "embedding:", "embedding:: no learned word has this name" },
        { SYNTAX_COMFY, "embedding:<big>_1", "no learned word has this name" },
        { SYNTAX_COMFY, "embedding:big", "has 9 vectors" },
        { SYNTAX_PLAIN, "a (cat:1.2.3) AND [a|b]", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses(t, cases[i].syntax, cases[i].text, cases[i].says);
    refuses_excess(t);
    model_close(&m);
    messages_free(&errors);
}

/* What a plain prompt says of itself, and what is cut. */
static void test_plain(void) {
    Messages errors = { 0 }, warnings = { 0 };
    Model m = network_open("golden/models/lcm", &errors);
    static const struct {
        const char *text;
        bool weighted;
    } cases[] = {
        { "a (cat:1.2) at", true }, { "a ((cat))", true },     { "a [[cat]]", true },
        { "a BREAK b", true },      { "embedding:cat", true }, { "a (cat) [at] :1.2", false },
        { "at 1:2) a", false },     { "BREAKs", false },       { "a (cat : 1.2 ) b", true },
        { "a: (cat)", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        test_true("looks weighted", prompt_looks_weighted(cases[i].text) == cases[i].weighted, "%s",
                  cases[i].text);
    static const PromptOptions cut[] = { { SYNTAX_PLAIN, LONG_PROMPTS_DEFAULT },
                                         { SYNTAX_A1111, LONG_PROMPTS_CUT },
                                         { SYNTAX_COMFY, LONG_PROMPTS_CUT } };
    for (int i = 0; i < 3; i++) {
        Prompt p;
        CHECK(prompt_read(m.tokenizer, "at at at at at at at at at at", cut[i], &p, &errors, &warnings));
        test_true("cut",
                  p.chunks == 1 && p.counts[0] == 8 && p.left_out == 2 && warnings.count == 1 &&
                      strstr(warnings.text, "has 10 tokens; the last 2 do not fit"),
                  "%s: %s", PROMPT_SYNTAX_NAMES[cut[i].syntax], warnings.text);
        prompt_free(&p);
        messages_free(&warnings);
    }
    model_close(&m);
    messages_free(&errors);
}

/* Reads a prompt that is one chunk of so many tokens, of which `first` is the first one. */
static void one_chunk(const Tokenizer *t, const char *text, int64_t count, int32_t first) {
    Messages errors = { 0 }, warnings = { 0 };
    PromptOptions options = { SYNTAX_A1111, LONG_PROMPTS_CHUNKS };
    Prompt p;
    CHECK(prompt_read(t, text, options, &p, &errors, &warnings));
    test_true("one chunk", p.chunks == 1 && p.counts[0] == count && p.ids[1] == first, "%s: %lld tokens, %d",
              text, (long long)p.counts[0], p.ids[1]);
    prompt_free(&p);
    messages_free(&errors);
    messages_free(&warnings);
}

static void test_chunk(void) {
    Messages errors = { 0 };
    Model m = network_open("golden/models/lcm", &errors);
    /* Token 0 is the '!' that another sign follows, and does not end a chunk as BREAK does. */
    one_chunk(m.tokenizer, "!# at", 3, 0);
    /* Neighbours of the same weight are one text. */
    one_chunk(m.tokenizer, "(a)(t)", 1, tokenizer_find(m.tokenizer, "at</w>"));
    model_close(&m);
    messages_free(&errors);
}

int main(void) {
    Golden *golden = golden_open("golden/prompts.safetensors");
    test_model(golden, "critters", "weights/critters");
    test_model(golden, "lcm", "golden/models/lcm");
    test_refused();
    test_plain();
    test_chunk();
    golden_free(golden);
    return test_finish();
}
