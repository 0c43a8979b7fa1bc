/* SPDX-License-Identifier: MIT */
#include "exchange/convert.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "exchange/png_word.h"
#include "exchange/zip.h"
#include "io/file.h"
#include "io/font.h"
#include "io/image_write.h"
#include "io/json.h"
#include "io/sha256.h"
#include "text/prompt.h"

const char *const WORD_TARGETS[] = { "diffusers", "a1111", "a1111-png", "kohya", "sd.cpp", NULL };

/* What is known of each program: its name, its files' ending, and whether its users write the name of the
   file, and not a name in it, as the word. */
static const struct {
    const char *name, *ending;
    bool by_file;
} TARGETS[] = {
    [TO_DIFFUSERS] = { "diffusers", ".safetensors", false },
    [TO_A1111] = { "A1111", ".pt", true },
    [TO_A1111_PNG] = { "A1111", ".png", false },
    [TO_KOHYA] = { "kohya's scripts", ".safetensors", true },
    [TO_SD_CPP] = { "sd.cpp", ".safetensors", true },
};

/* ---- names ---- */

static char *lower(char *text) {
    for (char *c = text; *c; c++) *c = (char)tolower((unsigned char)*c);
    return text;
}

char *word_name_for(WordTarget target, const char *token) {
    if (target == TO_DIFFUSERS) return mem_string(token);
    if (target != TO_SD_CPP) return token_file_name(token);
    /* sd.cpp finds a word anywhere in the prompt, also in longer words, from which the brackets protect it; (
       ) [ ] and : are its syntax for weights. */
    char *name = lower(mem_string(token));
    for (char *c = name; *c; c++)
        if (strchr("()[]:/ ", *c)) *c = '-';
    return name;
}

/* Returns the file's name without folder and ending. The caller frees it. */
static char *stem_of(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    return mem_format("%.*s", dot && dot > name ? (int)(dot - name) : (int)strlen(name), name);
}

char *word_path_for(const ConvertOptions *o, const Embedding *e, bool several) {
    if (!several) return mem_string(o->out);
    char *name = o->target == TO_DIFFUSERS ? token_file_name(e->token) : word_name_for(o->target, e->token);
    char *path = mem_format("%s/%s%s", o->out, name, TARGETS[o->target].ending);
    free(name);
    return path;
}

/* Says what the program makes of the file's name. */
static void note_names(const ConvertOptions *o, const char *word, const char *path, Messages *notes) {
    const char *program = TARGETS[o->target].name, *ending = TARGETS[o->target].ending;
    char *stem = stem_of(path);
    size_t length = strlen(path), tail = strlen(ending);
    if (length < tail || strcasecmp(path + length - tail, ending) != 0)
        messages_add(notes, "%s: %s reads such a file only if its name ends in %s", path, program, ending);
    if (o->target == TO_SD_CPP) lower(stem);
    if (TARGETS[o->target].by_file && strcmp(stem, word) != 0)
        messages_add(notes, "%s: %s will know this word as \"%s\", after the file's name", path, program,
                     stem);
    if (o->target == TO_SD_CPP && strpbrk(stem, "()[]:"))
        messages_add(notes,
                     "%s: in sd.cpp's prompts ( ) [ ] and : are weights, so that \"%s\" cannot be written",
                     path, stem);
    free(stem);
}

/* ---- the run that a word comes from ---- */

typedef struct {
    int64_t step;  /* -1 when it is not known */
    char *model;   /* NULL when it is not known */
    char *picture; /* the path of a validation picture, or NULL */
} Origin;

/* Sets what the options of the run say. */
static void read_run(const char *path, const void *text, size_t size, Origin *from) {
    Messages errors = { 0 };
    json_t *document = json_parse(path, text, size, false, &errors);
    const json_t *options = json_object_get(document, "train");
    const char *model = json_string_value(json_object_get(options, "model"));
    int64_t steps = json_whole(json_object_get(options, "steps"));
    /* With --stop auto the word may be that of an earlier step, which the options do not say. */
    const char *stop = json_string_value(json_object_get(options, "stop"));
    bool ran_all = !stop || strcmp(stop, "off") == 0;
    if (from->step < 0 && steps >= 0 && ran_all) from->step = steps;
    if (options) from->model = model ? stem_of(model) : mem_string(EMBEDDED_MODEL);
    json_decref(document);
    messages_free(&errors);
}

/* Looks for the run beside the word's file: at learned_embeds-steps-N the word of step N, otherwise that of
   the last step. */
static Origin origin_of(const Embedding *e) {
    Origin from = { .step = -1 };
    const char *slash = e->path ? strrchr(e->path, '/') : NULL, *name = slash ? slash + 1 : e->path;
    if (!name) return from;
    int length = slash ? (int)(slash - e->path) : 1;
    const char *folder = slash ? e->path : ".";
    long long step;
    char *path = mem_format("%.*s/options.json", length, folder);
    File file;
    Messages errors = { 0 };
    if (sscanf(name, "learned_embeds-steps-%lld.safetensors", &step) == 1 && step >= 0) from.step = step;
    if (path_is_file(path) && file_read(path, &file, &errors)) {
        read_run(path, file.data, file.size, &from);
        file_close(&file);
        from.picture = mem_format("%.*s/validation-%lld.png", length, folder, (long long)from.step);
        if (!path_is_file(from.picture)) {
            free(from.picture);
            from.picture = NULL;
        }
    }
    messages_free(&errors);
    free(path);
    return from;
}

static void origin_free(Origin *from) {
    free(from->model);
    free(from->picture);
}

/* ---- A1111's .pt ---- */

static void add_text(Text *t, const char *text) {
    size_t n = strlen(text);
    const char size[4] = { (char)n, (char)(n >> 8), (char)(n >> 16), (char)(n >> 24) };
    text_add(t, "X");
    text_add_part(t, size, 4);
    text_add_part(t, text, n);
}

static void add_int(Text *t, int64_t n) {
    const char bytes[5] = { 'J', (char)n, (char)(n >> 8), (char)(n >> 16), (char)(n >> 24) };
    text_add_part(t, bytes, 5);
}

static void add_text_or_none(Text *t, const char *text) {
    if (text)
        add_text(t, text);
    else
        text_add(t, "N");
}

/* The pickle of {"string_to_token": {"*": 265}, "string_to_param": {"*": tensor}, "name", "step",
   "sd_checkpoint", "sd_checkpoint_name"}. Its opcodes are named in the table of exchange/pickle.c. */
static Text a1111_pickle(const Embedding *e, const char *name, const Origin *from) {
    Text t = { 0 };
    text_add(&t, "\x80\2}(");
    add_text(&t, "string_to_token");
    text_add(&t, "}");
    add_text(&t, "*");
    add_int(&t, 265);
    text_add(&t, "s");
    add_text(&t, "string_to_param");
    text_add(&t, "}");
    add_text(&t, "*");
    text_add(&t, "ctorch._utils\n_rebuild_tensor_v2\n((");
    add_text(&t, "storage");
    text_add(&t, "ctorch\nFloatStorage\n");
    add_text(&t, "0");
    add_text(&t, "cpu");
    add_int(&t, e->vectors * e->width);
    text_add(&t, "tQ");
    add_int(&t, 0);
    add_int(&t, e->vectors);
    add_int(&t, e->width);
    text_add(&t, "\x86");
    add_int(&t, e->width);
    add_int(&t, 1);
    text_add(&t, "\x86\x89"
                 "ccollections\nOrderedDict\n)RtRs");
    add_text(&t, "name");
    add_text(&t, name);
    add_text(&t, "step");
    if (from->step >= 0 && from->step <= INT32_MAX)
        add_int(&t, from->step);
    else
        text_add(&t, "N");
    add_text(&t, "sd_checkpoint");
    text_add(&t, "N");
    add_text(&t, "sd_checkpoint_name");
    add_text_or_none(&t, from->model);
    text_add(&t, "u.");
    return t;
}

static bool write_a1111(const char *path, const Embedding *e, const char *name, const Origin *from,
                        Messages *errors) {
    Text pickle = a1111_pickle(e, name, from), zip;
    size_t size = (size_t)(e->vectors * e->width) * sizeof(float);
    const ZipPart parts[] = { { "word/data.pkl", pickle.at, pickle.length },
                              { "word/data/0", e->learned, size },
                              { "word/version", "3\n", 2 } };
    bool ok = zip_bytes(path, parts, 3, &zip, errors) && file_write(path, zip.at, zip.length, errors);
    free(pickle.at);
    free(zip.at);
    return ok;
}

/* ---- A1111's .png ---- */

/* The same data as JSON. A number has the digits that Python would write, which are read back as the same
   float. */
static char *a1111_json(const Embedding *e, const char *name, const Origin *from) {
    json_t *rows = json_array();
    for (int64_t i = 0; i < e->vectors; i++) {
        json_t *row = json_array();
        for (int64_t k = 0; k < e->width; k++)
            json_array_append_new(row, json_double((double)e->learned[i * e->width + k]));
        json_array_append_new(rows, row);
    }
    json_t *document = json_pack("{s:{s:i}, s:{s:{s:o}}, s:s, s:o, s:n, s:o}", "string_to_token", "*", 265,
                                 "string_to_param", "*", "TORCHTENSOR", rows, "name", name, "step",
                                 from->step < 0 ? json_null() : json_integer(from->step), "sd_checkpoint",
                                 "sd_checkpoint_name", from->model ? json_string(from->model) : json_null());
    char *text = json_text(document, JSON_EXACT);
    json_decref(document);
    return text;
}

/* Draws a plain card with the word's name in its middle, in the largest letters that fit. */
static bool draw_card(const char *name, Image *card, Messages *errors) {
    enum { SIDE = 512, LARGEST = 96, SMALLEST = 12, MARGIN = 32 };
    Font *font = font_new(errors);
    if (!font || !canvas_new(SIDE, SIDE, card, errors)) {
        font_free(font);
        return false;
    }
    int height = LARGEST;
    while (height > SMALLEST && font_width(font, height, name) > SIDE - 2 * MARGIN) height -= 4;
    canvas_rectangle(card, 0, 0, SIDE, SIDE, (Color) { 32, 36, 48 });
    canvas_rectangle(card, MARGIN / 2, MARGIN / 2, SIDE - MARGIN, SIDE - MARGIN, (Color) { 244, 242, 236 });
    font_draw(font, height, card, name, (SIDE - font_width(font, height, name)) / 2, (SIDE - height) / 2,
              (Color) { 32, 36, 48 });
    font_free(font);
    return true;
}

static bool write_card(const ConvertOptions *o, const char *path, const Embedding *e, const char *name,
                       const Origin *from, Messages *errors) {
    Image face = { 0 };
    const char *picture = o->picture ? o->picture : from->picture;
    unsigned char *png = NULL;
    size_t size;
    bool ok = (picture ? image_load(picture, &face, errors) : draw_card(name, &face, errors)) &&
              image_png(path, &face, &png, &size, errors);
    if (ok) {
        char *json = a1111_json(e, name, from);
        Text card = png_with_word(png, size, json);
        ok = file_write(path, card.at, card.length, errors);
        free(card.at);
        free(json);
    }
    free(png);
    image_free(&face);
    return ok;
}

/* ---- safetensors ---- */

/* kohya's scripts add the metadata of Stability's ModelSpec. */
static bool write_kohya(const char *path, const Embedding *e, const char *name, const Origin *from,
                        Messages *errors) {
    const NamedTensor tensor = { "emb_params", shape2(e->vectors, e->width), e->learned };
    bool second = e->width == 1024;
    char hash[SHA256_TEXT], text[2 + SHA256_TEXT];
    sha256_text(e->learned, (size_t)(e->vectors * e->width) * sizeof(float), hash);
    snprintf(text, sizeof text, "0x%s", hash);
    char *step = mem_format("%lld", (long long)from->step), *size = mem_format("%lld", (long long)e->vectors);
    const char *metadata[12][2] = {
        { "modelspec.sai_model_spec", "1.0.1" },
        { "modelspec.architecture",
          second ? "stable-diffusion-v2-768-v/textual-inversion" : "stable-diffusion-v1/textual-inversion" },
        { "modelspec.implementation", "https://github.com/Stability-AI/generative-models" },
        { "modelspec.title", name },
        { "modelspec.resolution", second ? "768x768" : "512x512" },
        { "modelspec.hash_sha256", text },
        { "ss_num_vectors_per_token", size },
    };
    int64_t count = 7;
    if (from->step >= 0) {
        metadata[count][0] = "ss_steps";
        metadata[count++][1] = step;
    }
    if (from->model) {
        metadata[count][0] = "ss_sd_model_name";
        metadata[count++][1] = from->model;
    }
    bool ok = safetensors_write(path, &tensor, 1, (const char *const(*)[2])metadata, count, errors);
    free(step);
    free(size);
    return ok;
}

bool word_write_for(const ConvertOptions *o, const Embedding *e, const char *path, Messages *errors,
                    Messages *notes) {
    char *name = o->word ? mem_string(o->word) : word_name_for(o->target, e->token);
    Origin from = origin_of(e);
    bool ok = true;
    switch (o->target) {
    case TO_DIFFUSERS:
        ok = embedding_write(path, name, e->learned, e->vectors, e->width, errors);
        break;
    case TO_A1111:
        ok = write_a1111(path, e, name, &from, errors);
        break;
    case TO_A1111_PNG:
        ok = write_card(o, path, e, name, &from, errors);
        break;
    case TO_KOHYA:
        ok = write_kohya(path, e, name, &from, errors);
        break;
    case TO_SD_CPP:
        ok = embedding_write(path, "emb_params", e->learned, e->vectors, e->width, errors);
        break;
    }
    if (ok) note_names(o, name, path, notes);
    origin_free(&from);
    free(name);
    return ok;
}
