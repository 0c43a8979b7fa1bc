/* SPDX-License-Identifier: MIT */
/* Tests docs/stability.md, which says what later versions keep. Each row of its tables has a label in the
   first cell and then, in backquotes, names. The names of a row must be those that the program has: the
   options of a command, the keys of a JSON document, the files of a run, the metadata of a file. TI names the
   program; run from the repository's root. */
#define _POSIX_C_SOURCE 200809L
#include "cli/commands.h"
#include "io/json.h"
#include "io/text.h"
#include "tests/command.h"
#include "tests/refusal.h"
#include "weights/safetensors.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static char *page, *folder;

/* Whether a list of names, each between two line ends, has this one. */
static bool has(const char *list, const char *name) {
    char *line = mem_format("\n%s\n", name);
    bool found = list && strstr(list, line);
    free(line);
    return found;
}

static void add(Text *list, const char *name) {
    if (!list->at) text_add(list, "\n");
    if (!has(list->at, name)) text_format(list, "%s\n", name);
}

/* Returns the names in backquotes that follow the first cell of the row with this label. */
static Text row_of(const char *label) {
    Text names = { 0 };
    char *start = mem_format("\n| %s |", label), *row = strstr(page, start);
    if (row) row += strlen(start);
    const char *end = row ? strchr(row, '\n') : NULL;
    for (const char *from = row; from && (from = strchr(from, '`')) && from < end;) {
        const char *to = strchr(from + 1, '`');
        char *name = mem_format("%.*s", (int)(to - from - 1), from + 1);
        add(&names, name);
        free(name);
        from = to + 1;
    }
    free(start);
    return names;
}

/* Checks that each name of the list a is in the list b. */
static bool all_in(const char *label, const char *a, const char *b, const char *where) {
    bool all = a != NULL;
    for (const char *name = a; name && name[1]; name = strchr(name + 1, '\n')) {
        char *one = mem_format("%.*s", (int)strcspn(name + 1, "\n"), name + 1);
        if (!has(b, one)) {
            test_true(label, false, "%s is not %s", one, where);
            all = false;
        }
        free(one);
    }
    return all;
}

/* Compares the names of a row with those of the program, which are released. */
static void compare(const char *label, Text *found) {
    Text promised = row_of(label);
    bool kept = all_in(label, promised.at, found->at, "in the program"),
         listed = all_in(label, found->at, promised.at, "in docs/stability.md");
    test_true(label, kept && listed, "has the names of docs/stability.md");
    free(promised.at);
    free(found->at);
}

static void test_options(void) {
    static const Command *const commands[] = { &TRAIN_COMMAND,   &GENERATE_COMMAND,    &EVALUATE_COMMAND,
                                               &SHEET_COMMAND,   &INSPECT_COMMAND,     &PLAN_COMMAND,
                                               &TOKENS_COMMAND,  &RECONSTRUCT_COMMAND, &INVERT_COMMAND,
                                               &CONVERT_COMMAND, &MIX_COMMAND };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        Text options = { 0 };
        char *label = mem_format("`ti %s`", commands[i]->name);
        for (int k = 0; k < commands[i]->count; k++) {
            char *name = mem_format("--%s", commands[i]->options[k].name);
            if (!commands[i]->options[k].positional) add(&options, name);
            free(name);
        }
        compare(label, &options);
        free(label);
    }
}

/* Adds the keys of a JSON document, also of the objects in it. Some have a content that is not promised, or
   whose keys are names of tensors, words and options. */
static void add_keys(Text *keys, json_t *value) {
    static const char open[] = "\narchitecture\ngraphs\nrecomputation\nmetadata\nnames\ndefaults\nti\n";
    const char *key;
    json_t *item;
    size_t i;
    json_array_foreach (value, i, item) add_keys(keys, item);
    json_object_foreach (value, key, item) {
        add(keys, key);
        if (!has(open, key)) add_keys(keys, item);
    }
}

/* Runs `$TI ARGUMENTS` and returns its JSON, which the caller releases. Each @ stands for the folder. */
static json_t *json_of(const char *arguments) {
    Messages errors = { 0 };
    char *with = with_folder(arguments, folder);
    int status;
    char *text = output_of_ti(with, &status);
    json_t *document = status == 0 ? json_parse(arguments, text, strlen(text), false, &errors) : NULL;
    test_true(arguments, document != NULL, "prints JSON");
    messages_free(&errors);
    free(text);
    free(with);
    return document;
}

#define GRUM  "weights/critters/concepts/grum"
#define PATHS "--images " GRUM " --token '<grum>' --init critter"

static void test_json(void) {
    static const char *const documents[][2] = {
        { "`ti tokens --json`", "tokens --json 'a photo of a critter'" },
        { "`ti tokens --json --long-prompts chunks`", "tokens --json --long-prompts chunks 'a photo'" },
        { "`ti inspect --json` of a model", "inspect --json weights/critters" },
        { "`ti inspect --json` of a file of weights",
          "inspect --json --hash weights/critters/vae/diffusion_pytorch_model.safetensors" },
        { "`ti inspect --json` of a word", "inspect --json --model weights/critters @/run/grum.safetensors" },
        { "`ti inspect --json` of a picture", "inspect --json @/grum.png" },
        { "`ti evaluate --json`", "evaluate --json --images " GRUM
                                  " --embedding @/run/grum.safetensors --init critter --count 1 --steps 1" },
        { "`ti plan --json`", "plan --json" },
        { "`ti train --dry-run --json`",
          "train --dry-run --json " PATHS " --stop auto --for 1h --out @/dry" },
    };
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        Text keys = { 0 };
        json_t *document = json_of(documents[i][1]);
        add_keys(&keys, document);
        compare(documents[i][0], &keys);
        json_decref(document);
    }
}

static void add_members(Text *keys, json_t *object) {
    const char *key;
    json_t *item;
    json_object_foreach (object, key, item) add(keys, key);
}

static void test_metadata(void) {
    static const char *const files[][2] = {
        { "a word of `ti train`, `ti mix` or `ti convert --to diffusers`", "@/run/grum.safetensors" },
        { "a word of `ti convert --to kohya`", "@/kohya.safetensors" },
        { "noise of `ti invert`", "@/noise.safetensors" },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        Messages errors = { 0 };
        Safetensors file;
        Text keys = { 0 };
        char *path = with_folder(files[i][1], folder);
        bool ok = safetensors_open(path, &file, &errors);
        test_true(path, ok, "can be read");
        if (ok) add_members(&keys, json_object_get(file.header, "__metadata__"));
        compare(files[i][0], &keys);
        if (ok) safetensors_close(&file);
        messages_free(&errors);
        free(path);
    }
    Text keys = { 0 };
    json_t *picture = json_of("inspect --json @/grum.png");
    add_members(&keys, json_object_get(picture, "ti"));
    compare("a picture's text `ti`", &keys);
    json_decref(picture);
}

/* Returns a name with N for each number, and WORD for the word's own name. */
static char *general_name(const char *name) {
    Text general = { 0 };
    if (strcmp(name, "grum.safetensors") == 0) return mem_string("WORD.safetensors");
    for (const char *c = name; *c; c++)
        if (!isdigit((unsigned char)*c))
            text_add_part(&general, c, 1);
        else if (!isdigit((unsigned char)c[1]))
            text_add(&general, "N");
    return general.at;
}

/* The rows of this table have names in their first cell, so the whole section is searched. */
static void test_run_folder(void) {
    char *path = with_folder("@/run", folder), *losses = with_folder("@/run/losses.csv", folder),
         *start = strstr(page, "\n## The folder of a run"), *end = start ? strstr(start + 1, "\n## ") : NULL;
    CHECK(start && end);
    char *section = mem_format("%.*s", (int)(end - start), start);
    DIR *run = opendir(path);
    CHECK(run);
    int files = 0;
    for (const struct dirent *e; (e = readdir(run));) {
        if (e->d_name[0] == '.') continue;
        char *name = general_name(e->d_name), *quoted = mem_format("`%s`", name);
        test_true("a run's folder", strstr(section, quoted) != NULL, "%s", name);
        files++;
        free(name);
        free(quoted);
    }
    closedir(run);
    test_true("a run's folder", files == 11, "%d files", files);
    char *text = read_text(losses, NULL);
    test_true("losses.csv", strncmp(text, "step,loss,lr\n", 13) == 0, "begins with its columns");
    free(text);
    free(section);
    free(losses);
    free(path);
}

int main(void) {
    static const char *const made[][2] = {
        { "train",
          PATHS " --steps 2 --checkpoint-every 1 --validation-prompt 'a <grum>' --validation-every 1 "
                "--sampling-steps 1 --out @/run" },
        { "generate", "--embedding @/run/grum.safetensors --prompt 'a <grum>' --init-image " GRUM "/1.png "
                      "--width 64 --height 64 --steps 2 --out @/grum.png" },
        { "convert", "@/run/grum.safetensors --to kohya --out @/kohya.safetensors" },
        { "invert", "@/grum.png --prompt 'a critter' --steps 2 --out @/noise.safetensors" },
    };
    folder = folder_new();
    page = read_text("docs/stability.md", NULL);
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        char *options = with_folder(made[i][1], folder);
        test_true(made[i][0], run_ti(made[i][0], options, "", folder) == 0, "makes the files");
        free(options);
    }
    test_options();
    test_json();
    test_metadata();
    test_run_folder();
    folder_remove(folder);
    free(folder);
    free(page);
    return test_finish();
}
