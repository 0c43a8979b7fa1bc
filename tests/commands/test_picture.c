/* SPDX-License-Identifier: MIT */
/* Compares pictures of `ti generate` with those of diffusers' pipeline with the same options and seed: every
   8-bit value must be within 1 of the pipeline's. */
#include "io/image.h"
#include "tests/command.h"
#include "tests/golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Compares one picture [H, W, 3]. `threads` has two numbers: how much the reference's own latents and its own
   8-bit values change when it runs on one thread. */
static void compare(const char *label, const Image *image, const float *want, Shape shape,
                    const char *threads) {
    int64_t count = shape_count(shape) / shape.dim[0], differ = 0;
    int worst = 0;
    bool sized = image->height == shape.dim[1] && image->width == shape.dim[2];
    for (int64_t i = 0; sized && i < count; i++) {
        int difference = abs((int)image->rgb[i] - (int)want[i]);
        worst = difference > worst ? difference : worst;
        differ += difference != 0;
    }
    int torch = 0;
    CHECK(sscanf(threads, "%*f %d", &torch) == 1);
    test_true(label, sized && worst <= 1,
              "%dx%d, largest difference %d, %lld of %lld values differ  torch %d", image->width,
              image->height, worst, (long long)differ, (long long)count, torch);
}

/* Copies the model of a case into the folder and replaces the config of its scheduler by that of the case.
   Returns the --model option for the copy. */
static char *other_scheduler(const Golden *g, const char *name, const char *folder) {
    char *copy = mem_format("cp -r %s %s/model", golden_meta(g, "%s/model", name), folder);
    char *path = mem_format("%s/model/scheduler/scheduler_config.json", folder);
    CHECK(system(copy) == 0);
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(golden_meta(g, "%s/scheduler", name), f) >= 0 && fclose(f) == 0);
    free(path);
    free(copy);
    return mem_format("--model %s/model", folder);
}

static void test_case(const Golden *g, const char *name) {
    char *folder = folder_new();
    const char *options = golden_meta(g, "%s/options", name);
    char *model = golden_meta(g, "%s/scheduler", name) ? other_scheduler(g, name, folder)
                  : strstr(options, "--model")         ? mem_string("")
                                                       : mem_string("--model weights/critters");
    char *more = mem_format("%s --out %s/p.png", model, folder);
    int status = run_ti("generate", options, more, folder);
    test_true(name, status == 0, "exit status %d", status);
    Shape shape = golden_shape(g, "%s/pictures", name);
    float *want = golden_floats(g, "%s/pictures", name);
    for (int64_t i = 0; i < shape.dim[0] && status == 0; i++) {
        char *path = shape.dim[0] == 1 ? mem_format("%s/p.png", folder)
                                       : mem_format("%s/p-%lld.png", folder, (long long)i + 1);
        char *label = mem_format("%s.%lld", name, (long long)i + 1);
        Messages errors = { 0 };
        Image image;
        CHECK(image_load(path, &image, &errors));
        compare(label, &image, want + i * (shape_count(shape) / shape.dim[0]), shape,
                golden_meta(g, "%s/threads", name));
        image_free(&image);
        free(label);
        free(path);
    }
    free(want);
    free(more);
    free(model);
    folder_remove(folder);
    free(folder);
}

/* Compares the last preview of a run with the reference's, and its pictures with those of a run without. */
static void test_preview(const Golden *g, const char *name, bool alone) {
    char *folder = folder_new();
    const char *options = golden_meta(g, "%s/options", name);
    char *model = mem_string(strstr(options, "--model") ? "" : "--model weights/critters");
    char *more = mem_format("%s --out %s/p.png", model, folder);
    int status = run_ti("generate", options, more, folder);
    char *path = mem_format("%s/p-preview.png", folder), *label = mem_format("preview.%s", name);
    Messages errors = { 0 };
    Image image = { 0 };
    float *want = golden_floats(g, "%s/pictures", name);
    if (status == 0 && image_load(path, &image, &errors))
        compare(label, &image, want, golden_shape(g, "%s/pictures", name),
                golden_meta(g, "%s/threads", name));
    else
        test_true(label, false, "exit status %d", status);
    if (alone) {
        char *without = mem_format("%.*s", (int)(strstr(options, "--preview") - options), options);
        char *other = mem_format("%s --count 2 --out %s/q.png", model, folder);
        char *same = mem_format("cd %s && cmp p-1.png q-1.png && cmp p-2.png q-2.png", folder);
        bool drawn = run_ti("generate", without, other, folder) == 0;
        test_true("preview.unchanged", drawn && system(same) == 0, "the pictures are those of a run without");
        free(without);
        free(other);
        free(same);
    }
    image_free(&image);
    messages_free(&errors);
    free(want);
    free(label);
    free(path);
    free(more);
    free(model);
    folder_remove(folder);
    free(folder);
}

/* Tests the cases of a golden file, whose names end with NULL. With QUICK, which .ci/run sets for
   sanitizers, it tests every third, since the samplers and the rest that they consist of have tests of
   their own. */
static void test_cases(const char *file, const char *const cases[]) {
    Golden *g = golden_open(file);
    int step = getenv("QUICK") ? 3 : 1;
    for (int i = 0; cases[i]; i++)
        if (i % step == 0) test_case(g, cases[i]);
    golden_free(g);
}

int main(void) {
    Golden *g = golden_open("golden/preview.safetensors");
    static const char *const previews[] = { "ddim", "pndm",    "euler", "ancestral", "dpm", "sde",
                                            "lcm",  "v_euler", "v_dpm", "begun",     "mask" };
    for (size_t i = 0; i < sizeof previews / sizeof previews[0]; i++)
        test_preview(g, previews[i], strcmp(previews[i], "ancestral") == 0);
    golden_free(g);
    static const char *const cases[] = { "plain",       "eta",   "negative",  "count",        "unguided",
                                         "wide",        "word",  "own",       "v_prediction", "beta_linear",
                                         "pndm",        "euler", "ancestral", "dpm",          "karras",
                                         "sde",         "ays",   "lcm",       "v_dpm",        "v_pndm",
                                         "v_ancestral", NULL };
    test_cases("golden/picture.safetensors", cases);
    static const char *const schedulers[] = { "linspace", "trailing", "sample", "threshold", NULL };
    test_cases("golden/ddim.safetensors", schedulers);
    static const char *const conditions[] = { "rescale", "skip", "latents", "lcm", "lcm_unguided", NULL };
    test_cases("golden/conditions.safetensors", conditions);
    static const char *const prompts[] = { "weighted", "comfy", "long", "long_negative", NULL };
    test_cases("golden/prompts.safetensors", prompts);
    static const char *const begun[] = { "ddim",
                                         "eta",
                                         "pndm",
                                         "pndm_second",
                                         "pndm_all",
                                         "euler",
                                         "ancestral",
                                         "dpm",
                                         "sde",
                                         "lcm",
                                         "ays",
                                         "kutta",
                                         "whole",
                                         "mask_ddim",
                                         "mask_pndm",
                                         "mask_euler",
                                         "mask_ancestral",
                                         "mask_dpm",
                                         "mask_sde",
                                         "mask_lcm",
                                         "mask_paste",
                                         NULL };
    test_cases("golden/init_image.safetensors", begun);
    return test_finish();
}
