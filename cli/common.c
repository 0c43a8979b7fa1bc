#define _POSIX_C_SOURCE 200809L
#include "cli/common.h"

#include "cli/console.h"
#include "tensor/file.h"
#include "weights/embedding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void print_lines(const char *before, const Messages *m) {
    for (const char *line = m->text; line && *line;) {
        const char *end = strchr(line, '\n');
        fprintf(stderr, "ti: %s%.*s\n", before, (int)(end - line), line);
        line = end + 1;
    }
}

bool report(const Messages *errors, Messages *warnings) {
    if (warnings) {
        print_lines("warning: ", warnings);
        messages_free(warnings);
    }
    print_lines("", errors);
    return errors->count == 0;
}

bool usage_ok(const Command *c, OptionsResult result, const Messages *errors, int *status) {
    *status = result == OPTIONS_WRONG ? 2 : 0;
    if (result == OPTIONS_HELP) {
        Messages full = { 0 };
        options_help(c, stdout);
        *status = console_finish(&full) ? 0 : 1;
        report(&full, NULL);
        messages_free(&full);
    }
    if (result == OPTIONS_WRONG) {
        report(errors, NULL);
        fprintf(stderr, "ti: see ti %s --help\n", c->name);
    }
    return result == OPTIONS_OK;
}

char *find_model(const char *path, Messages *errors) {
    if (path) {
        fprintf(stderr, "ti: model %s\n", path);
        return mem_string(path);
    }
    char *embedded = file_of_program("critters");
    if (embedded)
        fprintf(stderr, "ti: the embedded model, %s (another: --model PATH)\n", embedded);
    else
        messages_add(
            errors, "the embedded model is neither beside the program nor in ../share/ti: give --model PATH");
    return embedded;
}

const char *const PREDICTIONS[] = { "auto", [1 + PREDICT_EPSILON] = "epsilon",
                                    [1 + PREDICT_V] = "v_prediction", NULL };

bool open_model(const char *path, int prediction, Model *m, Messages *errors, Messages *warnings) {
    if (!model_open(path, m, errors, warnings)) return false;
    if (prediction > 0)
        model_set_prediction(m, (Prediction)(prediction - 1));
    else if (m->folder.prediction_guessed)
        messages_add(
            warnings,
            "%s: says nothing of what its UNet predicts; taken as Stable Diffusion 2.x of 768 pixels, which "
            "predicts v (one of 512 pixels: --prediction epsilon)",
            path);
    return true;
}

bool words_add(Words *w, Model *m, const char *token, const float *rows, int64_t n, int64_t width,
               const char *from, Messages *errors) {
    int64_t own = m->clip.config.hidden_size;
    if (width != own)
        return messages_add(
            errors, "%s: \"%s\" has vectors of %lld numbers, this model's have %lld (another model family?)",
            from, token, (long long)width, (long long)own);
    if (n > 1000)
        return messages_add(errors, "%s: \"%s\" has %lld vectors, more than a prompt holds", from, token,
                            (long long)n);
    if (tokenizer_add(m->tokenizer, token, (int)n, errors) < 0) return false;
    w->rows = mem_grow(w->rows, (size_t)((w->vectors + n) * own) * sizeof(float));
    memcpy(w->rows + w->vectors * own, rows, (size_t)(n * own) * sizeof(float));
    w->vectors += n;
    return true;
}

bool words_load(Words *w, Model *m, const char *path, Messages *errors) {
    Embeddings file;
    if (!embeddings_read(path, &file, errors)) return false;
    bool ok = true;
    for (int64_t i = 0; i < file.count && ok; i++) {
        const Embedding *e = &file.words[i];
        ok = words_add(w, m, e->token, e->rows, e->vectors, e->width, path, errors);
        char *token = console_text(e->token);
        if (ok) fprintf(stderr, "ti: word \"%s\" from %s\n", token, path);
        free(token);
    }
    embeddings_free(&file);
    return ok;
}

void words_free(Words *w) {
    free(w->rows);
    *w = (Words) { 0 };
}

int32_t *prompt_ids(const Model *m, const char *prompt, Messages *warnings) {
    int64_t length = tokenizer_max_length(m->tokenizer);
    int32_t *ids = mem_alloc((size_t)length * sizeof *ids);
    char *expanded = tokenizer_expand_placeholders(m->tokenizer, prompt);
    int64_t tokens = tokenizer_encode(m->tokenizer, expanded, ids);
    if (tokens > length - 2)
        messages_add(warnings,
                     "the prompt \"%s\" has %lld tokens; the last %lld fall off the end of the window",
                     prompt, (long long)tokens, (long long)(tokens - (length - 2)));
    free(expanded);
    return ids;
}

bool may_make(const char *path, bool force, Messages *errors) {
    struct stat status;
    if (force || lstat(path, &status) != 0) return true;
    return messages_add(errors, "%s: exists already (--force replaces it)", path);
}

bool may_write(const char *path, bool force, Messages *errors) {
    return output_possible(path, errors) && may_make(path, force, errors);
}

const char *bytes_text(int64_t bytes, char text[BYTES_TEXT]) {
    if (bytes >= 1000000000)
        snprintf(text, BYTES_TEXT, "%.2f GB", (double)bytes / 1e9);
    else
        snprintf(text, BYTES_TEXT, "%.0f MB", (double)bytes / 1e6);
    return text;
}
