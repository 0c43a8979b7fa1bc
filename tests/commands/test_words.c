/* SPDX-License-Identifier: MIT */
/* Tests learned words as people use them: with other capitals, under other names, in folders, and as the
   initial word of another. Checks the messages, and that commands which mean the same give the same picture
   to the bit. */
#define _POSIX_C_SOURCE 200809L
#include "tests/command.h"
#include "tests/refusal.h"
#include "tensor/rng.h"
#include "weights/embedding.h"
#include "weights/safetensors.h"

#include <math.h>

static char *folder;

enum { WIDTH = 24 }; /* the width of the token embedding of golden/models/narrow */
#define MODEL "--model golden/models/narrow --threads 2 "

/* Runs `ti ARGUMENTS`, in which each @ stands for the folder. Its standard error goes to @/err. Returns 0
   when it succeeds, and 1 otherwise. */
static int run(const char *arguments) {
    char *line = mem_format("\"$TI\" %s >@/out 2>@/err", arguments), *with = with_folder(line, folder);
    int status = system(with);
    free(line);
    free(with);
    return status == 0 ? 0 : 1;
}

/* Returns whether the last command printed a text on standard error, and prints all of that if it did not. */
static bool said(const char *what) {
    char *path = mem_format("%s/err", folder), *text = read_text(path, NULL);
    bool found = strstr(text, what) != NULL;
    if (!found) printf("%s", text);
    free(path);
    free(text);
    return found;
}

static char *in_folder(const char *name) { return mem_format("%s/%s", folder, name); }

static void write_word(const char *file, const char *token, int64_t vectors, uint64_t seed) {
    float learned[8 * WIDTH];
    Generator generator;
    Messages errors = { 0 };
    generator_seed(&generator, seed);
    generator_randn(&generator, learned, vectors * WIDTH);
    char *path = in_folder(file);
    CHECK(embedding_write(path, token, learned, vectors, WIDTH, &errors));
    free(path);
}

/* Copies the file of a learned word and converts its numbers to F64. */
static void write_double(const char *from, const char *to) {
    Messages errors = { 0 };
    Safetensors s;
    char *path = in_folder(from), *out = in_folder(to);
    CHECK(safetensors_open(path, &s, &errors));
    const Weight *w = &s.tensors[0].weight;
    int64_t count = shape_count(w->shape);
    char *header = mem_format("{\"%s\":{\"dtype\":\"F64\",\"shape\":[%lld,%d],\"data_offsets\":[0,%lld]}}",
                              w->name, (long long)w->shape.dim[0], WIDTH, (long long)count * 8);
    FILE *file = fopen(out, "wb");
    uint64_t length = strlen(header);
    CHECK(file && fwrite(&length, 8, 1, file) == 1 && fwrite(header, length, 1, file) == 1);
    for (int64_t i = 0; i < count; i++) {
        float x;
        memcpy(&x, (const char *)w->data + i * 4, 4);
        double y = (double)x;
        CHECK(fwrite(&y, 8, 1, file) == 1);
    }
    CHECK(fclose(file) == 0);
    safetensors_close(&s);
    free(header);
    free(path);
    free(out);
}

#define GENERATE "generate " MODEL "--steps 2 --seed 1 --force "

static void test_files(void) {
    write_word("two.safetensors", "<two>", 2, 1);
    write_word("EasyNeg.safetensors", "emb_params", 2, 1);
    write_word("one-trainer.safetensors", "emp_params", 2, 1);
    write_double("two.safetensors", "double.safetensors");
    bool ok = run(GENERATE "--embedding @/two.safetensors --prompt 'a <two>' --out @/want.png") == 0;
    test_true("two vectors", ok && said("word \"<two>\" (2 vectors) from "), "are reported");
    test_true("in capitals",
              run(GENERATE "--embedding @/two.safetensors --prompt 'a <TWO>' --out @/got.png") == 0 &&
                  same_pixels(folder, "got.png", "want.png"),
              "give the same picture");
    test_true("by the file's name",
              run(GENERATE "--embedding @/EasyNeg.safetensors --prompt 'a EasyNeg' --out @/got.png") == 0 &&
                  same_pixels(folder, "got.png", "want.png") && said("word \"EasyNeg\" (2 vectors) from "),
              "all vectors are used");
    test_true("in small letters",
              run(GENERATE "--embedding @/EasyNeg.safetensors --prompt 'a easyneg' --out @/got.png") == 0 &&
                  same_pixels(folder, "got.png", "want.png"),
              "as well");
    test_true(
        "OneTrainer's key",
        run(GENERATE "--embedding @/one-trainer.safetensors --prompt 'a one-trainer' --out @/got.png") == 0 &&
            same_pixels(folder, "got.png", "want.png"),
        "stands for the file's name");
    test_true("doubles",
              run(GENERATE "--embedding @/double.safetensors --prompt 'a <two>' --out @/got.png") == 0 &&
                  same_pixels(folder, "got.png", "want.png"),
              "are read");
    ok = run(GENERATE "--embedding @/two.safetensors --prompt cat --negative 'a <TWO>' --out @/got.png") ==
             0 &&
         run(GENERATE "--embedding @/two.safetensors --prompt cat --negative 'a <two>' --out @/other.png") ==
             0;
    test_true("in the negative prompt", ok && same_pixels(folder, "got.png", "other.png"), "all vectors too");
}

static void test_names(void) {
    test_true("another name",
              run(GENERATE "--embedding '<other>=@/two.safetensors' --prompt 'a <other>' --out @/got.png") ==
                      0 &&
                  same_pixels(folder, "got.png", "want.png") && said("word \"<other>\" (2 vectors) from ") &&
                  said(", where it is called \"<two>\""),
              "for this run");
    char *copy = mem_format("cp %s/two.safetensors '%s/a=b.safetensors'", folder, folder);
    CHECK(system(copy) == 0);
    free(copy);
    test_true("a file with = in its name",
              run(GENERATE "--embedding @/a=b.safetensors --prompt 'a <two>' --out @/got.png") == 0 &&
                  same_pixels(folder, "got.png", "want.png"),
              "is a file");
    write_word("cat.safetensors", "emb_params", 1, 3);
    test_true("a word of the vocabulary",
              run(GENERATE "--embedding @/cat.safetensors --prompt 'a cat' --out @/got.png") != 0 &&
                  said("cat.safetensors: the token 'cat' is in the model's vocabulary already") &&
                  said("--embedding NAME="),
              "is refused, and what to do is said");
    test_true("a word of the vocabulary",
              run(GENERATE "--embedding '<cat>=@/cat.safetensors' --prompt 'a <cat>' --out @/got.png") == 0,
              "under another name");
    test_true(
        "a word that no prompt uses",
        run(GENERATE "--embedding @/two.safetensors --prompt 'a <tow>' --out @/got.png") == 0 &&
            said("no prompt uses the word \"<two>\"; the most similar word in the prompts is \"<tow>\""),
        "is a warning");
}

static void test_folder(void) {
    char *make = mem_format(
        "mkdir %s/words && cp %s/two.safetensors %s/EasyNeg.safetensors %s/cat.safetensors %s/words && "
        "echo no >%s/words/broken.safetensors && echo >%s/words/notes.txt",
        folder, folder, folder, folder, folder, folder, folder);
    CHECK(system(make) == 0);
    free(make);
    test_true("a folder of words",
              run(GENERATE "--embedding @/words --prompt 'a EASYNEG' --out @/got.png") == 0 &&
                  same_pixels(folder, "got.png", "want.png") && said("word \"EasyNeg\"") &&
                  !said("word \"<two>\"") && said("skipped: ") && said("broken.safetensors"),
              "is loaded as far as prompts use it");
    test_true("a word of the vocabulary in a folder",
              run(GENERATE "--embedding @/words --prompt 'a <two> cat' --out @/got.png") == 0 &&
                  said("warning: ") && said("cat.safetensors: the token 'cat' is in the model's vocabulary"),
              "is a warning");
}

/* Tests a training run that starts from the vectors of a learned word. */
static void test_start(void) {
    int status =
        run("train " MODEL "--images golden/loop_pictures --token '<new>' --init @/two.safetensors --steps 1 "
            "--lr 1e-10 --weight-decay 0 --grid-loss 0 --resolution 64 --out @/run");
    Messages errors = { 0 };
    Safetensors start, end;
    char *from = in_folder("two.safetensors"), *to = in_folder("run/learned_embeds.safetensors");
    bool ok = status == 0 && safetensors_open(from, &start, &errors) && safetensors_open(to, &end, &errors);
    test_true("--init FILE", ok, "trains%s", text_of(&errors, ""));
    if (!ok) return;
    const SafeTensor *a = &start.tensors[0], *b = safetensors_find(&end, "<new>");
    double worst = b && b->size == a->size ? 0 : INFINITY;
    for (size_t i = 0; b && i < a->size / 4; i++) {
        float x, y;
        memcpy(&x, (const char *)a->weight.data + 4 * i, 4);
        memcpy(&y, (const char *)b->weight.data + 4 * i, 4);
        worst = test_worse(worst, fabs((double)x - (double)y));
    }
    test_below("from the word, with as many vectors as it has", worst, 1e-6);
    safetensors_close(&start);
    safetensors_close(&end);
    free(from);
    free(to);
    test_true("--resume", run("train --resume --out @/run --steps 2") == 0, "goes on with such a run");
    static const char *const prompts[] = { "a <new>", "a <NEW>" };
    for (int i = 0; i < 2; i++) {
        char *train = mem_format(
            "train " MODEL "--images golden/loop_pictures --token '<new>' --init @/two.safetensors "
            "--steps 1 --grid-loss 0 --resolution 64 --validation-prompt '%s' --validation-every 0 "
            "--sampling-steps 2 --out @/validated%d",
            prompts[i], i);
        ok = run(train) == 0;
        free(train);
        test_true("a validation prompt", ok, "gives a picture");
    }
    test_true("in the validation prompt",
              same_pixels(folder, "validated0/validation-1.png", "validated1/validation-1.png"),
              "all vectors in any case");
}

int main(void) {
    folder = folder_new();
    test_files();
    test_names();
    test_folder();
    test_start();
    folder_remove(folder);
    free(folder);
    return test_finish();
}
