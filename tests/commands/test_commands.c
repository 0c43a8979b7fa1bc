/* What the commands write beside their main result, by one and the same number from two sides: the fixed-grid
   loss against PyTorch's (golden/grid.py) and in `ti train` against `ti evaluate`, a validation picture
   against `ti generate`, contact sheets, profiles. TI names the program; run from the repository's root. */
#include "io/image.h"
#include "tests/command.h"
#include "tests/golden.h"
#include "tests/refusal.h"

#include <math.h>
#include <unistd.h>

/* A small model that trains and draws in a moment, and a word that it knows. */
#define SMALL "--model golden/models/wide --threads 2"
#define DRAW  "--steps 2 --guidance 3 --seed 5"

/* The number that follows `words` in a text; NaN where they are not there. */
static double number_after(const char *text, const char *words) {
    const char *at = strstr(text, words);
    return at ? strtod(at + strlen(words), NULL) : (double)NAN;
}

/* `ti COMMAND ARGUMENTS`, with folder for each "@"; what it prints, NULL and a failed check where it
   fails. */
static char *run(const char *folder, const char *arguments) {
    char *with = mem_string("");
    for (const char *c = arguments; *c; c++) {
        char *longer = *c == '@' ? mem_format("%s%s", with, folder) : mem_format("%s%c", with, *c);
        free(with);
        with = longer;
    }
    int status;
    char *out = output_of_ti(with, &status);
    test_true(arguments, status == 0, "exit status %d", status);
    free(with);
    if (status == 0) return out;
    free(out);
    return NULL;
}

/* The loss is printed with five digits after the point. */
static void test_grid(const Golden *g, const char *name) {
    const char *options = golden_meta(g, "%s/options", name);
    float *want = golden_floats(g, "%s/loss", name);
    const char *model = strstr(options, "--model") ? "" : "--model weights/critters";
    for (int batch = 3; batch <= 4; batch++) { /* 3 does not divide the number of points */
        char *command = mem_format("evaluate %s %s --batch %d", options, model, batch);
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

/* The loss at some steps of a run is what `ti evaluate` finds for the word as it is then. */
static void same_loss(const char *folder, const char *trained, const char *words, const char *evaluate) {
    char *out = run(folder, evaluate);
    if (!out) return;
    double a = number_after(trained, words), b = number_after(out, "fixed-grid loss ");
    test_true(evaluate, fabs(a - b) < 1.5e-5, "%.5f in the run, %.5f by itself", a, b);
    free(out);
}

#define EVALUATE "evaluate " SMALL " --images golden/loop_pictures --batch 2 "

static void test_train(const char *folder) {
    char *out =
        run(folder, "train " SMALL " --images golden/loop_pictures --token '<z>' --init cat "
                    "--steps 3 --batch 2 --lr 1 --repeats 2 --seed 5 --grid-loss 1 --checkpoint-every 2 "
                    "--validation-prompt 'a <z>' --validation-every 2 --sampling-steps 2 --guidance 3 "
                    "--profile --out @/run");
    if (!out) return;
    same_loss(folder, out, "\nfixed-grid loss ", EVALUATE "--init cat");
    same_loss(folder, out, "step 2: fixed-grid loss ",
              EVALUATE "--embedding @/run/learned_embeds-steps-2.safetensors");
    same_loss(folder, out, " before, ", EVALUATE "--embedding @/run/learned_embeds.safetensors");
    double before = number_after(out, "\nfixed-grid loss "), after = number_after(out, " before, ");
    test_true("the word was learned", after < before - 1e-3, "%.5f before, %.5f after", before, after);
    test_true("a profile", strstr(out, "conv2d") && strstr(out, "backward") && strstr(out, "100.0%"),
              "forward and backward");
    test_true("two pictures on the way, two copies",
              exists(folder, "run/validation-2.png") && exists(folder, "run/validation-3.png") &&
                  !exists(folder, "run/validation-1.png") &&
                  !exists(folder, "run/learned_embeds-steps-1.safetensors") && exists(folder, "run/loss.png"),
              "at steps 2 and 3");
    free(out);
    free(run(folder, "generate " SMALL " " DRAW " --embedding @/run/learned_embeds.safetensors "
                     "--prompt 'a <z>' --out @/z.png"));
    same_picture("a validation picture", folder, "z.png", "run/validation-3.png");
}

static void test_sheets(const char *folder) {
    char *out = run(folder, "generate " SMALL " " DRAW " --prompt 'a cat' --count 2 --grid --profile "
                            "--out @/p.png");
    if (!out) return;
    test_true("the sheet is named", strstr(out, "/p-grid.png"), "p-grid.png");
    test_true("a profile of drawing", strstr(out, "attention") && !strstr(out, "backward"), "forward alone");
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

/* No command, and one that doesn't exist */
static void test_usage(void) {
    static const char *const wrong[] = { "", "paint" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int status;
        char *out = output_of_ti(wrong[i], &status);
        test_true("usage", status == 2 && !*out, "'%s': exit status %d", wrong[i], status);
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
    test_usage();
    folder_remove(folder);
    free(folder);
    return test_finish();
}
