/* SPDX-License-Identifier: MIT */
#include "weights/embedding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* NUMBERS_MAX holds for all words of a file together, since the tensors of a pickle can share their numbers.
   */
enum { VECTORS_MAX = 1000, WIDTH_MAX = 65536, WORDS_MAX = 10000, NUMBERS_MAX = 100000000 };

/* Returns whether a tensor's name is the word, as in diffusers' files. The names listed here are those that
   other programs give to the tensor of every word. */
static bool names_a_word(const char *name) {
    static const char *const others[] = { "emb_params", "emp_params", "*",
                                          "weight",     "embedding",  "embeddings",
                                          "vectors",    "tensor",     "string_to_param.*" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(name, others[i]) == 0) return false;
    return true;
}

/* Returns the file's name without folder and ending: "cat-toy" for "dir/cat-toy.safetensors". */
static char *word_of_path(const char *path) {
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    const char *dot = strrchr(name, '.');
    return mem_format("%.*s", dot && dot > name ? (int)(dot - name) : (int)strlen(name), name);
}

/* Converts doubles, which need not be aligned, to floats. Values too large for a float become infinite. */
static void narrow(const void *doubles, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        double x;
        memcpy(&x, (const char *)doubles + (size_t)i * sizeof x, sizeof x);
        out[i] = (float)x;
    }
}

/* Returns whether the file holds a per-layer word of extended textual inversion (XTI, Voynov et al. 2023),
   which has a vector for each of the UNet's 16 cross-attention layers. */
static bool is_per_layer(const Safetensors *s) {
    static const char *const layers[] = { "IN01", "MID", "OUT11" };
    for (int i = 0; i < 3; i++)
        if (!safetensors_find(s, layers[i])) return false;
    return true;
}

static bool read_word(const char *path, const SafeTensor *t, Embedding *e, Messages *errors) {
    const char *name = t->weight.name;
    Shape shape = t->weight.shape;
    char text[SHAPE_TEXT];
    bool is_double = strcmp(t->dtype, "F64") == 0;
    if (!t->is_float && !is_double)
        return messages_add(errors, "%s: \"%s\" is of type %s (F64, F32, F16 and BF16 are supported)", path,
                            name, t->dtype);
    e->vectors = shape.rank == 2 ? shape.dim[0] : 1;
    e->width = shape.rank ? shape.dim[shape.rank - 1] : 0;
    if (shape.rank < 1 || shape.rank > 2 || e->vectors < 1 || e->vectors > VECTORS_MAX || e->width < 1 ||
        e->width > WIDTH_MAX)
        return messages_add(errors,
                            "%s: \"%s\" has the shape %s, but a learned embedding's is [vectors, width]",
                            path, name, shape_text(shape, text));
    e->token_from_path = !names_a_word(name);
    e->token = e->token_from_path ? word_of_path(path) : mem_string(name);
    if (!*e->token) return messages_add(errors, "%s: the word has an empty name", path);
    e->learned = mem_alloc((size_t)(e->vectors * e->width) * sizeof(float));
    if (is_double)
        narrow(t->weight.data, e->vectors * e->width, e->learned);
    else
        weight_read(&t->weight, e->learned);
    for (int64_t i = 0; i < e->vectors * e->width; i++)
        if (!isfinite(e->learned[i]))
            return messages_add(errors, "%s: \"%s\" holds a value that is not finite", path, name);
    return true;
}

/* Adds a message when the tensors are a word of a kind that is no row of the text encoder's table. */
static bool check_kind(const char *path, const Safetensors *s, Messages *errors) {
    if (!s->count) return messages_add(errors, "%s: holds no tensor", path);
    if (safetensors_find(s, "clip_l") || safetensors_find(s, "clip_g"))
        return messages_add(errors, "%s: is an embedding for Stable Diffusion XL or 3 (clip_l, clip_g)",
                            path);
    if (is_per_layer(s))
        return messages_add(
            errors,
            "%s: is a per-layer word (IN01 ... OUT11), with a vector for each cross-attention layer of "
            "the UNet, and not one for the prompt",
            path);
    if (safetensors_find(s, "emp_params_out"))
        return messages_add(
            errors,
            "%s: is a word of OneTrainer that is added after the text encoder (emp_params_out), "
            "and not before it",
            path);
    return true;
}

/* Checks that no two words have the same token, as two tensors without a word of their own would, which both
   get the file's name. */
static bool check_tokens(const char *path, const Embeddings *e, Messages *errors) {
    for (int64_t i = 1; i < e->count; i++)
        for (int64_t j = 0; j < i && e->words[i].token_from_path; j++)
            if (strcmp(e->words[i].token, e->words[j].token) == 0)
                return messages_add(
                    errors, "%s: holds several tensors whose names do not say what the word is", path);
    return true;
}

bool embeddings_of(const char *path, const Safetensors *s, Embeddings *e, Messages *errors) {
    *e = (Embeddings) { 0 };
    int64_t numbers = 0;
    bool ok = check_kind(path, s, errors);
    if (ok && s->count > WORDS_MAX)
        ok = messages_add(errors, "%s: holds more than %d tensors, which cannot all be words", path,
                          WORDS_MAX);
    e->words = mem_alloc((size_t)(ok ? s->count : 0) * sizeof *e->words);
    for (int64_t i = 0; i < s->count && ok; i++) {
        ok = read_word(path, &s->tensors[i], &e->words[e->count++], errors);
        numbers += e->words[i].vectors * e->words[i].width;
        if (ok && numbers > NUMBERS_MAX)
            ok =
                messages_add(errors, "%s: holds more than %d numbers, too many for words", path, NUMBERS_MAX);
    }
    ok = ok && check_tokens(path, e, errors);
    if (!ok) embeddings_free(e);
    return ok;
}

bool embeddings_parse(const char *path, const void *bytes, size_t size, Embeddings *e, Messages *errors) {
    *e = (Embeddings) { 0 };
    Safetensors s;
    if (!safetensors_parse(path, bytes, size, &s, errors)) return false;
    bool ok = embeddings_of(path, &s, e, errors);
    safetensors_close(&s);
    return ok;
}

void embeddings_free(Embeddings *e) {
    for (int64_t i = 0; i < e->count; i++) {
        free(e->words[i].token);
        free(e->words[i].path);
        free(e->words[i].name_in_file);
        free(e->words[i].learned);
    }
    free(e->words);
    *e = (Embeddings) { 0 };
}

void embeddings_append(Embeddings *e, Embeddings *more) {
    e->words = mem_grow(e->words, (size_t)(e->count + more->count) * sizeof *e->words);
    if (more->count) memcpy(e->words + e->count, more->words, (size_t)more->count * sizeof *e->words);
    e->count += more->count;
    free(more->words); /* frees only the list, since its words belong to e now */
    *more = (Embeddings) { 0 };
}

bool embedding_write(const char *path, const char *token, const float *learned, int64_t vectors,
                     int64_t width, Messages *errors) {
    const NamedTensor tensor = { token, shape2(vectors, width), learned };
    const char *const metadata[][2] = { { "format", "pt" } };
    return safetensors_write(path, &tensor, 1, metadata, 1, errors);
}
