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
    { "json", OPTION_FLAG, AT(json), .help = "print JSON, for programs" },
};

/* A prompt as tokens. S: the length of the window. */
typedef struct {
    char *expanded;      /* the prompt with all placeholder tokens in the place of each learned word */
    int32_t *window;     /* [S]: the start token, the tokens that fit, the end token and padding */
    int32_t *all;        /* [count]: the tokens of the whole text */
    int64_t length;      /* S */
    int64_t count, kept; /* of the text's tokens: all, and those that fit */
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

static void print_token(const Tokenizer *t, int64_t place, int32_t id) {
    char *name = console_text(tokenizer_token(t, id));
    console_line(stdout, "%6lld  %6d  %s", (long long)place, id, name);
    free(name);
}

static void print_tokens(const Tokenizer *t, const Tokens *k, const char *prompt) {
    int64_t room = k->length - 2, padding = room - k->kept;
    if (strcmp(prompt, k->expanded) != 0) console_line(stdout, "expanded: %s", k->expanded);
    printf("%lld token%s; the window of %lld holds %lld besides the start and the end token\n\n",
           (long long)k->count, k->count == 1 ? "" : "s", (long long)k->length, (long long)room);
    printf("%6s  %6s  token\n", "place", "id");
    for (int64_t i = 0; i < k->kept + 2; i++) print_token(t, i, k->window[i]);
    if (padding > 0) {
        int32_t id = k->window[k->length - 1];
        char *name = console_text(tokenizer_token(t, id));
        char *places = padding == 1
                           ? mem_format("%lld", (long long)k->length - 1)
                           : mem_format("%lld-%lld", (long long)k->kept + 2, (long long)k->length - 1);
        console_line(stdout, "%6s  %6d  %s (padding)", places, id, name);
        free(places);
        free(name);
    }
    if (k->kept < k->count) printf("\n%lld do not fit:\n", (long long)(k->count - k->kept));
    for (int64_t i = k->kept; i < k->count; i++) print_token(t, i + 1, k->all[i]);
}

/* The tokens k->all[from..to) */
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

static int tokens(void *options, Messages *errors, Messages *warnings) {
    const TokensOptions *o = options;
    Model m;
    if (!open_model(o->model, o->vae, PREDICTION_UNUSED, &m, errors, warnings)) return 1;
    Words words = { .width = m.clip.config.hidden_size };
    const char *const prompts[] = { o->prompt, NULL };
    for (int64_t i = 0; i < o->embeddings.count; i++)
        words_load(&words, m.tokenizer, o->embeddings.items[i], prompts, errors, warnings);
    if (errors->count == 0) {
        Tokens k = tokens_of(m.tokenizer, o->prompt);
        if (o->json)
            console_json(tokens_json(m.tokenizer, &k, o->prompt));
        else
            print_tokens(m.tokenizer, &k, o->prompt);
        tokens_free(&k);
    }
    words_free(&words);
    model_close(&m);
    return 0;
}

const Command TOKENS_COMMAND = {
    .name = "tokens",
    .brief = "show the tokens of a prompt",
    .summary =
        "Prints the tokens of a prompt and their ids as the text encoder gets them, and the tokens that do "
        "not fit into its window.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(TokensOptions),
    .examples = "  ti tokens 'a photo of a red critter'\n"
                "  ti tokens --embedding out/grum/grum.safetensors 'a photo of a <grum>' --json\n",
    .run = tokens,
};
