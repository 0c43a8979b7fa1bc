/* SPDX-License-Identifier: MIT */
/* Tests of `ti convert` and `ti mix`: the files for each program, whose bytes golden/words.py check has given
   to these programs; the notes about names; and what a run's folder adds. */
#include <math.h>

#include "exchange/word_file.h"
#include "io/image.h"
#include "io/sha256.h"
#include "tests/command.h"
#include "tests/refusal.h"

static char *folder;

static char *in_folder(const char *name) { return mem_format("%s/%s", folder, name); }

/* Runs `ti ARGUMENTS`, in which each @ stands for the folder. Its standard error goes to @/err. */
static bool run(const char *arguments) {
    char *line = mem_format("\"$TI\" %s >@/out 2>@/err", arguments), *with = with_folder(line, folder);
    int status = system(with);
    free(line);
    free(with);
    return status == 0;
}

static bool said(const char *what) {
    char *path = in_folder("err"), *text = read_text(path, NULL);
    bool found = strstr(text, what) != NULL, quiet = !*what && !*text;
    if (!found || (!*what && !quiet)) printf("%s", text);
    free(path);
    free(text);
    return *what ? found : quiet;
}

static Embeddings word_of(const char *name) {
    char *path = *name == '/' ? in_folder(name + 1) : mem_string(name);
    Embeddings e = { 0 };
    Messages errors = { 0 };
    if (!word_file_read(path, &e, &errors)) printf("%s", errors.text);
    messages_free(&errors);
    free(path);
    return e;
}

static bool same_rows(const Embeddings *a, const Embeddings *b) {
    return a->count == 1 && b->count == 1 && a->words[0].vectors == b->words[0].vectors &&
           a->words[0].width == b->words[0].width &&
           memcmp(a->words[0].learned, b->words[0].learned,
                  (size_t)(a->words[0].vectors * a->words[0].width) * sizeof(float)) == 0;
}

/* ---- convert ---- */

/* The hashes are those of the files that the programs, or their rules, have read (golden/words.py check). */
static const struct {
    const char *target, *file, *token, *hash, *note;
} TARGETS[] = {
    { "diffusers", "x.safetensors", "a1111",
      "4b95d920b9a6c23701ffeb327186878ca716345329dacc35b58ec9eeb6c3e8bd", "" },
    { "a1111", "a1111.pt", "a1111", "fc8da7c4819d7f11621e11a9c869e645fd63036393ea752ec2de768d17590918", "" },
    { "a1111-png --picture golden/words/a1111.png", "x.png", "a1111",
      "4ec3d3e0e42b4e8d41ac8ecc55ba20060ee0f93e9b96f4b16bc79e6fddad8149", "" },
    { "kohya", "a1111.safetensors", "a1111",
      "03d99f957d02cc8af9b24056d45dd07fbd80a044e72921476327a2a636889b7c", "" },
    { "sd.cpp", "A1111.safetensors", "A1111",
      "2829d8cc57d866ed81be7001d79e28df6c409c2c85f7a1958133b2c43b8a0097", "" },
    { "a1111", "other.pt", "other", "fc8da7c4819d7f11621e11a9c869e645fd63036393ea752ec2de768d17590918",
      "A1111 will know this word as \"other\", after the file's name" },
    { "a1111 --word grum", "grum.bin", "grum",
      "27994fa07b1e5a5e6c38ab1174349ba41f6a025e21544e7b743228e1f055dde7", "only if its name ends in .pt" },
    { "sd.cpp --word '<cat>'", "cat.safetensors", "cat",
      "2829d8cc57d866ed81be7001d79e28df6c409c2c85f7a1958133b2c43b8a0097",
      "sd.cpp will know this word as \"cat\", after the file's name" },
    { "sd.cpp --word 'c(1)'", "c(1).safetensors", "c(1)",
      "2829d8cc57d866ed81be7001d79e28df6c409c2c85f7a1958133b2c43b8a0097", "( ) [ ] and : are weights" },
    { "diffusers --word '<grum>'", "y.safetensors", "<grum>",
      "56698550b4daeaa464e44458ced143375ceb3e3a100ae8fda0c75befb1e6c1ac", "" },
};

static void test_targets(void) {
    Embeddings want = word_of("golden/words/a1111.pt");
    for (size_t i = 0; i < sizeof TARGETS / sizeof *TARGETS; i++) {
        char *command = mem_format("convert golden/words/a1111.pt --force --to %s '--out=@/%s'",
                                   TARGETS[i].target, TARGETS[i].file);
        char *name = mem_format("/%s", TARGETS[i].file), hash[SHA256_TEXT];
        bool ok = run(command);
        test_true(TARGETS[i].target, ok && said(TARGETS[i].note), "%s", TARGETS[i].file);
        Embeddings got = word_of(name);
        test_true(TARGETS[i].target, same_rows(&got, &want) && !strcmp(got.words[0].token, TARGETS[i].token),
                  "%s", got.count ? got.words[0].token : "not read");
        char *path = in_folder(TARGETS[i].file);
        size_t size;
        char *bytes = read_text(path, &size);
        sha256_text(bytes, size, hash);
        test_true(TARGETS[i].target, strcmp(hash, TARGETS[i].hash) == 0, "%s", hash);
        embeddings_free(&got);
        free(bytes);
        free(path);
        free(name);
        free(command);
    }
    embeddings_free(&want);
}

/* Each of several words gets a file of its own, under the name that the program's users write. */
static void test_several(void) {
    test_true("convert.several",
              run("convert golden/words/paper.pt cat=golden/words/kohya.pt --to sd.cpp --out @/dir"),
              "to a folder");
    static const char *const files[] = { "/dir/paper.safetensors", "/dir/<style>.safetensors",
                                         "/dir/cat.safetensors" };
    Embeddings paper = word_of("golden/words/paper.pt"), kohya = word_of("golden/words/kohya.pt");
    CHECK(paper.count == 2);
    for (int i = 0; i < 3; i++) {
        Embeddings got = word_of(files[i]), want = { i == 2 ? kohya.words : paper.words + i, 1 };
        test_true("convert.several", same_rows(&got, &want), "%s", files[i]);
        embeddings_free(&got);
    }
    embeddings_free(&paper);
    embeddings_free(&kohya);
    test_true("convert.clash",
              !run("convert a=golden/words/kohya.pt a=golden/words/a1111.pt --out @/clash") &&
                  said("would be the file of two words; rename one: NAME=FILE"),
              "refused");
    test_true("convert.one name",
              !run("convert golden/words/paper.pt --word x --out @/z") && said("only one word"), "refused");
}

/* In a run's folder lie the step, the model and the validation picture. */
static void test_run(void) {
    static const char start[] =
        "mkdir -p @/run && \"$TI\" convert golden/words/a1111.pt --word '<g>' --out "
        "@/run/learned_embeds-steps-5.safetensors 2>@/err >@/out && cp "
        "golden/loop_pictures/1.png @/run/validation-5.png && echo '{\"train\": {\"steps\": 9, "
        "\"model\": \"/models/my-model.safetensors\"}}' >@/run/options.json";
    char *script = with_folder(start, folder);
    CHECK(system(script) == 0);
    free(script);
    test_true("convert.run",
              run("convert @/run/learned_embeds-steps-5.safetensors --to a1111-png --out @/card.png") &&
                  run("convert @/run/learned_embeds-steps-5.safetensors --to a1111 --out @/g.pt") &&
                  run("convert golden/words/a1111.pt --to a1111-png --out @/plain.png"),
              "written");
    Image face, card, plain;
    Messages errors = { 0 };
    char *path = in_folder("card.png"), *other = in_folder("plain.png"), *pt = in_folder("g.pt");
    CHECK(image_load("golden/loop_pictures/1.png", &face, &errors) && image_load(path, &card, &errors) &&
          image_load(other, &plain, &errors));
    bool same = face.width == card.width && face.height == card.height &&
                memcmp(face.rgb, card.rgb, (size_t)face.width * (size_t)face.height * 3) == 0;
    test_true("convert.face", same, "the validation picture");
    bool letters = false; /* whether the card, which has no picture, has more than its two colours' borders */
    for (int x = 64; x < 448; x++) letters = letters || plain.rgb[(256 * 512 + x) * 3] < 128;
    test_true("convert.plain", plain.width == 512 && letters, "a card with letters");
    size_t size;
    char *text = read_text(pt, &size);
    bool model = false, step = false;
    for (size_t i = 0; i + 13 < size; i++) {
        model = model || memcmp(text + i, "X\x8\0\0\0my-model", 13) == 0;
        step = step || memcmp(text + i, "stepJ\5\0\0\0", 9) == 0;
    }
    test_true("convert.origin", model && step, "step and model");
    image_free(&face);
    image_free(&card);
    image_free(&plain);
    free(text);
    free(path);
    free(other);
    free(pt);
}

/* ---- mix ---- */

static void test_mix(void) {
    Embeddings a = word_of("golden/words/a1111.pt"), third = word_of("golden/words/columns.pt");
    test_true(
        "mix",
        run("mix golden/words/a1111.pt:0.7 golden/words/columns.pt:-0.3 --word '<m>' --out @/m.safetensors"),
        "written");
    Embeddings m = word_of("/m.safetensors");
    bool right = m.count == 1 && !strcmp(m.words[0].token, "<m>") && m.words[0].vectors == 2;
    for (int i = 0; right && i < 48; i++) {
        double x = 0.7 * (double)a.words[0].learned[i] - 0.3 * (double)third.words[0].learned[i];
        right = m.words[0].learned[i] == (float)x;
    }
    test_true("mix.sum", right, "0.7 a - 0.3 b");
    embeddings_free(&m);
    test_true("mix.rows", run("mix golden/words/a1111.pt --rows 1,0,1 --norm 2.5 --out @/r.safetensors"),
              "written");
    m = word_of("/r.safetensors");
    right = m.count == 1 && m.words[0].vectors == 3;
    for (int k = 0; right && k < 3; k++) {
        double squares = 0, product = 0, own = 0;
        for (int i = 0; i < 24; i++) {
            double x = (double)m.words[0].learned[24 * k + i],
                   y = (double)a.words[0].learned[24 * (k != 1) + i];
            squares += x * x;
            product += x * y;
            own += y * y;
        }
        right = fabs(sqrt(squares) - 2.5) < 1e-6 && fabs(product / sqrt(squares * own) - 1) < 1e-6;
    }
    test_true("mix.norm", right, "directions kept, norm 2.5");
    embeddings_free(&m);
    test_true(
        "mix.median",
        run("mix golden/words/a1111.pt --norm median --model golden/models/narrow --out @/n.safetensors") &&
            run("inspect @/n.safetensors --model golden/models/narrow"),
        "written");
    char *path = in_folder("out"), *text = read_text(path, NULL);
    test_true("mix.median", strstr(text, "median 2.4282") && strstr(text, "     2    2.4282"),
              "as the vocabulary's");
    free(text);
    free(path);
    embeddings_free(&a);
    embeddings_free(&third);
}

int main(void) {
    folder = folder_new();
    test_targets();
    test_several();
    test_run();
    test_mix();
    folder_remove(folder);
    free(folder);
    return test_finish();
}
