/* SPDX-License-Identifier: MIT */
/* `ti convert`: writes a learned word as another program reads it. */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/console.h"
#include "exchange/convert.h"
#include "exchange/word_file.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    Given given;
    StringList files;
    int to;
    char *out, *word, *picture;
    bool force;
} ConvertValues;

#define AT(field) offsetof(ConvertValues, field)
static const Option OPTIONS[] = {
    { "files", OPTION_LIST, AT(files), "[NAME=]FILE", .required = true, .positional = true,
      .help = "the file of a learned word, from whatever program, which NAME renames; or several" },
    { "to", OPTION_CHOICE, AT(to), "PROGRAM", .choices = WORD_TARGETS, .standard = "diffusers",
      .reason = "most programs read its files",
      .help = "the program for which the word is written; a1111-png is a picture with the word in it" },
    { "out", OPTION_STRING, AT(out), "FILE", .required = true,
      .help = "the file to write, or for several words the folder in which each gets a file" },
    { "word", OPTION_STRING, AT(word), "NAME", .shown = "the word's own name, by the program's rules",
      .help = "the name of the word" },
    { "picture", OPTION_STRING, AT(picture), "FILE",
      .shown =
          "the validation picture of the run in whose folder the word lies, or else a card with its name",
      .help = "with --to a1111-png: the picture" },
    { "force", OPTION_FLAG, AT(force), .help = "overwrite files that exist" },
};

static bool read_words(const ConvertValues *o, Embeddings *all, Messages *errors, Messages *warnings) {
    for (int64_t i = 0; i < o->files.count; i++) {
        Embeddings file;
        if (!words_read(o->files.items[i], &file, errors, warnings)) return false;
        embeddings_append(all, &file);
    }
    return all->count == 1 || !o->word ||
           messages_add(errors, "--word %s: can be the name of only one word, and there are %lld", o->word,
                        (long long)all->count);
}

static bool check_places(const ConvertValues *o, char *const *paths, int64_t count, Messages *errors) {
    for (int64_t i = 1; i < count; i++)
        for (int64_t k = 0; k < i; k++)
            if (strcmp(paths[i], paths[k]) == 0)
                return messages_add(errors, "%s: would be the file of two words; rename one: NAME=FILE",
                                    paths[i]);
    bool ok = count == 1 || folder_make(o->out, errors);
    for (int64_t i = 0; i < count && ok; i++) ok = may_write(paths[i], o->force, errors);
    return ok;
}

static int convert(void *values, Messages *errors, Messages *warnings) {
    const ConvertValues *o = values;
    const ConvertOptions options = { (WordTarget)o->to, o->out, o->word, o->picture };
    Embeddings all = { 0 };
    if (read_words(o, &all, errors, warnings)) {
        char **paths = mem_alloc((size_t)all.count * sizeof *paths);
        for (int64_t i = 0; i < all.count; i++)
            paths[i] = word_path_for(&options, &all.words[i], all.count > 1);
        bool ok = check_places(o, paths, all.count, errors);
        for (int64_t i = 0; i < all.count && ok; i++) {
            ok = word_write_for(&options, &all.words[i], paths[i], errors, warnings);
            if (ok) console_path(paths[i]);
        }
        for (int64_t i = 0; i < all.count; i++) free(paths[i]);
        free(paths);
    }
    embeddings_free(&all);
    return 0;
}

static void check(void *values, Messages *errors) {
    const ConvertValues *o = values;
    if (o->picture && o->to != TO_A1111_PNG) messages_add(errors, "--picture: is only for --to a1111-png");
    if (o->word && !*o->word) messages_add(errors, "--word: the name is empty");
}

const Command CONVERT_COMMAND = {
    .name = "convert",
    .brief = "write a learned word as another program reads it",
    .summary = "Writes a learned word, from the file of whatever program, as another program reads it. All "
               "files are "
               "in F32.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(ConvertValues),
    .examples = "  ti convert out/grum/grum.safetensors --to a1111 --out grum.pt\n"
                "  ti convert out/grum/grum.safetensors --to a1111-png --out grum.png\n"
                "  ti convert learned_embeds.bin --to sd.cpp --out '<cat-toy>.safetensors'\n",
    .check = check,
    .run = convert,
};
