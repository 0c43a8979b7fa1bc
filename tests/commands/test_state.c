/* SPDX-License-Identifier: MIT */
/* Tests what a run keeps in its folder in order to be resumed. The state is read back as it was written, is
   written when it is due, and is refused when it is damaged. The cache of the pictures' posteriors is used
   when it fits, and recomputed when it does not. */
#include "exchange/family.h"
#include "io/system.h"
#include "tensor/threads.h"
#include "inversion/posterior.h"
#include "cli/resume.h"
#include "io/hash.h"
#include "tests/command.h"
#include "tests/refusal.h"
#include "weights/sealed.h"

#include <math.h>

static char *folder;

static char *in_folder(const char *name) { return mem_format("%s/%s", folder, name); }

/* The state of a run */

enum { COUNT = 6, PICTURES = 3, POINTS = 2 };

static RunState some_state(void) {
    static float arrays[4][COUNT];
    static uint64_t pictures[PICTURES] = { 7, 9, 8 };
    static double grid[2 * POINTS] = { 0, 0.25, 2, 0.125 };
    for (int64_t i = 0; i < 4 * COUNT; i++) arrays[i / COUNT][i % COUNT] = (float)i + 0.5f;
    RunState s = { .finished = true, .step = 3, .steps = 5, .taken = 1, .gathered = 2, .count = COUNT };
    s.losses_hash = 11;
    s.initial = arrays[1];
    s.identity = (RunIdentity) { 1, 2, 3, 4, 5, PICTURES, pictures };
    s.learned = arrays[0];
    s.m = arrays[1];
    s.v = arrays[2];
    s.accumulated = arrays[3];
    s.records = 4;
    s.losses_bytes = 40;
    s.points = POINTS;
    s.grid = grid;
    s.first_loss = 0.75;
    generator_seed(&s.torch, 5);
    python_seed(&s.python, 6);
    return s;
}

/* The same state of a run with --stop auto, at step 3. */
static RunState stopping_state(void) {
    static double losses[2] = { 0.5, 0.25 };
    static float best[COUNT] = { 1, 2, 3 };
    RunState s = some_state();
    s.stop = (EarlyStop) { 2, 4, 0.15, 2, losses, COUNT, best, true };
    return s;
}

static bool same_stop(const EarlyStop *a, const EarlyStop *b) {
    return a->every == b->every && a->window == b->window && a->last_best == b->last_best &&
           memcmp(&a->threshold, &b->threshold, sizeof(double)) == 0 && a->count == b->count &&
           a->elements == b->elements && !a->losses == !b->losses &&
           (a->every == 0 || (memcmp(a->losses, b->losses, (size_t)a->count * sizeof(double)) == 0 &&
                              memcmp(a->best, b->best, COUNT * sizeof(float)) == 0));
}

static bool same_fields(const RunState *a, const RunState *b) {
    const RunIdentity *i = &a->identity, *j = &b->identity;
    return i->options == j->options && i->prompts == j->prompts && i->text_encoder == j->text_encoder &&
           i->unet == j->unet && i->vae == j->vae && i->picture_count == j->picture_count &&
           a->finished == b->finished && a->step == b->step && a->taken == b->taken &&
           a->gathered == b->gathered && a->count == b->count && a->records == b->records &&
           a->losses_bytes == b->losses_bytes && a->losses_hash == b->losses_hash && a->steps == b->steps &&
           a->points == b->points && memcmp(&a->first_loss, &b->first_loss, sizeof a->first_loss) == 0 &&
           same_stop(&a->stop, &b->stop);
}

static bool same_arrays(const RunState *a, const RunState *b) {
    return memcmp(a->identity.pictures, b->identity.pictures, PICTURES * sizeof(uint64_t)) == 0 &&
           memcmp(&a->torch, &b->torch, sizeof a->torch) == 0 &&
           memcmp(&a->python, &b->python, sizeof a->python) == 0 &&
           memcmp(a->learned, b->learned, COUNT * sizeof(float)) == 0 &&
           memcmp(a->initial, b->initial, COUNT * sizeof(float)) == 0 &&
           memcmp(a->m, b->m, COUNT * sizeof(float)) == 0 && memcmp(a->v, b->v, COUNT * sizeof(float)) == 0 &&
           memcmp(a->accumulated, b->accumulated, COUNT * sizeof(float)) == 0 &&
           memcmp(a->grid, b->grid, 2 * POINTS * sizeof(double)) == 0;
}

static void test_read_back(void) {
    Messages errors = { 0 };
    char *path = in_folder("state");
    for (int finished = 0; finished < 3; finished++) {
        RunState written = finished < 2 ? some_state() : stopping_state(), read;
        written.finished = finished % 2;
        bool ok = state_write(path, &written, &errors) && state_read(path, &read, &errors);
        test_true("a state is read back", ok && same_fields(&written, &read) && same_arrays(&written, &read),
                  "%s",
                  text_of(&errors, finished == 2 ? "with --stop auto"
                                   : finished    ? "finished"
                                                 : "not finished"));
        if (ok) state_free(&read);
    }
    RunState written = some_state(), read;
    written.points = written.identity.picture_count = 0;
    bool ok = state_write(path, &written, &errors) && state_read(path, &read, &errors);
    test_true("a state with empty arrays", ok && same_fields(&written, &read), "%s", text_of(&errors, ""));
    if (ok) state_free(&read);
    free(path);
}

/* What --stop auto adds is in the file of no other run, and is whole and plausible where it is. */
static void test_early_stop(void) {
    Messages errors = { 0 };
    char *path = in_folder("state");
    RunState written = some_state(), read;
    CHECK(state_write(path, &written, &errors));
    Safetensors file;
    CHECK(safetensors_open(path, &file, &errors));
    const char *key;
    json_t *item;
    int mentioned = 0;
    json_object_foreach (json_object_get(file.header, "__metadata__"), key, item)
        mentioned += !strncmp(key, "stop", 4);
    for (int64_t i = 0; i < file.count; i++) mentioned += !strncmp(file.tensors[i].weight.name, "stop", 4);
    test_true("a run without --stop", mentioned == 0, "does not mention it");
    safetensors_close(&file);
    static const struct {
        const char *name;
        int64_t step, every, window, count;
        double threshold;
        bool ok;
    } cases[] = {
        { "between two losses", 3, 2, 4, 2, 0.15, true },
        { "at a loss", 4, 2, 4, 3, 0.15, true },
        { "before its loss", 4, 2, 4, 2, 0.15, true },
        { "a loss too many", 3, 2, 4, 3, 0.15, false },
        { "a loss missing", 3, 2, 4, 1, 0.15, false },
        { "no loss", 0, 2, 4, 0, 0.15, false },
        { "a window of 1", 3, 2, 1, 2, 0.15, false },
        { "no threshold", 3, 2, 4, 2, 0, false },
        { "an interval longer than the run", 3, 4, 4, 2, 0.15, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double losses[3] = { 3, 2, 1 };
        written = stopping_state();
        written.step = cases[i].step;
        written.stop.every = cases[i].every;
        written.stop.window = cases[i].window;
        written.stop.count = cases[i].count;
        written.stop.threshold = cases[i].threshold;
        written.stop.losses = losses;
        bool ok = state_write(path, &written, &errors) && state_read(path, &read, &errors);
        test_true(cases[i].name, ok == cases[i].ok, "%s", text_of(&errors, "is read"));
        if (ok) state_free(&read);
        messages_free(&errors);
    }
    free(path);
}

/* Changes one bit in each byte, and cuts the file off at each byte. The bytes are copied to memory of their
   own, so that the sanitizers notice any read beyond their end. */
static void test_damaged(void) {
    Messages errors = { 0 };
    char *path = in_folder("state");
    RunState written = some_state(), read;
    CHECK(state_write(path, &written, &errors));
    size_t size, accepted = 0, silent = 0;
    char *whole = read_text(path, &size);
    for (size_t n = 0; n < 2 * size; n++) {
        size_t length = n < size ? n : size;
        unsigned char *bytes = mem_alloc(length);
        memcpy(bytes, whole, length);
        if (n >= size)
            bytes[n - size] ^= (unsigned char)(1 << n % 8);
        else
            sealed_seal(bytes, length); /* The checksum fits, if there is room for one. */
        accepted += state_parse("x", bytes, length, &read, &errors);
        silent += !errors.text || !strstr(errors.text, "x: is damaged");
        messages_free(&errors);
        free(bytes);
    }
    test_true("a state that was cut off or changed", accepted == 0 && silent == 0,
              "of %zu, %zu accepted, %zu silent", 2 * size, accepted, silent);
    free(whole);
    free(path);
}

/* Writes a state with changed contents, and tests that it is refused with the message `says`, or read when
   that is NULL. Each given tensor is added, or replaces the one of the same name, or removes it if its dtype
   is NULL. Likewise extra[0] is the name of a number and extra[1] its new value, or NULL to remove it. */
static void expect_state(const char *name, const SafeTensor *tensors, int64_t count,
                         const char *const extra[2], const char *says) {
    Messages errors = { 0 };
    char *path = in_folder("state"), *other = in_folder("other");
    RunState written = some_state(), read;
    Safetensors file;
    CHECK(state_write(path, &written, &errors) && safetensors_open(path, &file, &errors));
    const char *metadata[32][2];
    int64_t pairs = 0;
    const char *key;
    json_t *item;
    json_object_foreach (json_object_get(file.header, "__metadata__"), key, item) {
        if (!strcmp(key, "checksum") || (extra && !strcmp(key, extra[0]))) continue;
        metadata[pairs][0] = key;
        metadata[pairs++][1] = json_string_value(item);
    }
    if (extra && extra[1]) {
        metadata[pairs][0] = extra[0];
        metadata[pairs++][1] = extra[1];
    }
    SafeTensor all[16];
    int64_t used = 0;
    for (int64_t i = 0; i < file.count; i++) {
        bool replaced = false;
        for (int64_t k = 0; k < count; k++)
            replaced = replaced || !strcmp(tensors[k].weight.name, file.tensors[i].weight.name);
        if (!replaced) all[used++] = file.tensors[i];
    }
    for (int64_t k = 0; k < count; k++)
        if (tensors[k].dtype) all[used++] = tensors[k];
    CHECK(sealed_write(other, all, used, (const char *const(*)[2])metadata, pairs, &errors));
    safetensors_close(&file);
    bool ok = state_read(other, &read, &errors);
    if (says)
        expect_refused(name, ok, &errors, says);
    else
        test_true(name, ok, "%s", text_of(&errors, "is read"));
    if (ok) state_free(&read);
    messages_free(&errors);
    free(path);
    free(other);
}

static void test_names(void) {
    static const float numbers[COUNT] = { 1 };
    SafeTensor ema = { .weight = { .name = "ema", .shape = shape1(COUNT), .data = numbers },
                       .dtype = "F32",
                       .size = sizeof numbers };
    expect_state("the state's own names", NULL, 0, NULL, NULL);
    expect_state("a tensor that is not known", &ema, 1, NULL,
                 "contains \"ema\", which a later version of ti wrote");
    expect_state("a number that is not known", NULL, 0, (const char *const[2]) { "norm", "1" },
                 "contains \"norm\", which a later version");
    expect_state("a number less", NULL, 0, (const char *const[2]) { "step", NULL }, "is damaged");
    expect_state("a number that is none", NULL, 0, (const char *const[2]) { "step", "3x" }, "is damaged");
    SafeTensor m = ema;
    m.weight.name = "adamw.m";
    expect_state("a tensor that replaces another", &m, 1, NULL, NULL);
    m.dtype = "I32";
    expect_state("a tensor of another type", &m, 1, NULL, "is damaged");
    m.dtype = NULL;
    expect_state("a tensor less", &m, 1, NULL, "is damaged");
    m.dtype = "F32";
    m.weight.shape = shape1(COUNT - 1);
    m.size -= sizeof(float);
    expect_state("a tensor of another length", &m, 1, NULL, "is damaged");
}

/* The shortest file whose version is recognised consists of the magic string and a checksum. */
static void test_version(void) {
    unsigned char bytes[24] = "ti run state 9\n";
    Messages errors = { 0 };
    RunState read;
    bool ok = state_parse("x", bytes, sizeof bytes, &read, &errors);
    expect_refused("a state of another version", ok, &errors, "x: was written by another version of ti");
    ok = state_parse("x", bytes, sizeof bytes - 1, &read, &errors);
    expect_refused("no state of any version", ok, &errors, "x: is damaged");
}

/* Version 2 is read but no longer written. The state in tests/runs is read completely, and is refused when it
   is cut off at any byte, even with a checksum that fits. */
static void test_version_2(void) {
    Messages errors = { 0 };
    RunState read;
    size_t size, accepted = 0, silent = 0;
    char *whole = read_text("tests/runs/version2/run.state", &size);
    bool ok = state_parse("x", (unsigned char *)whole, size, &read, &errors);
    test_true("version 2", ok && read.step == 26 && read.gathered == 1 && read.records == 40 && !read.newer,
              "%s", text_of(&errors, "is read"));
    if (ok) state_free(&read);
    for (size_t n = 13; n + sizeof(uint64_t) < size; n++) {
        unsigned char *bytes = mem_alloc(n + sizeof(uint64_t));
        memcpy(bytes, whole, n);
        uint64_t hash = hash_bytes(HASH_START, bytes, n);
        memcpy(bytes + n, &hash, sizeof hash);
        accepted += state_parse("x", bytes, n + sizeof hash, &read, &errors);
        silent += !errors.text || !strstr(errors.text, "x: is damaged");
        messages_free(&errors);
        free(bytes);
    }
    test_true("version 2, cut off", accepted == 0 && silent == 0, "of %zu, %zu accepted, %zu silent", size,
              accepted, silent);
    free(whole);
}

/* A file whose checksum fits may still contain numbers that no run can have, such as a negative step. */
static void test_implausible(void) {
    Messages errors = { 0 };
    char *path = in_folder("state");
    static const char *const names[] = { "step",         "taken", "gathered", "records",
                                         "losses_bytes", "steps", "count" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        RunState written = some_state(), read;
        int64_t *const fields[] = { &written.step,    &written.taken,        &written.gathered,
                                    &written.records, &written.losses_bytes, &written.steps,
                                    &written.count };
        *fields[i] = 0;
        bool ok = state_write(path, &written, &errors) && state_read(path, &read, &errors);
        bool positive = fields[i] == &written.steps || fields[i] == &written.count;
        test_true(names[i], ok == !positive, "of 0: %s", text_of(&errors, "is read"));
        if (ok) state_free(&read);
        messages_free(&errors);
        if (fields[i] == &written.count) continue; /* No tensor has a negative length. */
        *fields[i] = -1;
        ok = state_write(path, &written, &errors) && state_read(path, &read, &errors);
        expect_refused(names[i], ok, &errors, "is damaged");
    }
    free(path);
}

/* A state does not fit a loop that learns fewer numbers, or that has fewer steps. */
static void test_fits(void) {
    RunState s = some_state();
    Loop loop = { .options = { .steps = s.step, .accumulate = s.gathered + 1 }, .adamw = { .count = COUNT } };
    loop.dataset = (Dataset) { .pictures = 2, .repeats = 1, .batch = 2 };
    Messages errors = { 0 };
    test_true("a state at the run's end", state_fits(&s, &loop, "x", &errors), "%s",
              text_of(&errors, "fits"));
    int64_t *const fields[] = { &s.count, &s.taken, &s.step, &s.gathered };
    static const char *const names[] = { "another count", "taken beyond the epoch", "a step too many",
                                         "gathered beyond an update" };
    for (int i = 0; i < 4; i++) {
        ++*fields[i];
        expect_refused(names[i], state_fits(&s, &loop, "x", &errors), &errors, "x: is damaged");
        --*fields[i];
    }
}

/* The state of a run is written at most once in a second. */
static void test_due(void) {
    Messages errors = { 0 };
    char *path = in_folder("run");
    RunFolder run;
    CHECK(run_folder_open(&run, path, "<g>", false, &errors) && run_folder_open_losses(&run, NULL, &errors));
    StateSaver saver = { 0 };
    bool due = saver_due(&saver);
    test_true("a first state is due", due, "at once");
    double start = system_seconds();
    Loop loop = { .options = { .steps = 1 } };
    bool ok = saver_write(&saver, &loop, &run, false, &errors);
    double took = system_seconds() - start;
    test_true("the next one is not", ok && saver.next >= start + 1 && saver.next <= start + 1 + 51 * took,
              "%s", text_of(&errors, "within a second"));
    run_folder_close(&run);
    free(path);
}

/* The cache of posteriors */

#define SIDE 16

typedef struct {
    Model model;
    Encoder encoder;
    Arena arena;
    Image images[2];
} Fixture;

/* Initialises a struct that must not move afterwards, since the graph points to the model's weights in it. */
static void fixture_open(Fixture *b, int threads) {
    Messages errors = { 0 }, warnings = { 0 };
    *b = (Fixture) { 0 };
    ModelFolder parts;
    CHECK(folder_open("golden/models/narrow", true, weights_open, &parts, &errors, &warnings) &&
          model_open(parts, &b->model, &errors, &warnings));
    messages_free(&warnings);
    b->encoder = encoder_new(&b->model.vae, SIDE, SIDE, (PlanOptions) { 0 });
    CHECK(arena_allocate(&b->arena, plan_bytes(&b->encoder.plan, threads)));
    graph_bind(b->encoder.graph, &b->arena, threads);
    for (int i = 0; i < 2; i++) {
        CHECK(image_new(SIDE, SIDE, &b->images[i], &errors));
        for (int k = 0; k < 3 * SIDE * SIDE; k++)
            b->images[i].rgb[k] = (unsigned char)(k * (3 + 2 * i) % 251);
    }
}

static void fixture_free(Fixture *b) {
    for (int i = 0; i < 2; i++) image_free(&b->images[i]);
    encoder_free(&b->encoder);
    arena_free(&b->arena);
    model_close(&b->model);
}

static Posteriors compute(const Fixture *b, int64_t count, uint64_t key, const char *cache,
                          const char *says) {
    Messages errors = { 0 }, warnings = { 0 };
    Posteriors p;
    bool ok =
        posteriors_compute(&p, &b->encoder, b->images, count, true, key, cache, NULL, &errors, &warnings);
    if (!ok) test_true("posteriors", false, "%s", text_of(&errors, ""));
    bool said = says ? warnings.text && strstr(warnings.text, says) : !warnings.text;
    if (!said)
        test_true("posteriors", false, "%s, and not %s", text_of(&warnings, "nothing"), says ? says : "");
    messages_free(&warnings);
    return p;
}

static bool same_posteriors(const Posteriors *a, const Posteriors *b) {
    return memcmp(a->parameters, b->parameters, (size_t)(a->pictures * 4 * a->count) * sizeof(float)) == 0;
}

/* Each posterior belongs to its own picture, and each mirrored one to the mirrored picture. */
static void test_places(Fixture *b, const Posteriors *want) {
    int wrong = 0;
    for (int i = 0; i < 4; i++) {
        Posteriors one;
        Messages errors = { 0 };
        Image *image = &b->images[i / 2];
        if (i % 2) image_flip(image);
        CHECK(posteriors_compute(&one, &b->encoder, image, 1, false, 0, NULL, NULL, &errors, NULL));
        if (i % 2) image_flip(image);
        wrong += memcmp(posterior_of(&one, 0, false), posterior_of(want, i / 2, i % 2),
                        (size_t)(2 * one.count) * sizeof(float)) != 0;
        posteriors_free(&one);
    }
    test_true("two pictures, and mirrored", wrong == 0, "%d of 4 wrong", wrong);
}

/* Rewrites the cache with other contents and a checksum that fits. Each entry becomes `count` numbers that
   are all 7, with this shape and dtype unless they are NULL, and the metadata get another value for the key.
   */
static void spoil(const char *path, const Shape *shape, const char *dtype, int64_t count, const char *key) {
    Messages errors = { 0 };
    Safetensors cache;
    CHECK(safetensors_open(path, &cache, &errors) && cache.count == 4);
    SafeTensor entries[4];
    float *sevens = mem_alloc((size_t)count * sizeof *sevens);
    for (int64_t i = 0; i < count; i++) sevens[i] = 7;
    for (int i = 0; i < 4; i++) {
        entries[i] = cache.tensors[i];
        if (shape) entries[i].weight.shape = *shape;
        if (dtype) entries[i].dtype = dtype;
        entries[i].weight.data = sevens;
        entries[i].size = (size_t)count * sizeof *sevens;
    }
    static const char *const keys[4] = { "vae", "precision", "kernels", "build" };
    const char *metadata[4][2];
    for (int i = 0; i < 4; i++) {
        metadata[i][0] = keys[i];
        metadata[i][1] = key && !strcmp(key, keys[i]) ? "x" : safetensors_metadata(&cache, keys[i]);
    }
    char *other = mem_format("%s.new", path);
    CHECK(sealed_write(other, entries, 4, (const char *const(*)[2])metadata, 4, &errors));
    safetensors_close(&cache);
    CHECK(rename(other, path) == 0);
    free(other);
    free(sevens);
}

static void expect_recomputed(const char *name, const Fixture *b, const Posteriors *want, const char *path,
                              uint64_t key, const char *says) {
    Posteriors p = compute(b, 2, key, path, says);
    test_true(name, same_posteriors(&p, want), "is recomputed");
    posteriors_free(&p);
    p = compute(b, 2, key, path, NULL);
    test_true(name, same_posteriors(&p, want), "and then used");
    posteriors_free(&p);
}

static void test_spoilt(const Fixture *b, const Posteriors *want, const char *path) {
    int64_t count = 2 * want->count;
    spoil(path, NULL, NULL, count, NULL);
    Posteriors p = compute(b, 2, 1, path, NULL);
    bool sevens = true;
    for (int64_t i = 0; i < want->pictures * 2 * count; i++)
        sevens = sevens && fabsf(p.parameters[i] - 7) < 1e-6f;
    test_true("the contents of the cache", sevens, "are used");
    posteriors_free(&p);

    expect_recomputed("another encoder's cache", b, want, path, 2, "was computed with another VAE");
    spoil(path, NULL, NULL, count, "vae");
    expect_recomputed("another VAE", b, want, path, 2, "was computed with another VAE");
    spoil(path, NULL, NULL, count, "precision");
    expect_recomputed("another precision", b, want, path, 2,
                      "was computed at another precision, or with another kernel for it");
    spoil(path, NULL, NULL, count, "kernels");
    expect_recomputed("other kernels", b, want, path, 2,
                      "was computed with another OpenBLAS or other kernels of it");
    spoil(path, NULL, NULL, count, "build");
    expect_recomputed("another build", b, want, path, 2, "was computed by another build of ti");

    Shape flat = shape1(count), smaller = shape3(1, 1, 1);
    const Shape *shapes[2] = { &flat, &smaller };
    for (int i = 0; i < 2; i++) {
        spoil(path, shapes[i], NULL, shape_count(*shapes[i]), NULL);
        expect_recomputed("entries of another shape", b, want, path, 2, NULL);
    }
    spoil(path, NULL, "I32", count, NULL);
    expect_recomputed("entries of whole numbers", b, want, path, 2, NULL);

    size_t size;
    char *bytes = read_text(path, &size);
    Messages errors = { 0 };
    for (size_t at = 0; at < size; at += size / 16) {
        bytes[at] ^= 4;
        CHECK(file_write(path, bytes, size, &errors));
        bytes[at] ^= 4;
        expect_recomputed("a bit", b, want, path, 2, "is damaged");
    }
    free(bytes);
}

static int pictures_left;
static bool go_on(void *user, int64_t done, int64_t all) {
    (void)user;
    (void)done;
    (void)all;
    return pictures_left-- > 0;
}

static int64_t entries_of(const char *path) {
    Messages errors = { 0 };
    Safetensors cache;
    CHECK(safetensors_open(path, &cache, &errors));
    int64_t count = cache.count;
    safetensors_close(&cache);
    return count;
}

static void test_cache(void) {
    Fixture b;
    fixture_open(&b, threads_start(2));
    char *path = in_folder("latents.safetensors"), *part = in_folder("part.safetensors");
    Posteriors want = compute(&b, 2, 0, NULL, NULL), first = compute(&b, 2, 1, path, NULL),
               again = compute(&b, 2, 1, path, NULL);
    test_places(&b, &want);
    test_true("the cache changes nothing",
              same_posteriors(&first, &want) && same_posteriors(&again, &want) && entries_of(path) == 4,
              "written and read");
    test_spoilt(&b, &want, path);

    Posteriors p;
    Messages errors = { 0 };
    pictures_left = 1;
    bool ok = posteriors_compute(&p, &b.encoder, b.images, 2, true, 1, part, &(Watch) { go_on, NULL },
                                 &errors, NULL);
    test_true("stopped after a picture", !ok && errors.count == 0 && entries_of(part) == 2, "%s",
              text_of(&errors, "its posteriors are in the cache"));
    posteriors_free(&p);
    memcpy(b.images[1].rgb, b.images[0].rgb, 3 * SIDE * SIDE);
    p = compute(&b, 2, 1, part, NULL);
    test_true("a picture twice",
              entries_of(part) == 2 && memcmp(posterior_of(&p, 1, false), posterior_of(&want, 0, false),
                                              (size_t)(4 * p.count) * sizeof(float)) == 0,
              "is in the cache once");
    posteriors_free(&p);
    posteriors_free(&want);
    posteriors_free(&first);
    posteriors_free(&again);
    free(path);
    free(part);
    fixture_free(&b);
}

int main(void) {
    folder = folder_new();
    test_read_back();
    test_early_stop();
    test_damaged();
    test_names();
    test_version();
    test_version_2();
    test_implausible();
    test_fits();
    test_due();
    test_cache();
    folder_remove(folder);
    free(folder);
    return test_finish();
}
