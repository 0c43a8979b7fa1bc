/* SPDX-License-Identifier: MIT */
/* Tests that a word draws the same picture out of every program's file, under the name that the program's
   users write and under another one; that a run can begin with it; and the recipe of docs/words.md for taking
   a word to another model. */
#include <math.h>

#include "exchange/word_file.h"
#include "tests/command.h"
#include "tests/refusal.h"

static char *folder;

/* Runs `ti ARGUMENTS`, in which each @ stands for the folder. Prints what it says when it fails. */
static bool run(const char *arguments) {
    char *line = mem_format("\"$TI\" %s >@/out 2>@/err || { cat @/err; false; }", arguments);
    char *with = with_folder(line, folder);
    bool ok = system(with) == 0;
    free(line);
    free(with);
    return ok;
}

static bool draw(const char *embedding, const char *word, const char *picture) {
    char *command =
        mem_format("generate --model golden/models/narrow --steps 2 --seed 3 --force --embedding '%s' "
                   "--prompt 'a %s' --out @/%s",
                   embedding, word, picture);
    bool ok = run(command);
    free(command);
    return ok;
}

/* Files whose words have the same rows draw the same picture, which is made in another way only for the
   first. */
static const struct {
    const char *file, *word;
    bool two; /* whether it is the word of golden/words/diffusers.safetensors */
} KINDS[] = {
    { "golden/words/diffusers.safetensors", "<grum>", true },
    { "golden/words/diffusers.bin", "<grum>", true },
    { "golden/words/concept", "<cat-toy>", false },
    { "golden/words/concept_old.bin", "<cat-toy>", false },
    { "golden/words/a1111.pt", "a1111", true },
    { "golden/words/a1111_old.pt", "a1111_old", false },
    { "golden/words/a1111.png", "grum", true },
    { "golden/words/paper_old.pt", "<style>", false },
    { "golden/words/kohya.safetensors", "kohya", true },
    { "golden/words/kohya.pt", "kohya", true },
    { "golden/words/onetrainer.safetensors", "onetrainer", true },
    { "golden/words/protocol4.pt", "<p4>", true },
    { "golden/words/columns_old.pt", "<columns>", false },
    { "@/<sd>.safetensors", "<sd>", true },
};

static void test_kinds(void) {
    CHECK(run("convert golden/words/kohya.pt --to sd.cpp --word '<sd>' '--out=@/<sd>.safetensors'"));
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        const char *picture = i ? "other.png" : "first.png";
        bool drawn = draw(KINDS[i].file, KINDS[i].word, picture);
        if (i && KINDS[i].two)
            test_true(KINDS[i].file, drawn && same_pixels(folder, "first.png", "other.png"),
                      "the same picture");
        else
            test_true(KINDS[i].file, drawn && (!i || !same_pixels(folder, "first.png", "other.png")),
                      "a picture");
        if (strcmp(KINDS[i].word, "<style>") == 0 || strchr(KINDS[i].file, '.') == NULL) continue;
        char *renamed = mem_format("quux=%s", KINDS[i].file);
        test_true(KINDS[i].file,
                  draw(renamed, "quux", "renamed.png") && same_pixels(folder, picture, "renamed.png"),
                  "under another name");
        free(renamed);
    }
}

/* Returns the largest difference of two words' numbers, or 1 when they have other numbers of vectors. */
static float difference(const Embeddings *a, const Embeddings *b) {
    const Embedding *x = a->words, *y = b->words;
    if (a->count != 1 || b->count != 1 || x->vectors != y->vectors || x->width != y->width) return 1;
    float most = 0;
    for (int64_t i = 0; i < x->vectors * x->width; i++)
        most = fmaxf(most, fabsf(x->learned[i] - y->learned[i]));
    return most;
}

/* After a step with a learning rate of 1e-10, the word still is the initial one. */
static void test_start(void) {
    static const char *const files[][2] = { { "golden/words/a1111_old.pt", "golden/words/a1111_old.pt" },
                                            { "golden/words/concept", "golden/words/concept_old.bin" },
                                            { "golden/words/a1111.png",
                                              "golden/words/diffusers.safetensors" } };
    for (int i = 0; i < 3; i++) {
        char *command =
            mem_format("train --model golden/models/narrow --images golden/loop_pictures --token '<new>' "
                       "--init %s --lr 1e-10 --steps 1 --grid-loss 0 --resolution 64 --force --out @/run",
                       files[i][0]);
        char *path = mem_format("%s/run/new.safetensors", folder);
        Embeddings a = { 0 }, b = { 0 };
        Messages errors = { 0 };
        bool ok =
            run(command) && word_file_read(path, &a, &errors) && word_file_read(files[i][1], &b, &errors);
        test_true("train --init", ok && difference(&a, &b) < 1e-8f, "%s", files[i][0]);
        embeddings_free(&a);
        embeddings_free(&b);
        messages_free(&errors);
        free(path);
        free(command);
    }
}

/* A word of 24 numbers becomes one of 40. */
static void test_translation(void) {
    char *drawn = mem_format("%s/drawn", folder);
    Messages errors = { 0 };
    bool ok = folder_make(drawn, &errors) &&
              run("generate --model golden/models/narrow --embedding golden/words/a1111.png --prompt 'a "
                  "grum' --count 2 "
                  "--steps 2 --seed 1 --out @/drawn/x.png") &&
              run("train --model golden/models/wide --images @/drawn --token '<grum>' --init a --steps 2 "
                  "--grid-loss 0 --resolution 64 --out @/wide");
    Embeddings e = { 0 };
    char *path = mem_format("%s/wide/grum.safetensors", folder);
    test_true("another model", ok && word_file_read(path, &e, &errors) && e.words[0].width == 40,
              "a word of %lld numbers", e.count ? (long long)e.words[0].width : 0);
    embeddings_free(&e);
    messages_free(&errors);
    free(path);
    free(drawn);
}

int main(void) {
    folder = folder_new();
    test_kinds();
    test_start();
    test_translation();
    folder_remove(folder);
    free(folder);
    return test_finish();
}
