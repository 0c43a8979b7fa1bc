/* SPDX-License-Identifier: MIT */
/* Tests --memory, and that `ti train` and `ti generate` use as much memory as they say beforehand. At two
   sizes and with three budgets (none, the smallest that is possible, and one in between) the peak of resident
   memory must be at most 150 MB above the plan, the plan must keep to the budget, and the learned word must
   be the same to the bit.

       test_memory            the tiny model, in make test
       test_memory sd15       the model at full size, also under a real limit, in make test-full */
#define _POSIX_C_SOURCE 200809L
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/memory.h"
#include "io/system.h"
#include "tests/command.h"
#include "tests/refusal.h"
#include "weights/safetensors.h"

/* Memory that the plan does not count: code, BLAS's own buffers, pictures, the graph itself, and with
   sanitizers also their shadow memory. */
#ifdef __SANITIZE_ADDRESS__
static const double OVERHEAD = 2e9;
#else
static const double OVERHEAD = 150e6;
#endif

static const double UNLIMITED = 1e12;

/* Returns the amount that follows `what` in a run's stderr ("1.05 GB", "34 MB" or "34MB") in bytes, or -1
   when the text does not contain `what`. */
static double amount(const char *text, const char *what) {
    const char *at = strstr(text, what);
    char *unit;
    if (!at) return -1;
    double number = strtod(at + strlen(what), &unit);
    while (*unit == ' ') unit++;
    return number * (strncmp(unit, "GB", 2) == 0 ? 1e9 : 1e6);
}

typedef struct {
    int status;
    double planned, buffers; /* bytes of the plan, with the weights and without them */
    double peak;             /* resident memory in bytes */
    double wanted;           /* the amount that an error message asks for */
    float word[16];          /* the beginning of the learned word */
} Outcome;

static Outcome run(const char *command, const char *options, double memory, const char *folder) {
    char *more = mem_format("--memory %.0f", memory);
    Outcome o = { .status = run_ti(command, options, more, folder) };
    char *path = mem_format("%s/stderr", folder), *text = read_text(path, NULL);
    o.planned = amount(text, "ti: memory ");
    o.buffers = amount(text, "ti: memory ") < 0 ? -1 : amount(strstr(text, "ti: memory ") + 11, ": ");
    o.peak = amount(text, "ti: peak memory ");
    o.wanted = amount(text, "give --memory ");
    free(text);
    free(path);
    free(more);
    return o;
}

static void read_word(const char *folder, Outcome *o) {
    char *path = mem_format("%s/run/learned_embeds.safetensors", folder);
    Messages errors = { 0 };
    Safetensors file;
    CHECK(safetensors_open(path, &file, &errors));
    memcpy(o->word, file.tensors[0].weight.data, sizeof o->word);
    safetensors_close(&file);
    free(path);
}

static void check(const char *name, const Outcome *o, double budget) {
    char *label = mem_format("%s: peak above the plan, MB", name);
    test_true(name, o->status == 0 && o->planned > 0 && o->planned <= budget * 1.005,
              "planned %.0f MB of %.0f, peak %.0f MB", o->planned / 1e6, budget / 1e6, o->peak / 1e6);
    test_below(label, o->status ? 1e9 : (o->peak - o->planned) / 1e6, OVERHEAD / 1e6);
    free(label);
}

/* The memory that OpenBLAS reserves for its threads and hardly uses. `ulimit -d` counts it. */
static const double BLAS_RESERVED = 3 * 134217728.0;

/* Checks that the run also succeeds under `ulimit -d`. */
static void check_limited(const char *name, const char *options, double buffers, const char *folder) {
    double bytes = buffers + OVERHEAD + BLAS_RESERVED;
    struct rlimit before;
    CHECK(getrlimit(RLIMIT_DATA, &before) == 0);
    CHECK(setrlimit(RLIMIT_DATA, &(struct rlimit) { (rlim_t)bytes, before.rlim_max }) == 0);
    Outcome o = run("train", options, UNLIMITED, folder);
    CHECK(setrlimit(RLIMIT_DATA, &before) == 0);
    test_true(name, o.status == 0, "under ulimit -d of %.0f MB: exit status %d", bytes / 1e6, o.status);
}

static void test_train(const char *model, int size, int batch, const char *folder) {
    char *options =
        mem_format("--model %s --images %s/pictures --token <zog> --init cat --steps 1 --grid-loss 0 "
                   "--no-flip --batch %d --resolution %d --threads 2 --out %s/run --force",
                   model, folder, batch, size, folder);
    char *name = mem_format("train, %d px", size);
    Outcome none = run("train", options, UNLIMITED, folder), refused = run("train", options, 1000, folder);
    test_true("too little is refused",
              refused.status == 1 && refused.wanted > 0 && refused.wanted < none.planned,
              "exit status %d, %.0f MB are asked for", refused.status, refused.wanted / 1e6);
    double budgets[3] = { UNLIMITED, refused.wanted, (refused.wanted + none.planned) / 2 };
    static const char *const names[3] = { "no budget", "the least", "between" };
    for (int i = 0; i < 3; i++) {
        char *label = mem_format("%s, %s", name, names[i]);
        Outcome o = i ? run("train", options, budgets[i], folder) : none;
        check(label, &o, budgets[i]);
        read_word(folder, &o);
        if (i == 0) none = o;
        test_same(label, o.word, none.word, sizeof none.word);
        free(label);
    }
    if (none.buffers > 2 * BLAS_RESERVED) check_limited(name, options, none.buffers, folder);
    free(name);
    free(options);
}

static void test_generate(const char *model, int size, const char *more, const char *folder) {
    char *options =
        mem_format("--model %s --prompt cat --width %d --height %d --threads 2 --out %s/p.png --force %s",
                   model, size, size, folder, more);
    char *name = mem_format("generate, %d px, %s", size, more);
    Outcome o = run("generate", options, UNLIMITED, folder);
    check(name, &o, UNLIMITED);
    Outcome refused = run("generate", options, o.planned / 2, folder);
    test_true("half of it is refused", refused.status == 1 && refused.wanted > 0,
              "exit status %d, %.0f MB are asked for", refused.status, refused.wanted / 1e6);
    free(name);
    free(options);
}

static void test_amounts(const char *folder) {
    static const char *const wrong[] = { "3apples", "0", "-1", "''", "1e300GB", "nan", "automatic" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *more = mem_format("--memory %s", wrong[i]);
        int status = run_ti("generate", "--prompt x", more, folder);
        test_true(more, status == 2, "exit status %d", status);
        free(more);
    }
    static const struct {
        const char *text;
        int64_t bytes;
    } right[] = {
        { "3GB", 3000000000 }, { "2.5g", 2500000000 }, { "800 M", 800000000 }, { "64kb", 64000 }, { "77", 77 }
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        Messages errors = { 0 };
        MemoryLimit limit;
        bool ok = memory_limit_parse(right[i].text, &limit, &errors);
        test_true(right[i].text, ok && !limit.automatic && limit.bytes == right[i].bytes, "%lld bytes",
                  (long long)limit.bytes);
    }
    test_true("auto", system_free_memory() > 100000000, "%lld MB are free",
              (long long)system_free_memory() / 1000000);
}

int main(int argc, char *argv[]) {
    const char *family = argc > 1 ? argv[1] : "tiny";
    bool tiny = strcmp(family, "tiny") == 0;
    char *folder = folder_new(), *copy = mem_string(argv[0]), *model = mem_format("%s/model", folder);
    char *command = mem_format("'%s/make_model' --family %s --dtype f16 '%s' && mkdir '%s/pictures' && cp "
                               "weights/critters/concepts/grum/1.png '%s/pictures'",
                               dirname(copy), family, model, folder, folder);
    CHECK(system(command) == 0);
    for (int size = tiny ? 128 : 256; size <= (tiny ? 256 : 512); size *= 2) {
        test_train(model, size, tiny ? 8 : 1, folder);
        bool last = size == (tiny ? 256 : 512);
        test_generate(model, size, last ? "--steps 1" : "--steps 2 --preview 1", folder);
    }
    test_amounts(folder);
    free(command);
    free(copy);
    free(model);
    folder_remove(folder);
    free(folder);
    return test_finish();
}
