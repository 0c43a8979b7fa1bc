/* SPDX-License-Identifier: MIT */
/* `ti mix`: adds learned words up, picks vectors of them, and sets their norm. */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/console.h"
#include "exchange/word_file.h"
#include "weights/mix.h"
#include "weights/neighbours.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    Given given;
    StringList files, rows;
    char *out, *word, *norm, *model, *vae;
    bool force;
} MixValues;

#define AT(field) offsetof(MixValues, field)
static const Option OPTIONS[] = {
    { "files", OPTION_LIST, AT(files), "FILE[:FACTOR]", .required = true, .positional = true,
      .help = "the files of learned words, and by what each is multiplied (1) before they are added" },
    { "out", OPTION_STRING, AT(out), "FILE", .required = true, .help = "the .safetensors file to write" },
    { "word", OPTION_STRING, AT(word), "NAME", .shown = "the first word's",
      .help = "the name of the new word" },
    { "rows", OPTION_LIST, AT(rows), "I[,I...]", .commas = true, .shown = "all",
      .help = "the vectors of the sum to keep, counted from 0, in this order" },
    { "norm", OPTION_STRING, AT(norm), "X|median", .shown = "as it is",
      .help = "the norm to give to every vector: a number, or with --model the median of its vocabulary" },
    { "model", OPTION_STRING, AT(model), "PATH", .shown = "none", .help = "the model for --norm median" },
    VAE_OPTION(AT(vae)),
    { "force", OPTION_FLAG, AT(force), .help = "overwrite a file that exists" },
};

/* Splits FILE:FACTOR at its last colon if a number follows it. Returns the path, which the caller frees. */
static char *split_factor(const char *argument, double *factor) {
    const char *colon = strrchr(argument, ':');
    if (colon && text_is_number(colon + 1, factor))
        return mem_format("%.*s", (int)(colon - argument), argument);
    *factor = 1;
    return mem_string(argument);
}

/* Reads the words and adds them up. */
static bool add_up(const MixValues *o, Embeddings *sum, Messages *errors, Messages *warnings) {
    int64_t count = o->files.count, read = 0;
    MixPart *parts = mem_alloc((size_t)count * sizeof *parts);
    Embeddings *words = mem_alloc((size_t)count * sizeof *words);
    bool ok = true;
    for (; read < count && ok; read++) {
        char *path = split_factor(o->files.items[read], &parts[read].factor);
        ok = words_read(path, &words[read], errors, warnings);
        if (ok && words[read].count > 1)
            ok = messages_add(errors, "%s: holds %lld words; give a file with one", path,
                              (long long)words[read].count);
        parts[read].word = words[read].words;
        free(path);
    }
    ok = ok && words_mix(parts, count, sum, errors);
    for (int64_t i = 0; i < read; i++) embeddings_free(&words[i]);
    free(words);
    free(parts);
    return ok;
}

static bool keep_rows(const MixValues *o, Embedding *e, Messages *errors) {
    int64_t *rows = mem_alloc((size_t)o->rows.count * sizeof *rows);
    for (int64_t i = 0; i < o->rows.count; i++) rows[i] = strtoll(o->rows.items[i], NULL, 10);
    bool ok = o->rows.count == 0 || word_keep_rows(e, rows, o->rows.count, errors);
    free(rows);
    return ok;
}

/* Returns the median of the norms of the model's vocabulary, or 0 after adding a message. */
static double median_norm(const MixValues *o, int64_t width, Messages *errors, Messages *warnings) {
    Model m;
    double median = 0;
    if (!open_model(o->model, o->vae, PREDICTION_UNUSED, &m, errors, warnings)) return 0;
    if (m.clip.config.hidden_size == width)
        median = vocabulary_median_norm(m.clip.token_embedding, tokenizer_vocab_size(m.tokenizer));
    else
        messages_add(errors, "%s: its vectors have %lld numbers, the word's %lld (another model family?)",
                     o->model, (long long)m.clip.config.hidden_size, (long long)width);
    model_close(&m);
    return median;
}

static bool set_norm(const MixValues *o, Embedding *e, Messages *errors, Messages *warnings) {
    double norm;
    if (!o->norm) return true;
    if (!text_is_number(o->norm, &norm)) norm = median_norm(o, e->width, errors, warnings);
    return norm > 0 && word_set_norm(e, norm, errors);
}

static int mix(void *values, Messages *errors, Messages *warnings) {
    const MixValues *o = values;
    Embeddings sum = { 0 };
    if (may_write(o->out, o->force, errors) && add_up(o, &sum, errors, warnings)) {
        Embedding *e = sum.words;
        const char *name = o->word ? o->word : e->token;
        if (keep_rows(o, e, errors) && set_norm(o, e, errors, warnings) &&
            embedding_write(o->out, name, e->learned, e->vectors, e->width, errors))
            console_path(o->out);
    }
    embeddings_free(&sum);
    return 0;
}

static void check(void *values, Messages *errors) {
    const MixValues *o = values;
    double norm = 0;
    bool median = o->norm && strcmp(o->norm, "median") == 0;
    if (o->norm && !median && (!text_is_number(o->norm, &norm) || norm <= 0))
        messages_add(errors, "--norm %s: must be a number above 0, or median", o->norm);
    if (median && !o->model) messages_add(errors, "--norm median: needs --model, whose vocabulary it is");
    for (int64_t i = 0; i < o->rows.count; i++) {
        const char *row = o->rows.items[i];
        if (!*row || row[strspn(row, "0123456789")] || strlen(row) > 9)
            messages_add(errors, "--rows %s: is not the number of a vector", row);
    }
    if (o->word && !*o->word) messages_add(errors, "--word: the name is empty");
}

const Command MIX_COMMAND = {
    .name = "mix",
    .brief = "add learned words up, or pick vectors of one",
    .summary =
        "Makes a learned word from others: their sum, each times a factor; some of its vectors; or the same "
        "vectors with another norm.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(MixValues),
    .examples = "  ti mix grum.safetensors:0.7 zog.safetensors:0.3 --word '<grog>' --out grog.safetensors\n"
                "  ti mix grum.safetensors --norm median --model weights/critters --out calm.safetensors\n"
                "  ti mix grum.safetensors --rows 0,2 --out short.safetensors\n",
    .check = check,
    .run = mix,
};
