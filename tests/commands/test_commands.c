/* SPDX-License-Identifier: MIT */
/* Compares results that two commands or two programs must agree on: the fixed-grid loss of `ti evaluate` with
   PyTorch's (golden/grid.py) and with that of `ti train`, and a validation picture with one of `ti generate`.
   Also tests contact sheets, profiles, wrong usage and --version. TI names the program; run from the
   repository's root. */
#include "cli/help.h"
#include "io/image.h"
#include "tests/command.h"
#include "tests/golden.h"
#include "tests/refusal.h"

#include <math.h>
#include <unistd.h>

/* A small model, which trains and generates within a second. */
#define SMALL   "--model golden/models/wide --threads 2"
#define SAMPLER "--steps 2 --guidance 3 --seed 5"

/* Returns the number that follows `words` in a text, or NaN when they are not there. */
static double number_after(const char *text, const char *words) {
    const char *at = strstr(text, words);
    return at ? strtod(at + strlen(words), NULL) : (double)NAN;
}

/* Runs `ti ARGUMENTS`, in which each "@" stands for the folder. Returns what it prints, which the caller
   frees. When the command fails, the test fails and NULL is returned. */
static char *run(const char *folder, const char *arguments) {
    int status;
    char *with = with_folder(arguments, folder);
    char *out = output_of_ti(with, &status);
    test_true(arguments, status == 0, "exit status %d", status);
    free(with);
    if (status == 0) return out;
    free(out);
    return NULL;
}

/* Compares the fixed-grid loss with PyTorch's. It is printed with five digits after the point. */
static void test_grid(const Golden *g, const char *name) {
    const char *options = golden_meta(g, "%s/options", name);
    float *want = golden_floats(g, "%s/loss", name);
    const char *model = strstr(options, "--model") ? "" : "--model weights/critters";
    for (int batch = 3; batch <= 4; batch++) { /* 3 does not divide the number of grid points. */
        char *command = mem_format("evaluate %s %s --clip none --batch %d", options, model, batch);
        char *out = run("", command), *label = mem_format("%s.grid loss, batch %d", name, batch);
        if (out)
            test_below(label, fabs(number_after(out, "fixed-grid loss ") - (double)want[0]),
                       5e-6 + 1e-5 * (double)want[0]);
        free(label);
        free(out);
        free(command);
    }
    free(want);
}

static bool exists(const char *folder, const char *name) {
    char *path = mem_format("%s/%s", folder, name);
    bool there = access(path, R_OK) == 0;
    free(path);
    return there;
}

static void same_picture(const char *label, const char *folder, const char *a, const char *b) {
    char *paths[2] = { mem_format("%s/%s", folder, a), mem_format("%s/%s", folder, b) };
    Messages errors = { 0 };
    Image images[2] = { { 0 }, { 0 } };
    bool ok = image_load(paths[0], &images[0], &errors) && image_load(paths[1], &images[1], &errors) &&
              images[0].width == images[1].width && images[0].height == images[1].height;
    test_true(label, ok, "%s", text_of(&errors, "of one size"));
    if (ok)
        test_same(label, images[0].rgb, images[1].rgb,
                  (size_t)images[0].width * (size_t)images[0].height * 3);
    for (int i = 0; i < 2; i++) {
        image_free(&images[i]);
        free(paths[i]);
    }
    messages_free(&errors);
}

/* Compares the fixed-grid loss that a run prints after `words` with that of `ti evaluate` for the learned
   word of that step. */
static void same_loss(const char *folder, const char *trained, const char *words, const char *evaluate) {
    char *out = run(folder, evaluate);
    if (!out) return;
    double a = number_after(trained, words), b = number_after(out, "fixed-grid loss ");
    test_true(evaluate, fabs(a - b) < 1.5e-5, "%.5f in the run, %.5f of ti evaluate", a, b);
    free(out);
}

/* These hold for training, for its validation pictures and for the commands that are compared with it. */
#define SKIP     "--clip-skip 2 "
#define RESCALE  "--guidance-rescale 0.7 --negative 'a dark cat' "
#define EVALUATE "evaluate " SMALL " --images golden/loop_pictures --batch 2 "

static void test_train(const char *folder) {
    char *out =
        run(folder, "train " SMALL " --images golden/loop_pictures --token '<z>' --init cat "
                    "--steps 3 --batch 2 --lr 1 --repeats 2 --seed 5 --grid-loss 1 --checkpoint-every 2 "
                    "--validation-prompt 'a <z>' --validation-every 2 --sampling-steps 2 --guidance 3 "
                    "--profile " SKIP RESCALE "--out @/run");
    if (!out) return;
    same_loss(folder, out, "\nfixed-grid loss ", EVALUATE SKIP "--init cat");
    same_loss(folder, out, "step 2: fixed-grid loss ",
              EVALUATE SKIP "--embedding @/run/learned_embeds-steps-2.safetensors");
    same_loss(folder, out, " before, ", EVALUATE SKIP "--embedding @/run/learned_embeds.safetensors");
    double before = number_after(out, "\nfixed-grid loss "), after = number_after(out, " before, ");
    char *all_layers = run(folder, EVALUATE "--init cat");
    double other = all_layers ? number_after(all_layers, "fixed-grid loss ") : before;
    test_true("skipped layers matter", fabs(other - before) > 1e-4, "%.5f with all, %.5f without", other,
              before);
    free(all_layers);
    test_true("the word was learned", after < before - 1e-3, "%.5f before, %.5f after", before, after);
    test_true("a profile", strstr(out, "conv2d") && strstr(out, "backward") && strstr(out, "100.0%"),
              "forward and backward");
    test_true("validation pictures and checkpoints",
              exists(folder, "run/validation-2.png") && exists(folder, "run/validation-3.png") &&
                  !exists(folder, "run/validation-1.png") &&
                  !exists(folder, "run/learned_embeds-steps-1.safetensors") && exists(folder, "run/loss.png"),
              "at steps 2 and 3");
    free(out);
    free(run(folder,
             "generate " SMALL " " SAMPLER " " SKIP RESCALE "--embedding @/run/learned_embeds.safetensors "
             "--prompt 'a <z>' --out @/z.png"));
    same_picture("a validation picture", folder, "z.png", "run/validation-3.png");
}

static void test_sheets(const char *folder) {
    char *out = run(folder, "generate " SMALL " " SAMPLER " --prompt 'a cat' --count 2 --grid --profile "
                            "--out @/p.png");
    if (!out) return;
    test_true("the sheet is named", strstr(out, "/p-grid.png"), "p-grid.png");
    test_true("a profile of sampling", strstr(out, "attention") && !strstr(out, "backward"), "forward only");
    free(out);
    free(run(folder, "sheet --out @/sheet.png --title 'a title' @/p-1.png 'a row' @/p-2.png"));
    Messages errors = { 0 };
    char *path = mem_format("%s/sheet.png", folder);
    Image sheet = { 0 };
    bool ok = image_load(path, &sheet, &errors);
    test_true("a sheet of two rows", ok && sheet.height > 2 * sheet.width / 2, "%d x %d", sheet.width,
              sheet.height);
    image_free(&sheet);
    int status;
    char *command = mem_format("sheet --out %s %s/p-1.png", path, folder);
    free(output_of_ti(command, &status));
    test_true("a sheet that exists", status == 1, "exit status %d", status);
    free(command);
    free(run(folder, "sheet --force --out @/sheet.png @/p-1.png"));
    command = mem_format("sheet --force --out %s %s/no.png", path, folder);
    free(output_of_ti(command, &status));
    test_true("a picture that is not there", status == 1, "exit status %d", status);
    free(command);
    free(path);
    messages_free(&errors);
}

/* Each line of --prompts draws as a command of its own, also where lines need different numbers of chunks. */
static void test_prompts(const char *folder) {
    char *path = mem_format("%s/p.txt", folder);
    FILE *f = fopen(path, "w");
    CHECK(f && fputs("# two\n(a cat:1.3), BREAK toy\r\n\na toy\tat BREAK cat\n", f) >= 0 && fclose(f) == 0);
    free(path);
    static const char *const common = "generate " SMALL " " SAMPLER " --prompt-syntax a1111 --count 2 ";
    char *commands[] = { mem_format("%s--negative an --prompts @/p.txt --grid --out @/l.png", common),
                         mem_format("%s--negative an --prompt '(a cat:1.3), BREAK toy' --out @/a.png",
                                    common),
                         mem_format("%s--negative 'at BREAK cat' --prompt 'a toy' --out @/b.png", common) };
    for (int i = 0; i < 3; i++) {
        char *out = run(folder, commands[i]);
        if (i == 0) test_true("all are named", out && strstr(out, "/l-2-grid.png"), "l-2-grid.png");
        free(out);
        free(commands[i]);
    }
    same_picture("a line of --prompts", folder, "l-1-1.png", "a-1.png");
    same_picture("a line of --prompts", folder, "l-1-2.png", "a-2.png");
    same_picture("a line of --prompts", folder, "l-2-1.png", "b-1.png");
    same_picture("a line of --prompts", folder, "l-2-2.png", "b-2.png");
}

/* Without a command and with an unknown one, ti prints nothing on stdout and ends with status 2. */
static void test_usage(void) {
    static const char *const wrong[] = { "", "paint" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int status;
        char *out = output_of_ti(wrong[i], &status);
        test_true("usage", status == 2 && !*out, "'%s': exit status %d", wrong[i], status);
        free(out);
    }
}

/* --version prints the version and facts about the build and the machine, one per line. --help, the manual
   page and the completions list it. */
static void test_version(void) {
    char *out = run("", "--version");
    if (out) {
        static const char *const parts[] = { "ti " TI_VERSION "\ncompiled by ", "\nOpenBLAS ", ", kernels ",
                                             "\nphysical cores: " };
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            test_true("--version", strstr(out, parts[i]) != NULL, "%s", out);
        test_true("physical cores", number_after(out, "\nphysical cores: ") >= 1, "1 or more");
        free(out);
    }
    static const struct {
        const char *command, *part;
    } known[] = { { "--help", "ti --version " },
                  { "help --man", "\\-\\-version" },
                  { "help --completion bash", " --version\"" },
                  { "help --completion zsh", "'--version:" } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        out = run("", known[i].command);
        test_true(known[i].command, out && strstr(out, known[i].part), "lists --version");
        free(out);
    }
}

int main(void) {
    Golden *g = golden_open("golden/grid.safetensors");
    static const char *const cases[] = { "critters", "style", "v_prediction" };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) test_grid(g, cases[i]);
    golden_free(g);
    char *folder = folder_new();
    test_train(folder);
    test_sheets(folder);
    test_prompts(folder);
    test_usage();
    test_version();
    folder_remove(folder);
    free(folder);
    return test_finish();
}
