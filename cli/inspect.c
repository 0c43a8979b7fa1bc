/* SPDX-License-Identifier: MIT */
/* `ti inspect`: shows what is in a model folder, a safetensors file or a learned word. This file finds out
   which of these the path names; inspect_model.c, inspect_tensors.c and inspect_words.c print the reports. */
#define _POSIX_C_SOURCE 200809L
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/inspect_parts.h"
#include "exchange/family.h"
#include "exchange/png_word.h"
#include "exchange/single.h"
#include "exchange/word_file.h"
#include "io/image_kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    Given given;
    char *path, *model, *vae;
    int64_t nearest;
    bool tensors, hash, json;
} InspectOptions;

#define AT(field) offsetof(InspectOptions, field)
static const Option OPTIONS[] = {
    { "path", OPTION_STRING, AT(path), "PATH", .required = true, .positional = true,
      .help = "a model's folder or file, a file with a part of a model or a learned word, or a picture" },
    { "model", OPTION_STRING, AT(model), "PATH", .shown = "none",
      .reason = "a word's file does not say which model it was learned on",
      .help = "for a learned word: the model with whose vocabulary it is compared" },
    VAE_OPTION(AT(vae)),
    { "nearest", OPTION_INT, AT(nearest), "N", 0, 100, .standard = "5", .reason = "they fit on a line",
      .help = "with --model: the number of the vocabulary's nearest words, by cosine, to show" },
    { "tensors", OPTION_FLAG, AT(tensors), .help = "for a model: list every tensor" },
    { "hash", OPTION_FLAG, AT(hash),
      .help = "for a file: print its SHA-256; without the option it is printed if the file has the size of a "
              "published model" },
    { "json", OPTION_FLAG, AT(json), .help = "print JSON, for programs" },
};

static bool show_words(const InspectOptions *o, const Embeddings *e, Messages *errors, Messages *warnings) {
    if (!o->model) return inspect_words(o->path, e, NULL, 0, o->json, errors);
    ModelFolder folder;
    Model m;
    if (!exchange_open_model(o->model, o->vae, &folder, errors, warnings) ||
        !model_open(folder, &m, errors, warnings))
        return false;
    bool ok = inspect_words(o->path, e, &m, o->nearest, o->json, errors);
    model_close(&m);
    return ok;
}

/* A pickle that is no model is taken for a word's if it is smaller than any part of a model. */
enum { WORD_MAX = 1 << 20 };

/* Shows a file that could be opened as a file of tensors: a learned word, a model, a part of one or
   anything else. */
static bool show_tensors(const InspectOptions *o, const Safetensors *s, Messages *errors,
                         Messages *warnings) {
    Embeddings e;
    Messages no_words = { 0 };
    bool readable = word_file_parse(o->path, s->file.data, s->file.size, &e, &no_words), ok = true;
    bool words = readable && looks_like_words(s);
    if (words && !o->tensors)
        ok = show_words(o, &e, errors, warnings);
    else if (o->model && !words)
        ok = messages_add(errors, "%s: is not a learned word; --model is only for learned words", o->path);
    else if (weights_family(s).checkpoint)
        ok = inspect_model(o->path, o->vae, o->tensors, o->hash, o->json, errors, warnings);
    else if (!readable && !s->header && s->file.size < WORD_MAX) /* the pickle of a word that is refused */
        ok = messages_add(errors, "%.*s", (int)(no_words.length - 1), no_words.text);
    else if (o->tensors)
        ok = messages_add(errors, "%s: is not a model; --tensors is only for models", o->path);
    else
        inspect_tensors(s, o->hash, o->json);
    if (readable) embeddings_free(&e);
    messages_free(&no_words);
    return ok;
}

/* Shows a picture: the word in it, or else the texts that say how it was made. */
static bool show_picture(const InspectOptions *o, Messages *errors, Messages *warnings) {
    File file;
    if (!file_map(o->path, &file, errors)) return false;
    bool ok;
    if (png_has_word(file.data, file.size)) {
        Embeddings e;
        ok =
            word_file_parse(o->path, file.data, file.size, &e, errors) && show_words(o, &e, errors, warnings);
        embeddings_free(&e);
    } else if (o->model || o->tensors || o->hash) {
        ok = messages_add(errors, "%s: is a picture without a learned word; %s", o->path,
                          o->model     ? "--model is only for learned words"
                          : o->tensors ? "--tensors is only for models"
                                       : "--hash is only for files of tensors");
    } else {
        PictureText text;
        picture_text_read(o->path, file.data, file.size, &text, warnings);
        ok = inspect_picture(o->path, &text, o->json, errors);
        picture_text_free(&text);
    }
    file_close(&file);
    return ok;
}

static bool show_file(const InspectOptions *o, Messages *errors, Messages *warnings) {
    Safetensors s;
    bool ok;
    if (image_kind_of_file(o->path) == IMAGE_READ) {
        ok = show_picture(o, errors, warnings);
    } else {
        ok = weights_open(o->path, &s, errors);
        if (ok) {
            ok = show_tensors(o, &s, errors, warnings);
            safetensors_close(&s);
        }
    }
    return ok;
}

static int inspect(void *options, Messages *errors, Messages *warnings) {
    const InspectOptions *o = options;
    if (!path_is_folder(o->path))
        show_file(o, errors, warnings);
    else if (o->model || o->hash)
        messages_add(errors, "%s: is a folder, and %s", o->path,
                     o->model ? "--model is for a learned word" : "--hash is for a file");
    else
        inspect_model(o->path, o->vae, o->tensors, false, o->json, errors, warnings);
    return 0;
}

const Command INSPECT_COMMAND = {
    .name = "inspect",
    .brief = "show what a model, a weights file, a learned word or a picture holds",
    .summary =
        "Shows what a file or folder holds. For a model these are its parts, their types and architecture, "
        "its defaults, the tensors that are ignored and all faults; for another file of tensors, its "
        "tensors and metadata; for a learned word, the norms of its vectors and, with --model, their "
        "nearest words; for a picture, how it was made (its texts parameters and ti).",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(InspectOptions),
    .examples = "  ti inspect weights/critters\n"
                "  ti inspect v1-5-pruned-emaonly.safetensors\n"
                "  ti inspect weights/critters/vae/diffusion_pytorch_model.safetensors\n"
                "  ti inspect out/grum/grum.safetensors --model weights/critters\n",
    .run = inspect,
};
