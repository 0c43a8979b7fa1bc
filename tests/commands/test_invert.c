/* SPDX-License-Identifier: MIT */
/* Compares the noise that `ti invert` finds with that of diffusers' DDIMInverseScheduler, and the picture
   that `ti generate` draws from it with DDIMScheduler's and, without guidance, with the picture itself. */
#include "diffusion/latents.h"
#include "io/image.h"
#include "tests/command.h"
#include "tests/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns the root mean square difference of two pictures in levels, and the largest difference. */
static double distance(const Image *a, const float *b, int64_t count, int *worst) {
    double squares = 0;
    *worst = 0;
    for (int64_t i = 0; i < count; i++) {
        int d = abs((int)a->rgb[i] - (int)b[i]);
        *worst = d > *worst ? d : *worst;
        squares += d * d;
    }
    return sqrt(squares / (double)count);
}

/* Draws the picture again. options are those of ti invert after the picture. */
static void draw_back(const Golden *g, const char *name, const char *options, const char *folder) {
    char *more = mem_format("--latents %s/l.safetensors --sampler ddim --out %s/p.png", folder, folder);
    char *guided = strstr(options, " --guidance");
    char *given = mem_format("%.*s --guidance 1", guided ? (int)(guided - options) : 1000, options);
    int status = run_ti("generate", given, more, folder);
    Messages errors = { 0 };
    Image image;
    char *path = mem_format("%s/p.png", folder);
    CHECK(status == 0 && image_load(path, &image, &errors));
    Shape shape = golden_shape(g, "%s/back", name);
    float *want = golden_floats(g, "%s/back", name);
    int worst = 0;
    bool sized = image.height == shape.dim[1] && image.width == shape.dim[2];
    if (sized) distance(&image, want, shape_count(shape), &worst);
    test_true("drawn again", sized && worst <= 1, "largest difference %d", worst);
    if (strcmp(name, "plain") == 0) {
        Image original;
        CHECK(image_load("golden/init_square.png", &original, &errors));
        for (int64_t i = 0; i < shape_count(shape); i++) want[i] = original.rgb[i];
        double rms = distance(&image, want, shape_count(shape), &worst);
        test_true("the round trip", rms < 26, "root mean square difference %.1f levels", rms);
        image_free(&original);
    }
    free(want);
    free(path);
    free(given);
    free(more);
    image_free(&image);
}

static void test_case(const Golden *g, const char *name) {
    char *folder = folder_new();
    const char *options = golden_meta(g, "%s/options", name);
    char *all = mem_format("%s%s", options, strstr(options, "--model") ? "" : " --model weights/critters");
    char *more = mem_format("--out %s/l.safetensors", folder);
    int status = run_ti("invert", all, more, folder);
    test_true(name, status == 0, "exit status %d", status);
    Messages errors = { 0 };
    Latents l;
    char *path = mem_format("%s/l.safetensors", folder);
    CHECK(latents_read(path, &l, &errors));
    Shape shape = golden_shape(g, "%s/latents", name);
    float *want = golden_floats(g, "%s/latents", name);
    test_true("shape", shape_equal(l.shape, shape), "of the latents");
    test_close("latents", l.data, want, shape, 1e-4, -1);
    test_true("origin", l.steps > 0 && l.fingerprint != 0, "%lld steps", (long long)l.steps);
    draw_back(g, name, strchr(all, ' ') + 1, folder);
    latents_free(&l);
    free(want);
    free(path);
    free(more);
    free(all);
    folder_remove(folder);
    free(folder);
}

int main(void) {
    Golden *g = golden_open("golden/invert.safetensors");
    static const char *const cases[] = { "plain", "guided", "v" };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) test_case(g, cases[i]);
    golden_free(g);
    return test_finish();
}
