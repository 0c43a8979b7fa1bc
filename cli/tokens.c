/* SPDX-License-Identifier: MIT */
/* `ti tokens`: shows the tokens that the text encoder gets for a prompt. */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    Given given;
    char *prompt, *model, *vae;
    StringList embeddings;
    int prompt_syntax, long_prompts; /* a PromptSyntax, a LongPrompts */
    bool json;
} TokensOptions;

#define AT(field) offsetof(TokensOptions, field)
static const Option OPTIONS[] = {
    { "prompt", OPTION_STRING, AT(prompt), "PROMPT", .required = true, .positional = true,
      .help = "the text of the prompt, in quotes" },
    MODEL_OPTION(AT(model)),
    VAE_OPTION(AT(vae)),
    { "embedding", OPTION_LIST, AT(embeddings), "[NAME=]FILE|FOLDER", .shown = "none",
      .help = "the file of a learned word, which NAME renames, or a FOLDER of words; may be given several "
              "times" },
    PROMPT_OPTIONS(AT(prompt_syntax), AT(long_prompts)),
    { "json", OPTION_FLAG, AT(json), .help = "print JSON, for programs" },
};

/* A prompt as tokens. S is the length of the window, the number of tokens that the text encoder takes. */
typedef struct {
    char *expanded;      /* the prompt in which all its placeholder tokens replace each learned word */
    int32_t *window;     /* [S]: the start token, the tokens that fit, the end token and padding */
    int32_t *all;        /* [count]: the tokens of the whole text */
    int64_t length;      /* S */
    int64_t count, kept; /* the number of the text's tokens, and of those that fit */
} Tokens;

static Tokens tokens_of(const Tokenizer *t, const char *prompt) {
    Tokens k = { .length = tokenizer_max_length(t) };
    k.expanded = tokenizer_expand_placeholders(t, prompt);
    k.window = mem_alloc((size_t)k.length * sizeof *k.window);
    k.all = tokenizer_encode_prompt(t, prompt, &k.count);
    tokenizer_window(t, k.all, k.count, k.window);
    k.kept = min_i64(k.count, k.length - 2);
    return k;
}

static void tokens_free(Tokens *k) {
    free(k->expanded);
    free(k->window);
    free(k->all);
}

static void print_token(const Tokenizer *t, int64_t position, int32_t id) {
    char *name = console_text(tokenizer_token(t, id));
    console_line(stdout, "%8lld  %6d  %s", (long long)position, id, name);
    free(name);
}

static void print_tokens(const Tokenizer *t, const Tokens *k, const char *prompt) {
    int64_t room = k->length - 2, padding = room - k->kept;
    if (strcmp(prompt, k->expanded) != 0) console_line(stdout, "expanded: %s", k->expanded);
    printf("%lld token%s; the window of %lld holds %lld besides the start and the end token\n\n",
           (long long)k->count, k->count == 1 ? "" : "s", (long long)k->length, (long long)room);
    printf("%8s  %6s  token\n", "position", "id");
    for (int64_t i = 0; i < k->kept + 2; i++) print_token(t, i, k->window[i]);
    if (padding > 0) {
        int32_t id = k->window[k->length - 1];
        char *name = console_text(tokenizer_token(t, id));
        char *positions = padding == 1
                              ? mem_format("%lld", (long long)k->length - 1)
                              : mem_format("%lld-%lld", (long long)k->kept + 2, (long long)k->length - 1);
        console_line(stdout, "%8s  %6d  %s (padding)", positions, id, name);
        free(positions);
        free(name);
    }
    if (k->kept < k->count) printf("\n%lld do not fit:\n", (long long)(k->count - k->kept));
    for (int64_t i = k->kept; i < k->count; i++) print_token(t, i + 1, k->all[i]);
}

/* Returns the tokens k->all[from..to) as a JSON list. */
static json_t *list_json(const Tokenizer *t, const Tokens *k, int64_t from, int64_t to) {
    json_t *list = json_array();
    for (int64_t i = from; i < to; i++)
        json_array_append_new(
            list, json_pack("{s:i, s:s}", "id", k->all[i], "token", tokenizer_token(t, k->all[i])));
    return list;
}

static json_t *tokens_json(const Tokenizer *t, const Tokens *k, const char *prompt) {
    json_t *ids = json_array();
    for (int64_t i = 0; i < k->length; i++) json_array_append_new(ids, json_integer(k->window[i]));
    return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "prompt", prompt, "expanded", k->expanded,
                     "window", k->length, "count", k->count, "ids", ids, "tokens",
                     list_json(t, k, 0, k->kept), "fallen_off", list_json(t, k, k->kept, k->count));
}

/* Prompts in chunks or with weights */

static void print_chunk(const Tokenizer *t, const Prompt *p, int64_t k) {
    int64_t length = tokenizer_max_length(t), last = p->counts[k] + 1;
    printf("\nchunk %lld: %lld token%s\n\n%8s  %6s  %6s  token\n", (long long)k + 1, (long long)p->counts[k],
           p->counts[k] == 1 ? "" : "s", "position", "id", "weight");
    for (int64_t i = 0; i < length; i++) {
        int32_t id = p->ids[k * length + i];
        char *name = console_text(tokenizer_token(t, id)), weight[20] = "";
        if (p->weights && p->weights[k * length + i] != 1)
            snprintf(weight, sizeof weight, "%.4g", (double)p->weights[k * length + i]);
        console_line(stdout, "%8lld  %6d  %6s  %s%s", (long long)i, id, weight, name,
                     i > last ? " (padding)" : "");
        free(name);
        if (i > last) break; /* all padding is alike */
    }
}

static void print_chunks(const Tokenizer *t, const Prompt *p) {
    int64_t count = 0, room = tokenizer_max_length(t) - 2;
    for (int64_t k = 0; k < p->chunks; k++) count += p->counts[k];
    printf("%lld token%s in %lld chunk%s of %lld besides the start and the end token%s\n",
           (long long)(count + p->left_out), count + p->left_out == 1 ? "" : "s", (long long)p->chunks,
           p->chunks == 1 ? "" : "s", (long long)room, p->weights ? "" : "; all weights are 1");
    for (int64_t k = 0; k < p->chunks; k++) print_chunk(t, p, k);
    if (p->left_out) printf("\n%lld more do not fit\n", (long long)p->left_out);
}

static json_t *chunks_json(const Tokenizer *t, const Prompt *p, const char *prompt, int syntax) {
    int64_t length = tokenizer_max_length(t);
    json_t *chunks = json_array();
    for (int64_t k = 0; k < p->chunks; k++) {
        json_t *ids = json_array(), *weights = json_array(), *names = json_array();
        for (int64_t i = 0; i < length; i++) {
            json_array_append_new(ids, json_integer(p->ids[k * length + i]));
            json_array_append_new(weights, json_real(p->weights ? (double)p->weights[k * length + i] : 1));
        }
        for (int64_t i = 1; i <= p->counts[k]; i++)
            json_array_append_new(names, json_string(tokenizer_token(t, p->ids[k * length + i])));
        json_array_append_new(chunks,
                              json_pack("{s:o, s:o, s:o}", "ids", ids, "weights", weights, "tokens", names));
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:o}", "prompt", prompt, "syntax", PROMPT_SYNTAX_NAMES[syntax],
                     "window", length, "left_out", p->left_out, "chunks", chunks);
}

/* Shows a prompt that is not plain, or may have several chunks. */
static void show_chunks(const TokensOptions *o, const Tokenizer *t, Messages *errors, Messages *warnings) {
    PromptOptions read = { (PromptSyntax)o->prompt_syntax, (LongPrompts)o->long_prompts };
    Prompt p;
    if (!prompt_read(t, o->prompt, read, &p, errors, warnings)) return;
    if (o->json)
        console_json(chunks_json(t, &p, o->prompt, o->prompt_syntax));
    else
        print_chunks(t, &p);
    prompt_free(&p);
}

static void show_tokens(const TokensOptions *o, const Tokenizer *t) {
    Tokens k = tokens_of(t, o->prompt);
    if (o->json)
        console_json(tokens_json(t, &k, o->prompt));
    else
        print_tokens(t, &k, o->prompt);
    tokens_free(&k);
}

static int tokens(void *options, Messages *errors, Messages *warnings) {
    const TokensOptions *o = options;
    Model m;
    if (!open_model(o->model, o->vae, PREDICTION_UNUSED, &m, errors, warnings)) return 1;
    Words words = { .width = m.clip.config.hidden_size };
    const char *const prompts[] = { o->prompt, NULL };
    for (int64_t i = 0; i < o->embeddings.count; i++)
        words_load(&words, m.tokenizer, o->embeddings.items[i], prompts, errors, warnings);
    bool plain = o->prompt_syntax == SYNTAX_PLAIN && o->long_prompts != LONG_PROMPTS_CHUNKS;
    if (errors->count == 0 && plain) show_tokens(o, m.tokenizer);
    if (errors->count == 0 && !plain) show_chunks(o, m.tokenizer, errors, warnings);
    words_free(&words);
    model_close(&m);
    return 0;
}

const Command TOKENS_COMMAND = {
    .name = "tokens",
    .brief = "show the tokens of a prompt",
    .summary =
        "Prints the tokens of a prompt and their ids as the text encoder gets them, and the tokens that do "
        "not fit into its window; with --prompt-syntax or --long-prompts chunks, each chunk and the weights.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(TokensOptions),
    .examples = "  ti tokens 'a photo of a red critter'\n"
                "  ti tokens --prompt-syntax a1111 'a (red:1.3) critter'\n"
                "  ti tokens --embedding out/grum/grum.safetensors 'a photo of a <grum>' --json\n",
    .run = tokens,
};
