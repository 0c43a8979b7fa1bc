/* SPDX-License-Identifier: MIT */
/* Tests `ti generate --like`: pictures of every kind are drawn again to the same bytes, options change them,
   and what cannot be drawn again is refused. */
#define _POSIX_C_SOURCE 200809L
#include "io/file.h"
#include "tests/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL "--model golden/models/narrow --steps 2 "

static char *folder;

static char *run(const char *arguments, int *status) {
    char *command = with_folder(arguments, folder), *out = output_of_ti(command, status);
    free(command);
    return out;
}

static void works(const char *arguments) {
    int status;
    free(run(arguments, &status));
    if (status != 0) test_true(arguments, false, "exit status %d", status);
}

static bool same_bytes(const char *a, const char *b) {
    char *command = mem_format("cmp -s %s/%s %s/%s", folder, a, folder, b);
    bool same = system(command) == 0;
    free(command);
    return same;
}

/* Draws a picture again and expects the same bytes. */
static void again(const char *name) {
    const char *ending = strrchr(name, '.');
    char *command = mem_format("generate --like @/%s --force --threads 1 --out @/again%s", name, ending);
    char *copy = mem_format("again%s", ending);
    works(command);
    test_true("the same bytes", same_bytes(name, copy), "%s", name);
    free(command);
    free(copy);
}

static void test_again(void) {
    works("generate " MODEL
          "--embedding golden/words/a1111.pt --prompt 'an a1111' --grid --count 3 --seed 4 --sampler "
          "euler-a --out @/w.png");
    again("w-1.png");
    again("w-3.png");
    works("generate " MODEL
          "--prompt toy --count 2 --rng gpu --sampler dpm++2m --karras --guidance 3 --clip-skip 2 --out "
          "@/g.jpg");
    again("g-2.jpg");
    works("generate " MODEL
          "--prompt toy --init-image golden/init_picture.png --width 16 --height 16 --strength 0.6 --out "
          "@/i.png");
    again("i.png");
    works("generate " MODEL
          "--prompt toy --init-image golden/init_square.png --mask golden/init_square_mask.png "
          "--no-paste --out @/m.png");
    again("m.png");
    works("generate " MODEL "--prompt toy --latents golden/latents.safetensors --out @/l.png");
    again("l-2.png");
    /* Three pictures go through the UNet together here, and the last pass repeats two of them. */
    works("generate " MODEL "--prompt toy --count 4 --width 48 --height 48 --out @/b.png");
    again("b-2.png");
    again("b-4.png");
    works("generate --model golden/models/narrow --steps ays --prompt toy --out @/a.png");
    again("a.png");
}

static void test_prompts(void) {
    Messages errors = { 0 };
    char *path = with_folder("@/p.txt", folder);
    static const char lines[] = "a cat\n(toy:1.2)\tan [animal]\n";
    CHECK(file_write(path, lines, sizeof lines - 1, &errors));
    free(path);
    works("generate " MODEL "--prompts @/p.txt --negative at --prompt-syntax a1111 --out @/p.png");
    again("p-1.png");
    again("p-2.png");
    works("generate " MODEL
          "--prompt '(toy:1.2)' --negative 'an [animal]' --prompt-syntax a1111 --out @/own.png");
    test_true("a line's record is that of a command of its own", same_bytes("p-2.png", "own.png"), "p-2.png");
}

/* Options change the picture; the rest stays. */
static void test_changes(void) {
    static const struct {
        const char *like, *change, *as;
    } CASES[] = {
        { "@/w-2.png", "--picture 3", "--count 3 --picture 3 --seed 4 --sampler euler-a" },
        { "@/w-2.png", "--count 1 --seed 9", "--seed 9 --sampler euler-a" },
        { "@/w-2.png", "--sampler ddim --eta 0.5",
          "--count 3 --picture 2 --seed 4 --sampler ddim --eta 0.5" },
        { "@/w-2.png", "--latents golden/latents.safetensors --picture 1",
          "--latents golden/latents.safetensors --picture 1 --seed 4 --sampler euler-a" },
        { "@/w-2.png", "--init-image golden/init_square.png",
          "--count 3 --picture 2 --seed 4 --sampler euler-a --init-image "
          "golden/init_square.png --width 16 --height 16" },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *like =
            mem_format("generate --like %s %s --force --out @/1.png", CASES[i].like, CASES[i].change);
        char *as = mem_format("generate " MODEL
                              "--embedding golden/words/a1111.pt --prompt 'an a1111' %s --force --out "
                              "@/2.png",
                              CASES[i].as);
        works(like);
        works(as);
        test_true("a changed picture", same_pixels(folder, "1.png", "2.png"), "%s", CASES[i].change);
        free(like);
        free(as);
    }
    works("generate --like @/g-2.jpg --no-karras --prompt cat --force --out @/1.png");
    works("generate " MODEL
          "--prompt cat --count 2 --picture 2 --rng gpu --sampler dpm++2m --no-karras --guidance 3 "
          "--clip-skip 2 --force --out @/2.png");
    test_true("a flag and a prompt change", same_bytes("1.png", "2.png"), "--no-karras --prompt");
    works("generate --like @/g-2.jpg --no-metadata --force --out @/1.jpg");
    test_true("without texts", same_pixels(folder, "1.jpg", "g-2.jpg") && !same_bytes("1.jpg", "g-2.jpg"),
              "the same picture");
}

/* Noise from a file takes the place of the picture, of its mask and of what belongs to them. */
static void test_replaced(void) {
    works("generate --like @/m.png --latents golden/latents.safetensors --picture 1 --force --out @/1.png");
    test_true("noise instead of a picture", same_pixels(folder, "1.png", "l-1.png"), "--latents");
}

/* A word has the same hash alone and behind another one, and a record has hashes of words or of files only
   where there are such. */
static void test_hashes(void) {
    int status;
    works("generate " MODEL "--embedding golden/words/paper.pt --prompt paper --out @/one.png");
    works("generate " MODEL "--embedding golden/words/a1111.pt --embedding golden/words/paper.pt "
          "--prompt 'a1111 paper' --out @/two.png");
    char *one = run("inspect @/one.png", &status), *two = run("inspect @/two.png", &status);
    const char *hash = strstr(one, "\"paper\":\"");
    CHECK(hash && strlen(hash) > 73);
    char *wanted = mem_format("%.73s", hash);
    test_true("the hash of the second word", strstr(two, wanted) != NULL, "%s", wanted);
    char *begun = run("inspect @/i.png", &status);
    test_true("hashes of words alone", strstr(one, "\"words\":{") && !strstr(one, "\"files\":"), "one.png");
    test_true("hashes of files alone", strstr(begun, "\"files\":{") && !strstr(begun, "\"words\":"), "i.png");
    free(begun);
    free(wanted);
    free(one);
    free(two);
}

static void expect(const char *arguments, int want, const char *part) {
    int status;
    char *out = run(arguments, &status);
    test_true(arguments, status == want && strstr(out, part), "exit status %d", status);
    free(out);
}

static void test_inspect(void) {
    expect("inspect @/w-2.png", 0,
           "an a1111\nSteps: 2, Sampler: Euler a, Schedule type: Uniform, CFG scale: 7.5, Seed: 4, Size: "
           "16x16, Model: narrow, Batch size: 3, Batch pos: 1, RNG: CPU, TI hashes: \"a1111: ");
    expect("inspect @/w-2.png", 0, "\nti: {\"version\":");
    expect("inspect @/g-2.jpg", 0, "Seed: 1, ");
    expect("inspect --json @/w-2.png", 0, "\"picture\":\t2,");
    expect("inspect @/w-grid.png", 0, "\"grid\":true}");
    expect("inspect golden/picture_text/unicode.png", 0,
           "Model: v1-5, TI hashes: \"grum: 0123456789ab\", Version: v1.10.0\n");
    expect("inspect golden/picture_text/bare.png", 1, "");
    expect("generate --like golden/picture_text/plain.png --out @/x.png", 1, "Version: v1.10.0\n");
}

/* A validation picture is drawn again as long as its word is there. */
static void test_validation(void) {
    works(
        "train --model golden/models/narrow --images golden/loop_pictures --token '<v>' --init cat --steps 3 "
        "--checkpoint-every 2 --validation-every 1 --validation-prompt 'a <v>' --sampling-steps 2 "
        "--grid-loss 0 --out "
        "@/run");
    works("generate --like @/run/validation-2.png --out @/v2.png");
    test_true("the validation picture of a checkpoint", same_pixels(folder, "v2.png", "run/validation-2.png"),
              "step 2");
    works("generate --like @/run/validation-3.png --out @/v3.png");
    test_true("that of the last step", same_pixels(folder, "v3.png", "run/validation-3.png"), "step 3");
    again("v3.png");
    expect("inspect @/run/validation-2.png", 0,
           "\"step\":2,\"word\":\"learned_embeds-steps-2.safetensors\"}");
    works("sheet --out @/sheet.png --title T row @/v2.png");
    expect("inspect @/sheet.png", 0, "\"sheet\":{\"title\":\"T\",\"arguments\":[\"row\",");
}

int main(void) {
    folder = folder_new();
    test_again();
    test_prompts();
    test_changes();
    test_replaced();
    test_hashes();
    test_inspect();
    test_validation();
    folder_remove(folder);
    free(folder);
    return test_finish();
}
