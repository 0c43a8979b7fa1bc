/* SPDX-License-Identifier: MIT */
/* Compares what `ti train --dump` writes with the reference (golden/dump.py): every tensor and gradient of a
   run's first batch, under the names of the reference's modules, and the inputs with the reference's random
   draws. Also tests what the command does with its folder, and --dry-run. */
#define _POSIX_C_SOURCE 200809L
#include "inversion/adamw.h"
#include "tests/command.h"
#include "tests/golden.h"
#include "tests/refusal.h"
#include "exchange/word_file.h"
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAMPLES = 32 };

static char *folder; /* everything that the tests write is in it */

static char *in_folder(const char *name) { return mem_format("%s/%s", folder, name); }

static bool exists(const char *name) {
    char *path = in_folder(name);
    bool found = access(path, F_OK) == 0;
    free(path);
    return found;
}

static bool shell(const char *command) {
    char *with = with_folder(command, folder);
    int status = system(with);
    free(with);
    return status == 0;
}

/* Runs `ti train` with the options of the case and with `more`, in which @ stands for the folder. */
static int train(const char *options, const char *more) {
    char *text = mem_format("--model weights/critters --out @/run %s", more),
         *with = with_folder(text, folder);
    int status = run_ti("train", options, with, folder);
    free(with);
    free(text);
    return status;
}

static bool same_as_copy(void) {
    return shell("cd @ && for f in copy/*; do cmp -s $f dump/${f#copy/} || exit 1; done");
}

static Golden *open_file(const char *name) {
    char *path = in_folder(name);
    Golden *g = golden_open(path);
    free(path);
    return g;
}

/* Stores SAMPLES values at equal distances in a tensor, and its root mean square, as the golden file does. */
static void take_samples(const float *data, int64_t count, float out[SAMPLES + 1]) {
    double squares = 0;
    for (int64_t i = 0; i < count; i++) squares += (double)data[i] * (double)data[i];
    for (int64_t i = 0; i < SAMPLES; i++) out[i] = data[i * count / SAMPLES];
    out[SAMPLES] = (float)sqrt(squares / (double)count);
}

/* Compares all tensors of the "forward" or "backward" pass with the golden file. Errors accumulate from layer
   to layer. Where the computation itself amplifies them, as one attention with logits of 400 does, ten times
   PyTorch's own fp32 error is allowed. */
static void compare_tensors(const Safetensors *names, const Golden *want, const char *pass) {
    char *file = mem_format("dump/%s.safetensors", pass);
    Golden *got = open_file(file);
    size_t length = strlen(pass);
    for (int64_t i = 0; i < names->count; i++) {
        const char *name = names->tensors[i].weight.name;
        if (strncmp(name, pass, length) != 0) continue;
        const char *own = name + length + 1, *torch = golden_meta(want, "torch:%s", name);
        if (!golden_has(got, "%s", own)) {
            test_true(name, false, "is not in %s", file);
            continue;
        }
        float *data = golden_floats(got, "%s", own), sampled[SAMPLES + 1];
        Shape shape = golden_shape(got, "%s", own), golden = golden_shape(want, "%s", name);
        bool whole = shape_equal(shape, golden);
        take_samples(data, shape_count(shape), sampled);
        golden_close(want, name, whole ? data : sampled, golden, fmax(2e-5, 10 * atof(torch)));
        free(data);
    }
    golden_free(got);
    free(file);
}

/* Compares the inputs with those that golden/loop.py has recorded. */
static void compare_inputs(const Golden *loop, const char *name) {
    Golden *got = open_file("dump/step.safetensors");
    int64_t prompts;
    int32_t *ids = golden_ints(loop, &prompts, "%s/prompts", name),
            *t = golden_ints(loop, NULL, "%s/timesteps", name);
    float *got_ids = golden_floats(got, "input_ids"), *got_t = golden_floats(got, "timesteps");
    Shape shape = golden_shape(got, "input_ids");
    int64_t wrong = 0;
    for (int64_t i = 0; i < shape_count(shape); i++) wrong += got_ids[i] != (float)ids[i];
    for (int64_t i = 0; i < shape.dim[0]; i++) wrong += got_t[i] != (float)t[i];
    test_true("input_ids, timesteps", wrong == 0, "%lld wrong", (long long)wrong);
    float *latents = golden_floats(got, "latents"), *noise = golden_floats(got, "noise");
    float *want_noise = golden_floats(loop, "%s/noise", name), *learned = golden_floats(got, "rows");
    float *start = golden_floats(loop, "%s/start", name);
    char *key = mem_format("%s/latents", name);
    golden_close(loop, key, latents, golden_shape(got, "latents"), 2e-5);
    test_same("noise", noise, want_noise, 8 * sizeof *noise);
    test_same("rows", learned, start, (size_t)shape_count(golden_shape(got, "rows")) * sizeof *learned);
    void *all[] = { ids, t, got_ids, got_t, latents, noise, want_noise, learned, start, key };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    golden_free(got);
}

/* Checks that inputs.safetensors holds eight steps, that the first has the inputs of step.safetensors, and
   that all timesteps are the reference's. */
static void compare_first_steps(const Golden *loop, const char *name) {
    Golden *inputs = open_file("dump/inputs.safetensors"), *step = open_file("dump/step.safetensors");
    static const char *const names[] = { "input_ids", "timesteps", "latents", "noise" };
    for (int i = 0; i < 4; i++) {
        float *first = golden_floats(step, "%s", names[i]), *all = golden_floats(inputs, "%s", names[i]);
        Shape shape = golden_shape(step, "%s", names[i]), steps = golden_shape(inputs, "%s", names[i]);
        char *label = mem_format("inputs, %s", names[i]);
        test_true(label, steps.dim[0] == 8 && shape_count(steps) == 8 * shape_count(shape), "%lld steps",
                  (long long)steps.dim[0]);
        test_same(label, all, first, (size_t)shape_count(shape) * sizeof *all);
        free(label);
        free(first);
        free(all);
    }
    int32_t *t = golden_ints(loop, NULL, "%s/timesteps", name);
    float *got = golden_floats(inputs, "timesteps");
    int64_t count = shape_count(golden_shape(inputs, "timesteps")), wrong = 0;
    for (int64_t i = 0; i < count; i++) wrong += got[i] != (float)t[i];
    test_true("timesteps of the first steps", wrong == 0, "%lld of %lld wrong", (long long)wrong,
              (long long)count);
    free(t);
    free(got);
    golden_free(inputs);
    golden_free(step);
}

static const char *string(const json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

/* In graph.json each node follows all nodes that it reads, and its output is in forward.safetensors. */
static void check_graph(void) {
    char *path = in_folder("dump/graph.json");
    size_t size;
    char *text = read_text(path, &size);
    Messages errors = { 0 };
    json_t *json = json_parse(path, text, size, false, &errors);
    CHECK(json);
    Golden *forward = open_file("dump/forward.safetensors");
    json_t *nodes = json_object_get(json, "nodes"), *node, *read;
    size_t count, r;
    int bad = 0;
    json_array_foreach (nodes, count, node) {
        bad += !golden_has(forward, "%s", string(node, "name"));
        json_array_foreach (json_object_get(node, "reads"), r, read) {
            static const char *const leaves[] = { "noisy", "target", "timesteps", "rows" };
            const char *name = json_string_value(read);
            bool known = false;
            for (int i = 0; i < 4; i++) known = known || strcmp(name, leaves[i]) == 0;
            for (size_t i = 0; i < count && !known; i++)
                known = strcmp(string(json_array_get(nodes, i), "name"), name) == 0;
            bad += !known;
        }
    }
    test_true("graph.json", count > 300 && bad == 0, "%zu nodes, %d bad", count, bad);
    golden_free(forward);
    json_decref(json);
    free(text);
    free(path);
}

/* The gradient of the learned vectors is the one that the training step applies: AdamW with this gradient
   gives the same bits as a run of one step. With --accumulate 2 the gradient is half as large. */
static void check_step(const char *options) {
    CHECK(train(options, "--accumulate 1 --dump @/one") == 0);
    CHECK(train(options, "--accumulate 1 --steps 1 --grid-loss 0") == 0);
    Golden *step = open_file("one/step.safetensors"), *back = open_file("one/backward.safetensors"),
           *half = open_file("dump/backward.safetensors");
    float *learned = golden_floats(step, "rows"), *grad = golden_floats(back, "rows"),
          *less = golden_floats(half, "rows");
    int64_t count = shape_count(golden_shape(step, "rows"));
    AdamW adamw = adamw_new(count);
    AdamWOptions standard = ADAMW_DEFAULTS;
    adamw_step(&adamw, &standard, 5e-3, 1, 0, count, learned, grad);
    char *path = in_folder("run/learned_embeds.safetensors");
    Messages errors = { 0 };
    Embeddings after;
    CHECK(word_file_read(path, &after, &errors));
    test_same("rows after a step", after.words[0].learned, learned, (size_t)count * sizeof *learned);
    for (int64_t i = 0; i < count; i++) less[i] *= 2;
    test_same("gradient of half the loss", less, grad, (size_t)count * sizeof *grad);
    embeddings_free(&after);
    adamw_free(&adamw);
    golden_free(step);
    golden_free(back);
    golden_free(half);
    free(path);
    free(learned);
    free(grad);
    free(less);
}

/* A folder that exists is refused and does not change. With --force the four files of a dump are replaced,
   and other files remain. */
static void check_folder(const char *options) {
    CHECK(shell("cp -R @/dump @/copy && echo x >@/dump/note && echo x >@/file"));
    test_true("an existing folder", train(options, "--dump @/dump") == 1, "is refused");
    test_true("an existing folder", shell("grep -q 'dump: exists already' @/stderr"), "is named");
    test_true("an existing folder", same_as_copy(), "is unchanged");
    int status = train(options, "--seed 5 --force --dump @/dump");
    test_true("--force", status == 0 && !shell("cmp -s @/copy/step.safetensors @/dump/step.safetensors"),
              "replaces");
    test_true("--force", exists("dump/note"), "keeps other files");
    status = train(options, "--threads 1 --force --dump @/dump/");
    test_true("1 thread", status == 0 && same_as_copy(), "the same bytes as with all");
    status = train(options, "--memory 42MB --force --dump @/dump");
    test_true("--memory", status == 0 && same_as_copy() && shell("grep -q 'are recomputed' @/stderr"),
              "the same bytes with blocks recomputed");
    test_true("a file in the way", train(options, "--force --dump @/file") == 1, "is an error");
    test_true("no folder to write in", train(options, "--dump /dev/null/dump") == 1, "is an error");
    test_true("nothing is left aside", shell("test -z \"$(find @ -name '*.tmp*')\""), "in the folder");
}

/* When weights make the loss NaN, the forward pass is still written, since it shows where the first NaN is.
   */
static void check_not_finite(void) {
    static const char *const weights = "unet/diffusion_pytorch_model.fp16.safetensors";
    CHECK(shell("cp -R golden/models/narrow @/nan"));
    char *path = mem_format("%s/nan/%s", folder, weights);
    FILE *file = fopen(path, "r+b");
    CHECK(file && fseek(file, -2, SEEK_END) == 0 && fwrite("\xff\xff", 1, 2, file) == 2 && fclose(file) == 0);
    int status = train("--images golden/loop_pictures --token <thing> --init cat --resolution 64",
                       "--model @/nan --dump @/nan-dump");
    test_true("a loss that is not finite",
              status == 0 && exists("nan-dump/forward.safetensors") &&
                  !exists("nan-dump/backward.safetensors"),
              "has no gradients");
    free(path);
}

static double number(const json_t *json, const char *name) {
    const json_t *item = json_object_get(json, name);
    return json_is_number(item) ? json_number_value(item) : (double)NAN;
}

/* --dry-run prints the same plan as `ti plan`, its times add up, and it writes nothing. */
static void check_dry_run(void) {
    static const char command[] =
        "\"$TI\" train --images weights/critters/concepts/grum --token '<grum>' --init critter --steps 100 "
        "--validation-prompt 'a <grum>' --grid-loss 50 --out @/dry --dry-run %s 2>@/stderr >@/%s";
    char *json_command = mem_format(command, "--json", "json"),
         *text_command = mem_format(command, "", "text");
    test_true("--dry-run", shell(json_command) && shell(text_command), "runs");
    test_true("--dry-run",
              shell("grep -q '  in all$' @/text && grep -q '^reading the pictures, one at a time, takes .* "
                    "MB at most: .*png' @/text && \"$TI\" plan --json --summary >@/plan 2>@/stderr"),
              "as text");
    char *path = in_folder("json"), *plan_path = in_folder("plan");
    size_t size, plan_size;
    char *text = read_text(path, &size), *plan_text = read_text(plan_path, &plan_size);
    Messages errors = { 0 };
    json_t *json = json_parse(path, text, size, false, &errors);
    json_t *plan = json_parse(plan_path, plan_text, plan_size, false, &errors);
    CHECK(json && plan);
    json_t *time = json_incref(json_object_get(json, "time"));
    json_object_del(json, "time");
    test_true("memory to read pictures", number(json, "reading_bytes") > 64 * 64 * 3, "%.0f",
              number(json, "reading_bytes"));
    json_object_del(json, "reading_bytes");
    test_true("--dry-run --json", json_equal(json, plan), "is the plan of ti plan");
    double step = number(time, "batch_forward") + number(time, "batch_backward");
    double parts = number(time, "steps") + number(time, "encoding") + number(time, "grid_loss") +
                   number(time, "pictures");
    test_below("time of 100 steps", fabs(number(time, "steps") / (100 * step) - 1), 1e-9);
    test_below("time in all", fabs(number(time, "all") / parts - 1), 1e-9);
    /* There are three fixed-grid losses. Each takes 25 forward passes of a batch of 4: 5 pictures at
       20 timesteps. */
    test_below("time of grids", fabs(number(time, "grid_loss") / (75 * number(time, "batch_forward")) - 1),
               1e-9);
    test_true("operations", number(time, "operations") > 600 && number(time, "timed") < 300 && step > 0,
              "%.0f of %.0f", number(time, "timed"), number(time, "operations"));
    test_true("--dry-run", !exists("dry"), "writes nothing");
    test_true("--dry-run",
              train("", "--images weights/critters/concepts/grum --token '<g>' --init nonesuch --dry-run") ==
                  1,
              "an unknown word is an error");
    test_true("--json", train("", "--images x --token y --init z --json") == 2, "alone is wrong usage");
    test_true("--dump", train("", "--images x --token y --init z --dry-run --dump @/no") == 2,
              "with --dry-run is wrong usage");
    json_decref(time);
    json_decref(json);
    json_decref(plan);
    char *all[] = { json_command, text_command, path, plan_path, text, plan_text };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Returns the number that directly precedes `what` in a text, or NaN if the text does not contain it. */
static double number_before(const char *text, const char *what) {
    const char *at = strstr(text, what);
    if (!at) return (double)NAN;
    while (at > text && strchr("0123456789.", at[-1])) at--;
    return strtod(at, NULL);
}

/* The time that a run announces is within a factor of 100 of the time that it takes. A busy machine stays
   within that factor, a wrong unit does not. */
static void check_told_time(void) {
    int status = train("", "--images weights/critters/concepts/grum --token '<g>' --init critter --steps 10 "
                           "--grid-loss 0 --force");
    char *path = in_folder("stderr"), *text = read_text(path, NULL);
    const char *first = strstr(text, "\nstep "), *last = strstr(text, "step 10/10");
    const char *line = strstr(text, " s each: about ");
    CHECK(status == 0 && first && last);
    double told = number_before(text, " s each: about "), took = number_before(last, " s/step");
    test_true("time told before the first step",
              line && line < first && told > took / 100 && told < took * 100, "%.4f s a step, took %.4f",
              told, took);
    free(text);
    free(path);
}

int main(void) {
    Golden *want = golden_open("golden/dump.safetensors"), *loop = golden_open("golden/loop.safetensors");
    const char *name = golden_meta(want, "case"), *options = golden_meta(loop, "%s/options", name);
    Messages errors = { 0 };
    Safetensors names;
    CHECK(safetensors_open("golden/dump.safetensors", &names, &errors));
    folder = folder_new();
    int status = train(options, "--dump @/dump");
    test_true("--dump", status == 0 && !exists("run"), "status %d, and no run is begun", status);
    if (status == 0) {
        compare_inputs(loop, name);
        compare_first_steps(loop, name);
        compare_tensors(&names, want, "forward");
        compare_tensors(&names, want, "backward");
        check_graph();
        check_step(options);
        check_folder(options);
        check_not_finite();
        check_dry_run();
        check_told_time();
    }
    folder_remove(folder);
    free(folder);
    safetensors_close(&names);
    golden_free(want);
    golden_free(loop);
    return test_finish();
}
