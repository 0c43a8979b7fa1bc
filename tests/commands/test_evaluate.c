/* SPDX-License-Identifier: MIT */
/* Tests the scores of `ti evaluate` in CLIP's space: those of existing pictures against transformers'
   (golden/clip.py), those of drawn pictures against the same pictures drawn by `ti generate`, the best
   pictures of `ti generate --keep`, the checkpoints of a run, and models whose CLIP is a safety checker or
   that have none. TI names the program; run from the repository's root. */
#include "io/image.h"
#include "io/json.h"
#include "tests/command.h"
#include "tests/golden.h"
#include "tests/refusal.h"

#include <math.h>

static char *folder; /* for what the tests write */

static const char *const SCORES[] = { "image_similarity", "text_similarity", "text_similarity_of_mean" };
enum { SCORE_COUNT = 3 };
static const double TOLERANCE = 1e-4;

#define EVALUATE "evaluate --images '@/grum' "
#define DRAWN    "--count 2 --steps 2 --seed 7 "

static void shell(const char *format, ...) PRINTF_LIKE(1, 2);
static void shell(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *line = mem_format_list(format, args), *with = with_folder(line, folder);
    va_end(args);
    CHECK(system(with) == 0);
    free(line);
    free(with);
}

/* Runs `ti ARGUMENTS --json`, in which each @ stands for the folder, and returns the document. */
static json_t *numbers(const char *arguments) {
    int status;
    char *with = with_folder(arguments, folder), *command = mem_format("%s --json 2>/dev/null", with);
    char *out = output_of_ti(command, &status);
    Messages errors = { 0 };
    json_t *document = status == 0 ? json_parse("stdout", out, strlen(out), false, &errors) : NULL;
    test_true(arguments, document != NULL, "exit status %d", status);
    free(out);
    free(command);
    free(with);
    messages_free(&errors);
    return document;
}

/* Returns a number of a document, and NaN where it is null or absent. */
static double number(const json_t *o, const char *key) {
    const json_t *m = json_object_get(o, key);
    return json_is_number(m) ? json_number_value(m) : (double)NAN;
}

/* Compares a score and its error; both may be absent. */
static void compare_score(const char *label, const json_t *got, const json_t *want, const char *key) {
    char *error = mem_format("%s_error", key), *name = mem_format("%s: %s", label, key);
    double a = number(got, key), b = number(want, key), c = number(got, error), d = number(want, error);
    test_true(name, fabs(a - b) <= TOLERANCE && (isnan(d) ? isnan(c) : fabs(c - d) <= TOLERANCE),
              "%.6f +- %.6f, the reference %.6f +- %.6f", a, c, b, d);
    free(error);
    free(name);
}

/* Copies the pictures of a JSON list to a folder of that name, numbered, so that one may occur twice. */
static void copy_pictures(const char *name, const json_t *list) {
    shell("rm -rf '@/%s' && mkdir '@/%s'", name, name);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *path = json_string_value(json_array_get(list, i));
        shell("cp '%s' '@/%s/%02d%s'", path, name, (int)i, strrchr(path, '.'));
    }
}

static void test_sets(const Golden *g) {
    Messages errors = { 0 };
    const char *text = golden_meta(g, "sets");
    json_t *sets = json_parse("sets", text, strlen(text), false, &errors);
    test_true("sets", json_array_size(sets) == 10, "%d", (int)json_array_size(sets));
    for (size_t i = 0; i < json_array_size(sets); i++) {
        const json_t *set = json_array_get(sets, i);
        copy_pictures("references", json_object_get(set, "references"));
        copy_pictures("pictures", json_object_get(set, "pictures"));
        char *command = mem_format("evaluate --images '@/references' --pictures '@/pictures' --text '%s'",
                                   json_string_value(json_object_get(set, "text")));
        json_t *got = numbers(command);
        char *label = mem_format("set %d", (int)i);
        for (int k = 0; k < SCORE_COUNT; k++) compare_score(label, got, set, SCORES[k]);
        json_decref(got);
        free(label);
        free(command);
    }
    json_decref(sets);
}

/* Returns the entry of that name in one of the lists of a document. */
static const json_t *entry(const json_t *document, const char *list, const char *name) {
    const json_t *entries = json_object_get(document, list);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *e = json_array_get(entries, i);
        if (strcmp(json_string_value(json_object_get(e, "name")), name) == 0) return e;
    }
    test_true(name, false, "is not in the list %s", list);
    return NULL;
}

/* Draws the same pictures by `ti generate` as files, and compares their scores with those of an entry. */
static void compare_drawn(const json_t *document, const char *list, const char *name, const char *word) {
    static const char *const prompts[] = { "a photo of a %s", "a pencil drawing of a %s" };
    const json_t *e = entry(document, list, name);
    for (int p = 0; p < 2; p++) {
        char *prompt = mem_format(prompts[p], word), *text = mem_format(prompts[p], "");
        shell("rm -rf '@/drawn' && mkdir '@/drawn'");
        char *draw =
            mem_format(DRAWN "--prompt '%s' --embedding '<x>=@/x.safetensors' --out '@/drawn/p.png'", prompt);
        char *with = with_folder(draw, folder);
        test_true(prompt, run_ti("generate", with, "", folder) == 0, "drawn");
        char *command = mem_format(EVALUATE "--pictures '@/drawn' --text '%s'", text);
        json_t *want = numbers(command);
        for (int k = p; k < (p ? SCORE_COUNT : 1); k++) compare_score(name, e, want, SCORES[k]);
        json_decref(want);
        free(command);
        free(with);
        free(draw);
        free(text);
        free(prompt);
    }
}

/* Evaluates a learned word of three vectors beside its references. */
static void test_words(void) {
    shell("cp golden/word.safetensors '@/x.safetensors'");
    json_t *document = numbers(
        EVALUATE DRAWN
        "--plot '@/plot.png' --embedding '<x>=@/x.safetensors' --init critter --prompt 'a photo of a {}' "
        "--prompt 'a pencil drawing of a {}'");
    compare_drawn(document, "words", "<x>", "<x>");
    compare_drawn(document, "references", "critter", "critter");
    compare_drawn(document, "references", "no word", "");
    const json_t *x = entry(document, "words", "<x>"),
                 *training = json_object_get(document, "training_pictures");
    test_true("fixed-grid losses",
              isfinite(number(x, "fixed_grid_loss")) &&
                  isfinite(number(entry(document, "references", "critter"), "fixed_grid_loss")) &&
                  isnan(number(entry(document, "references", "no word"), "fixed_grid_loss")),
              "of the words alone");
    test_true("training pictures", number(training, "image_similarity") > number(x, "image_similarity"),
              "are more like themselves than drawn ones");
    char *plot = with_folder("@/plot.png", folder);
    Image image;
    Messages errors = { 0 };
    bool drawn = image_load(plot, &image, &errors);
    test_true("--plot", drawn && image.width > 500, "is a picture");
    image_free(&image);
    free(plot);
    json_decref(document);

    document = numbers(EVALUATE "--init critter --clip none");
    test_true("--clip none",
              !json_object_get(document, "drawn") &&
                  isnan(number(entry(document, "words", "critter"), "image_similarity")),
              "draws nothing");
    json_decref(document);
}

/* Returns the score by which --keep ranks a picture that lies in the folder: the sum of both similarities. */
static double keep_score(const char *name) {
    shell("rm -rf '@/one' && mkdir '@/one' && cp '@/%s' '@/one'", name);
    json_t *scores = numbers(EVALUATE "--pictures '@/one' --text 'a photo of a  at night'");
    double sum = number(scores, "image_similarity") + number(scores, "text_similarity");
    json_decref(scores);
    return sum;
}

/* Returns what a picture's record says about it. */
static json_t *record_of(const char *name) {
    char *arguments = mem_format("inspect '@/%s'", name);
    json_t *shown = numbers(arguments), *record = json_incref(json_object_get(shown, "ti"));
    json_decref(shown);
    free(arguments);
    return record;
}

/* Runs `ti generate` with a learned word and four pictures. */
static void draw(const char *options) {
    char *with = with_folder("--count 4 --steps 2 --embedding '<x>=@/x.safetensors' ", folder),
         *more = with_folder(options, folder);
    test_true(options, run_ti("generate", with, more, folder) == 0, "drawn");
    free(with);
    free(more);
}

/* --keep writes the best of the pictures that are drawn without it, and says which they are. */
static void test_keep(void) {
    enum { COUNT = 4, KEPT = 2 };
    draw("--prompt 'a photo of a <X> at night' --out '@/all.png'");
    draw("--prompt 'a photo of a <X> at night' --keep 2 --images '@/grum' --grid --out '@/kept.png'");
    double scores[COUNT], before = INFINITY;
    for (int i = 0; i < COUNT; i++) {
        char *name = mem_format("all-%d.png", i + 1);
        scores[i] = keep_score(name);
        free(name);
    }
    for (int i = 0; i < KEPT; i++) {
        char *name = mem_format("kept-%d.png", i + 1);
        json_t *record = record_of(name);
        double score = number(record, "score"),
               picture = number(json_object_get(record, "generate"), "picture");
        char *same = mem_format("all-%d.png", (int)picture);
        int better = 0;
        for (int k = 0; k < COUNT; k++) better += scores[k] > score + 1e-6;
        test_true(name, number(record, "rank") == i + 1 && better == i && score < before, "rank %d", i + 1);
        test_below("its score", fabs(score - scores[(int)picture - 1]), 1e-6);
        test_true("its pixels", same_pixels(folder, name, same), "are those of %s", same);
        before = score;
        json_decref(record);
        free(same);
        free(name);
    }
    char *like = with_folder("--like '@/kept-1.png' --out '@/again.png'", folder),
         *compare = with_folder("cmp -s '@/again.png' '@/kept-1.png'", folder);
    test_true("--like", run_ti("generate", like, "", folder) == 0 && system(compare) == 0,
              "draws a kept picture again, to the same file");
    int status = run_ti("generate", like, "--seed 5 --force", folder);
    json_t *again = record_of("again.png");
    test_true("--like with another seed", status == 0 && !json_object_get(again, "score"), "has no score");
    json_decref(again);
    free(compare);
    free(like);
    json_t *sheet = record_of("kept-grid.png");
    test_true("the contact sheet",
              json_is_true(json_object_get(sheet, "grid")) && !json_object_get(sheet, "rank"), "has no rank");
    json_decref(sheet);

    draw(
        "--prompt '(a photo) of (a <X>:1.1) at night' --prompt-syntax a1111 --keep 1 --out '@/weighted.png'");
    shell("rm -rf '@/one' && mkdir '@/one' && cp '@/weighted.png' '@/one'");
    json_t *record = record_of("weighted.png"),
           *text = numbers(EVALUATE "--pictures '@/one' --text 'a photo of a  at night'");
    test_below("a weighted prompt", fabs(number(record, "score") - number(text, "text_similarity")), 1e-6);
    json_decref(record);
    json_decref(text);
}

/* --paper sets what no other option does. */
static void test_paper(void) {
    json_t *document = numbers(EVALUATE "--init critter --paper --count 1 --steps 2");
    const json_t *drawn = json_object_get(document, "drawn"),
                 *first = json_array_get(json_object_get(document, "prompts"), 0);
    test_true("--paper",
              number(drawn, "count") == 1 && number(drawn, "steps") == 2 && number(drawn, "guidance") == 5 &&
                  strcmp(json_string_value(first), "A photo of {}") == 0,
              "guidance %g, first prompt %s", number(drawn, "guidance"), json_string_value(first));
    const json_t *critter = entry(document, "words", "critter");
    test_true("one picture",
              isfinite(number(critter, "image_similarity")) &&
                  isnan(number(critter, "image_similarity_error")),
              "has no standard error");
    json_decref(document);
}

static void test_checkpoints(void) {
    shell("'%s' train --images '@/grum' --token '<grum>' --init critter --steps 4 "
          "--checkpoint-every 2 --grid-loss 0 --out '@/run' >/dev/null 2>&1",
          getenv("TI"));
    json_t *document = numbers(EVALUATE "--checkpoints '@/run' --clip none");
    double second = number(entry(document, "words", "<grum>@2"), "fixed_grid_loss"),
           fourth = number(entry(document, "words", "<grum>@4"), "fixed_grid_loss");
    test_true("--checkpoints", second > fourth, "the loss falls from %.5f to %.5f", second, fourth);
    json_decref(document);
}

/* A model whose CLIP is a safety checker has the same image scores, and none with texts. */
static void test_checker(void) {
    shell("mkdir '@/model' && for i in weights/critters/*; do case $i in */clip) ;; *) ln -s \"$PWD/$i\" "
          "'@/model/' ;; "
          "esac; done");
    char *model = with_folder("@/model", folder);
    make_safety_checker(model);
    json_t *a = numbers(EVALUATE "--init critter --model '@/model' " DRAWN),
           *b = numbers(EVALUATE "--init critter " DRAWN);
    const json_t *x = entry(a, "words", "critter"), *y = entry(b, "words", "critter");
    test_true("safety checker",
              number(x, "image_similarity") == number(y, "image_similarity") &&
                  isnan(number(x, "text_similarity")) && isfinite(number(y, "text_similarity")),
              "compares pictures only");
    char *with = with_folder(EVALUATE "--pictures golden/loop_pictures --model '@/model' --text a", folder);
    int status;
    free(output_of_ti(with, &status));
    test_true("safety checker, --text", status == 1, "is refused");
    free(with);
    json_decref(a);
    json_decref(b);
    free(model);
}

int main(void) {
    CHECK(getenv("TI"));
    folder = folder_new();
    shell("mkdir '@/grum' && cp weights/critters/concepts/grum/[12].png '@/grum'");
    Golden *g = golden_open("golden/clip.safetensors");
    test_sets(g);
    test_words();
    test_keep();
    if (!getenv("QUICK")) { /* .ci/run sets it for sanitizers, with which these take minutes. */
        test_paper();
        test_checkpoints();
        test_checker();
    }
    golden_free(g);
    folder_remove(folder);
    free(folder);
    return test_finish();
}
