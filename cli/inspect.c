/* `ti inspect`: what is in a model folder, a safetensors file or a learned word. */
#define _POSIX_C_SOURCE 200809L
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/inspect_parts.h"
#include "exchange/family.h"
#include "exchange/single.h"
#include "exchange/word_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    Given given;
    char *path, *model, *vae;
    int64_t nearest;
    bool tensors, hash, json;
} InspectOptions;

#define AT(field) offsetof(InspectOptions, field)
static const Option OPTIONS[] = {
    { "path", OPTION_STRING, AT(path), "PATH", .required = true, .positional = true,
      .help = "a model's folder or file, or a .safetensors file with parts of one or a learned word" },
    { "model", OPTION_STRING, AT(model), "PATH", .shown = "none",
      .reason = "which model a word was learned on, its file does not say",
      .help = "for a learned word: the model whose vocabulary it is compared with" },
    VAE_OPTION(AT(vae)),
    { "nearest", OPTION_INT, AT(nearest), "N", 0, 100, .standard = "5", .reason = "they fit on a line",
      .help = "with --model: how many of the vocabulary's words to name, nearest by cosine" },
    { "tensors", OPTION_FLAG, AT(tensors), .help = "for a model: list every tensor" },
    { "hash", OPTION_FLAG, AT(hash),
      .help = "for a file: print its SHA-256, which is done unasked where the size is that of a published "
              "model" },
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

/* A file that can be read as tensors. */
static bool show_tensors(const InspectOptions *o, const Safetensors *s, Messages *errors,
                         Messages *warnings) {
    Embeddings e;
    Messages no_words = { 0 };
    bool readable = word_file_parse(o->path, s->file.data, s->file.size, &e, &no_words), ok = true;
    bool words = readable && looks_like_words(s);
    if (words && !o->tensors)
        ok = show_words(o, &e, errors, warnings);
    else if (o->model && !words)
        ok = messages_add(errors, "%s: is no learned word, which --model is for", o->path);
    else if (weights_family(s).checkpoint)
        ok = inspect_model(o->path, o->vae, o->tensors, o->hash, o->json, errors, warnings);
    else if (o->tensors)
        ok = messages_add(errors, "%s: is no model, which --tensors is for", o->path);
    else
        inspect_tensors(s, o->hash, o->json);
    if (readable) embeddings_free(&e);
    messages_free(&no_words);
    return ok;
}

/* A word's pickle is small, a checkpoint's is not; how they are converted differs. */
static bool may_be_word(const char *path) {
    enum { LARGE = 100 * 1000 * 1000 };
    struct stat status;
    const char *dot = strrchr(path, '.');
    return !(dot && strcmp(dot, ".ckpt") == 0) && stat(path, &status) == 0 && status.st_size < LARGE;
}

static bool show_file(const InspectOptions *o, Messages *errors, Messages *warnings) {
    Safetensors s;
    Messages no_tensors = { 0 };
    bool ok;
    if (weights_open(o->path, &s, &no_tensors)) {
        ok = show_tensors(o, &s, errors, warnings);
        safetensors_close(&s);
    } else if (may_be_word(o->path)) {
        Embeddings e;
        ok = word_file_read(o->path, &e, errors) && /* says what no safetensors file is, too */
             show_words(o, &e, errors, warnings);   /* a file that could be opened the second time */
        embeddings_free(&e);
    } else {
        ok = messages_add(errors, "%.*s", (int)(no_tensors.length - 1), no_tensors.text);
    }
    messages_free(&no_tensors);
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
    .brief = "what a model folder, a weights file or a learned word holds",
    .summary = "Shows what a file or folder holds: a model's architecture, parts, types, defaults, faults "
               "and what of it is ignored; a file's tensors and metadata; a learned word's vectors, with "
               "--model their norms beside the vocabulary's and their nearest words.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(InspectOptions),
    .examples = "  ti inspect weights/critters\n"
                "  ti inspect v1-5-pruned-emaonly.safetensors\n"
                "  ti inspect weights/critters/vae/diffusion_pytorch_model.safetensors\n"
                "  ti inspect out/grum/grum.safetensors --model weights/critters\n",
    .run = inspect,
};
