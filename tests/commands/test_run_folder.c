/* SPDX-License-Identifier: MIT */
/* Resumes runs in folders that an earlier version of ti began, that were moved together with their pictures
   and model, in which any bit is damaged, or whose options.json was edited. Also tests that a run refuses to
   write into the folders of its inputs. */
#define _XOPEN_SOURCE 700
#include "tensor/rng.h"
#include "tests/command.h"
#include "tests/refusal.h"

#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include "weights/embedding.h"

static char *folder;

/* Runs a shell command, in which each @ stands for the folder of this test, and returns its exit status. Its
   standard error goes to @/stderr. */
static int shell(const char *line) {
    char *with = with_folder(line, folder),
         *all = mem_format("{ %s\n} 2>'%s/stderr' >/dev/null", with, folder);
    int status = system(all);
    free(with);
    free(all);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *in_folder(const char *name) { return mem_format("%s/%s", folder, name); }

static bool has_said(const char *what) {
    char *path = in_folder("stderr"), *text = read_text(path, NULL);
    bool found = strstr(text, what) != NULL;
    free(text);
    free(path);
    return found;
}

/* Tests that a shell command ends with this exit status and that its standard error contains a text. */
static void expect(const char *name, const char *line, int status, const char *says) {
    int got = shell(line);
    bool ok = got == status && has_said(says);
    if (!ok) shell("cat @/stderr >&1");
    test_true(name, ok, "exit status %d, %s", got, says);
}

static void expect_true(const char *name, const char *line) {
    int status = shell(line);
    test_true(name, status == 0, "exit status %d", status);
}

#define MODEL "--model golden/models/narrow "
#define TRAIN                                                                                                \
    "\"$TI\" train --token '<new>' --init a --resolution 16 --batch 2 --repeats 3 --checkpoint-every 0 "     \
    "--grid-loss 0 --threads 1 "

/* Resumes a run whose state is of version 2, after its folder, its pictures and its model have been moved. */
static void test_version_2(void) {
    expect_true("a run of version 2", "cp -r tests/runs/version2 @/old && mv @/old/pictures @/moved");
    expect("its pictures are elsewhere", "\"$TI\" train --resume --out @/old " MODEL, 1, "cannot be opened");
    expect("other pictures",
           "\"$TI\" train --resume --out @/old " MODEL "--images weights/critters/concepts/grum", 1,
           "is not one of the pictures that the run began with");
    expect("another model", "\"$TI\" train --resume --out @/old --images @/moved --model golden/models/wide",
           1, "golden/models/wide");
    expect("an option that it did not have",
           "\"$TI\" train --resume --out @/old --images @/moved " MODEL "--clip-skip 2", 1,
           "--clip-skip: is 2 now, and 1 in ");
    expect("where they are now", "\"$TI\" train --resume --out @/old --images @/moved " MODEL, 0,
           "continues at step 26 of 60");
    Messages errors = { 0 };
    float got[64] = { 0 }, want[64] = { 0 };
    Shape shape = { 0 };
    static const char *const paths[2] = { "tests/runs/version2/expected.safetensors",
                                          "@/old/old.safetensors" };
    for (int i = 0; i < 2; i++) {
        char *path = with_folder(paths[i], folder);
        size_t size;
        char *bytes = read_text(path, &size);
        Embeddings word;
        CHECK(embeddings_parse(path, bytes, size, &word, &errors));
        shape = shape2(word.words[0].vectors, word.words[0].width);
        CHECK(shape_count(shape) <= 64);
        memcpy(i ? got : want, word.words[0].learned, (size_t)shape_count(shape) * sizeof(float));
        embeddings_free(&word);
        free(bytes);
        free(path);
    }
    test_close("the word that version ended with", got, want, shape, 1e-4, -1);
    expect("it is finished, and remembers where things are", "cd @ && \"$TI\" train --resume --out old", 0,
           "all its 60 steps are done");
    expect_true("its losses begin with those of before",
                "head -c $(wc -c <tests/runs/version2/losses.csv) @/old/losses.csv | head -n 40 >@/a; "
                "head -n 40 tests/runs/version2/losses.csv | cmp - @/a");
}

/* Makes a run of 4 steps that starts from a learned word, and a copy of the run that is extended to 6 steps
   after the file of that word has been deleted. */
static void make_base(void) {
    expect_true("a word to start from", TRAIN MODEL "--images @/pictures --steps 1 --out @/first");
    expect_true(
        "a run that starts from it",
        "\"$TI\" train --token '<new>' --init @/first/new.safetensors --resolution 16 --batch 2 --repeats 3 "
        "--checkpoint-every 0 --grid-loss 2 --threads 1 " MODEL "--images @/pictures --steps 4 --out @/base");
    expect_true("two steps more",
                "cp -r @/base @/whole && rm -r @/first && \"$TI\" train --resume --steps 6 --out @/whole");
}

static void test_words(void) {
    expect("a word's file that is gone",
           "cp -r @/whole @/run && rm @/run/new.safetensors && \"$TI\" train --resume --out @/run", 0,
           "new.safetensors: was damaged or missing and has been rewritten");
    expect_true("is there again",
                "cmp @/run/new.safetensors @/whole/new.safetensors; s=$?; rm -r @/run; exit $s");
}

/* Changes one bit of a file of a run. Either resuming is then refused, or the run ends as if the bit had not
   changed. */
static void test_bits(const char *name, int count, uint64_t seed) {
    Generator random;
    generator_seed(&random, seed);
    int refused = 0, same = 0, wrong = 0;
    char *base = mem_format("%s/base/%s", folder, name), *path = mem_format("%s/run/%s", folder, name);
    size_t size;
    char *bytes = read_text(base, &size);
    for (int i = 0; i < count; i++) {
        Messages errors = { 0 };
        int64_t at = generator_randint(&random, 0, (int64_t)size);
        char bit = (char)(1 << generator_randint(&random, 0, 8));
        CHECK(shell("rm -rf @/run; cp -r @/base @/run") == 0);
        bytes[at] ^= bit;
        CHECK(file_write(path, bytes, size, &errors));
        bytes[at] ^= bit;
        int status = shell("\"$TI\" train --resume --steps 6 --out @/run");
        bool equal = shell("cmp @/run/new.safetensors @/whole/new.safetensors && "
                           "cmp @/run/losses.csv @/whole/losses.csv") == 0;
        refused += status == 1;
        same += status == 0 && equal;
        if (status != 1 && !(status == 0 && equal)) {
            printf("%s: byte %lld, bit %d: exit status %d\n", name, (long long)at, bit, status);
            wrong++;
        }
    }
    test_true(name, wrong == 0 && refused + same == count,
              "%d bits: %d refused, %d to the same bits, %d wrong", count, refused, same, wrong);
    free(bytes);
    free(base);
    free(path);
}

/* An options.json cannot set options that do not belong to the run, and nothing is written outside the
   folder. */
static void test_options(void) {
    expect("a run that would dump, force and do nothing",
           "rm -rf @/run; cp -r @/base @/run; sed -i 's#\"threads\"#\"dump\":\t\"@/dumped\",\"force\":\ttrue,"
           "\"dry-run\":\ttrue,\"json\":\ttrue,\"resume\":\tfalse,\"out\":\t\"@/else\",\"threads\"#' "
           "@/run/options.json; \"$TI\" train --resume --steps 6 --out @/run",
           0, "continues at step 4 of 6");
    expect_true("goes on, and writes nothing elsewhere",
                "cmp @/run/new.safetensors @/whole/new.safetensors && [ ! -e @/dumped ] && [ ! -e @/else ]");
    expect("more steps than it was given",
           "rm -rf @/run; cp -r @/base @/run; sed -i 's/\"steps\":\t4/\"steps\":\t6/' @/run/options.json; "
           "\"$TI\" train --resume --out @/run",
           1, "options.json: has 6 steps, and the run had 4: say which with --steps");
    expect("steps that are said", "\"$TI\" train --resume --steps 6 --out @/run", 0,
           "continues at step 4 of 6");
    expect("losses that are a link",
           "rm -rf @/run; cp -r @/base @/run; mv @/run/losses.csv @/l; ln -s @/l @/run/losses.csv; "
           "\"$TI\" train --resume --steps 6 --out @/run",
           1, "losses.csv: cannot be opened");
    expect("losses of the same length",
           "rm -rf @/run; cp -r @/base @/run; sed -i '2s/5/6/' @/run/losses.csv; "
           "\"$TI\" train --resume --steps 6 --out @/run",
           1, "losses.csv: was changed");
}

/* Tests a damaged cache that is in the folder already when a run begins. */
static void test_cache(void) {
    expect("--force over a damaged cache",
           "rm -rf @/run; cp -r @/base @/run; printf x | dd of=@/run/latents.safetensors bs=1 seek=3000 "
           "conv=notrunc 2>/dev/null; " TRAIN MODEL "--images @/pictures --steps 2 --force --out @/run",
           0, "latents.safetensors: is damaged");
    expect_true(
        "and what a new folder gives", TRAIN MODEL
        "--images @/pictures --steps 2 --out @/fresh && cmp @/fresh/new.safetensors @/run/new.safetensors");
}

/* A run may not write into folders that it reads. A token that is also the name of another file of the run
   gets a file with "-word" in its name. */
static void test_places(void) {
    static const char where[] = ", which the run reads; choose another folder";
    static const char *const places[][2] = {
        { "the pictures", "--images @/pictures --out @/pictures --force " MODEL },
        { "the pictures, by a link", "--images @/pictures --out @/link/ --force " MODEL },
        { "the model", "--images @/pictures --model @/model --out @/model --force" },
        { "a part of the model", "--images @/pictures --model @/model --out @/model/unet --force" },
        { "in the model", "--images @/pictures --model @/model --out @/model/new" },
        { "in the model, that is not there yet",
          "--images @/pictures --model @/model --out @/a/../model/b/c" },
        { "the VAE", "--images @/pictures " MODEL "--vae @/model/vae --out @/model/vae/x" },
        { "a part behind a link", "--images @/pictures --model @/linked --out @/model/unet --force" },
        { "the dump", "--images @/pictures --model @/model --dump @/model/dump" },
    };
    CHECK(shell("cp -r golden/models/narrow @/model; ln -s @/pictures @/link; mkdir @/linked; "
                "ln -s @/model/* @/linked/; ls -laR @/model @/pictures >@/before") == 0);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *line = mem_format(TRAIN "--steps 1 %s", places[i][1]);
        expect(places[i][0], line, 1, where);
        free(line);
    }
    expect_true("nothing was written", "ls -laR @/model @/pictures | cmp - @/before");
    expect_true("beside the pictures", "cd @/pictures && \"$TI\" train --token '<x>' --init a --resolution "
                                       "16 --steps 1 --images . --out out/x "
                                       "--model @/model && ls out/x/x.safetensors && rm -r out");
    static const char *const tokens[] = { "latents", "<losses>", "options", "<loss>", "Learned_embeds" };
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        char *line =
            mem_format("rm -rf @/run; \"$TI\" train --token '%s' --init a --resolution 16 --steps 1 --images "
                       "@/pictures --out @/run --model @/model && ls @/run/*-word.safetensors && "
                       "\"$TI\" inspect @/run/learned_embeds.safetensors | grep '%s'",
                       tokens[i], tokens[i]);
        expect_true(tokens[i], line);
        free(line);
    }
}

int main(void) {
    setenv("OMP_WAIT_POLICY", "passive", 1);
    char *program = realpath(getenv("TI"), NULL);
    CHECK(program);
    setenv("TI", program, 1);
    free(program);
    folder = folder_new();
    CHECK(shell("cp -r tests/runs/version2/pictures @/pictures") == 0);
    test_version_2();
    make_base();
    test_words();
    int count = getenv("QUICK") ? 4 : getenv("BITS") ? atoi(getenv("BITS")) : 20;
    static const char *const names[] = { "run.state", "options.json", "losses.csv", "latents.safetensors" };
    for (int i = 0; i < 4; i++) test_bits(names[i], count, 3 + (uint64_t)i);
    test_options();
    test_cache();
    test_places();
    folder_remove(folder);
    free(folder);
    return test_finish();
}
