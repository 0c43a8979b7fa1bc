/* SPDX-License-Identifier: MIT */
/* Compares plain/ti.c with `ti train`: the losses and the learned vector of three steps must agree.
   plain/ti.c reads the inputs of these steps, which `ti train --dump` writes. Its program, `plain`, lies in
   the folder of the program under test. */
#define _POSIX_C_SOURCE 200809L
#include "exchange/word_file.h"
#include "tests/command.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 3 };

#define TOLERANCE 1e-5

static const char OPTIONS[] =
    "--model weights/critters --images weights/critters/concepts/grum --token "
    "<grum> --init critter --batch 1 --seed 7 --steps 3 --lr 5e-3 --schedule constant";

/* Runs `plain`, which lies in TI's folder, and reads the losses that it prints. Returns their number. */
static int run_plain(const char *folder, double losses[STEPS]) {
    const char *ti = getenv("TI");
    const char *slash = strrchr(ti, '/');
    char *command = mem_format("%.*splain %s/dump %s/plain.safetensors", slash ? (int)(slash - ti + 1) : 0,
                               ti, folder, folder);
    FILE *out = popen(command, "r");
    char line[200];
    int count = 0, step;
    while (out && fgets(line, sizeof line, out))
        if (count < STEPS && sscanf(line, "step %d loss %lf", &step, &losses[count]) == 2) count++;
    int status = out ? pclose(out) : -1;
    test_true(command, status == 0 && count == STEPS, "%d losses", count);
    free(command);
    return count;
}

/* Reads the losses from losses.csv, which `ti train` has written. Returns their number. */
static int read_losses(const char *folder, double losses[STEPS]) {
    char *path = mem_format("%s/run/losses.csv", folder);
    FILE *f = fopen(path, "r");
    char line[200];
    int count = 0, step;
    while (f && fgets(line, sizeof line, f))
        if (count < STEPS && sscanf(line, "%d,%lf", &step, &losses[count]) == 2) count++;
    if (f) fclose(f);
    free(path);
    return count;
}

static void compare_vectors(const char *folder) {
    char *ours = mem_format("%s/run/learned_embeds.safetensors", folder),
         *plain = mem_format("%s/plain.safetensors", folder);
    Messages errors = { 0 };
    Embeddings a, b;
    CHECK(word_file_read(ours, &a, &errors) && word_file_read(plain, &b, &errors));
    CHECK_EQ(a.words[0].width, b.words[0].width);
    test_close("the learned vector", a.words[0].learned, b.words[0].learned, shape1(a.words[0].width),
               TOLERANCE, -1);
    embeddings_free(&a);
    embeddings_free(&b);
    free(ours);
    free(plain);
}

int main(void) {
    char *folder = folder_new(), *dump = with_folder("--dump @/dump", folder),
         *run = with_folder("--out @/run", folder);
    double want[STEPS], got[STEPS];
    CHECK(run_ti("train", OPTIONS, dump, folder) == 0 && run_ti("train", OPTIONS, run, folder) == 0);
    CHECK_EQ(read_losses(folder, want), STEPS);
    if (run_plain(folder, got) == STEPS) {
        for (int i = 0; i < STEPS; i++) {
            char name[40];
            snprintf(name, sizeof name, "loss of step %d", i + 1);
            test_below(name, fabs(got[i] - want[i]) / want[i], TOLERANCE);
        }
        compare_vectors(folder);
    }
    folder_remove(folder);
    free(folder);
    free(dump);
    free(run);
    return test_finish();
}
