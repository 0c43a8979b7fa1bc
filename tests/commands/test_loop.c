/* SPDX-License-Identifier: MIT */
/* Compares `ti train` with the reference script: the loss and learning rate of every micro-batch, and the
   learned vectors at the end. If a random number (for pictures, templates, flips, timesteps or noise) were
   drawn out of order, the first loss that depends on it would differ. The order of the examples is also
   compared by itself. */
#include "inversion/dataset.h"
#include "inversion/grid_loss.h"
#include "inversion/loop.h"
#include "inversion/progressive.h"
#include "tests/command.h"
#include "tests/golden.h"
#include "exchange/word_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double largest_difference(const float *a, const float *b, int64_t count) {
    double worst = 0;
    for (int64_t i = 0; i < count; i++) worst = test_worse(worst, fabs((double)a[i] - (double)b[i]));
    return worst;
}

/* Compares the lines "step,loss,lr" of losses.csv with the golden's. */
static void compare_losses(const Golden *g, const char *name, const char *path) {
    int64_t count;
    int32_t *steps = golden_ints(g, &count, "%s/step", name);
    float *losses = golden_floats(g, "%s/loss", name);
    double *rates = golden_doubles(g, "%s/lr", name);
    FILE *file = fopen(path, "r");
    CHECK(file && fscanf(file, "step,loss,lr\n") == 0);
    double worst_loss = 0, worst_rate = 0, loss, rate;
    int64_t lines = 0, wrong_steps = 0;
    int step;
    while (fscanf(file, "%d,%lf,%lf\n", &step, &loss, &rate) == 3 && lines < count) {
        wrong_steps += step != steps[lines];
        worst_loss = test_worse(worst_loss, fabs(loss - (double)losses[lines]) / (double)losses[lines]);
        worst_rate = test_worse(worst_rate, fabs(rate - rates[lines]) / fmax(rates[lines], 1e-12));
        lines++;
    }
    char *label = mem_format("%s.steps", name);
    test_true(label, lines == count && wrong_steps == 0, "%lld micro-batches of %lld, %lld with another step",
              (long long)lines, (long long)count, (long long)wrong_steps);
    free(label);
    test_below(label = mem_format("%s.losses", name), worst_loss, 1e-5);
    free(label);
    label = mem_format("%s.learning rates", name);
    test_below(label, worst_rate, 1e-8); /* losses.csv has nine digits of each number. */
    free(label);
    fclose(file);
    free(steps);
    free(losses);
    free(rates);
}

/* Compares the learned vectors. Their error is relative to how far the training moved them. */
static void compare_learned(const Golden *g, const char *name, const char *path) {
    Messages errors = { 0 };
    Embeddings learned;
    CHECK(word_file_read(path, &learned, &errors));
    float *start = golden_floats(g, "%s/start", name), *end = golden_floats(g, "%s/end", name);
    int64_t count = shape_count(golden_shape(g, "%s/end", name));
    CHECK_EQ(learned.words[0].vectors * learned.words[0].width, count);
    double error =
        largest_difference(learned.words[0].learned, end, count) / largest_difference(start, end, count);
    char *label = mem_format("%s.learned vectors (torch with 1 thread: %.7s)", name,
                             golden_meta(g, "%s/threads", name));
    test_below(label, error, 1e-4);
    free(label);
    free(start);
    free(end);
    embeddings_free(&learned);
}

/* With `one_by_one`, the examples of a batch are computed one at a time, which only rounds otherwise. */
static void test_run_as(const Golden *g, const char *name, bool one_by_one) {
    char *folder = folder_new();
    const char *given = golden_meta(g, "%s/options", name);
    if (one_by_one) printf("%s --one-by-one:\n", name);
    char *more = mem_format("%s%s --grid-loss 0 --checkpoint-every 0 --out %s/run",
                            strstr(given, "--model") ? "" : "--model weights/critters",
                            one_by_one ? " --one-by-one" : "", folder);
    /* The golden cases without a --schedule are constant, as the reference script's default is. */
    char *options = mem_format("--schedule constant %s", given);
    int status = run_ti("train", options, more, folder);
    free(options);
    char *label = mem_format("%s.runs", name);
    test_true(label, status == 0, "exit status %d", status);
    free(label);
    if (status == 0) {
        char *csv = mem_format("%s/run/losses.csv", folder);
        char *word = mem_format("%s/run/learned_embeds.safetensors", folder);
        compare_losses(g, name, csv);
        compare_learned(g, name, word);
        free(csv);
        free(word);
    }
    free(more);
    folder_remove(folder);
    free(folder);
}

static void test_run(const Golden *g, const char *name) { test_run_as(g, name, false); }

/* Compares the order of the examples over several epochs of 5 pictures, 5 repeats and batches of 2. The test
   draws the noise and the timesteps between them in the order in which the training loop does. */
static void test_order(const Golden *g) {
    const char *name = "accumulate";
    int64_t batches, examples = 0;
    int32_t *counts = golden_ints(g, &batches, "%s/count", name);
    int32_t *pictures = golden_ints(g, NULL, "%s/pictures", name);
    int32_t *templates = golden_ints(g, NULL, "%s/templates", name);
    int32_t *flips = golden_ints(g, NULL, "%s/flips", name);
    int32_t *timesteps = golden_ints(g, NULL, "%s/timesteps", name);
    Generator torch;
    Twister python;
    generator_seed(&torch, 11);
    python_seed(&python, 11);
    Dataset d = dataset_new(5, 5, 2, &(TrainingPrompts) { .rows = 27 }, true, 0, &torch, &python);
    int64_t wrong = 0;
    float noise[2 * 1024];
    for (int64_t b = 0; b < batches; b++) {
        Batch batch = dataset_next(&d);
        wrong += batch.count != counts[b];
        generator_randn(&torch, noise, batch.count * 1024);
        if (batch.count > 1)
            generator_randn_channels_last(&torch, noise, shape4(batch.count, 4, 16, 16));
        else
            generator_randn(&torch, noise, 1024);
        for (int64_t i = 0; i < batch.count; i++, examples++) {
            const Example *e = &batch.examples[i];
            wrong += e->picture != pictures[examples] || e->prompt != templates[examples] ||
                     e->flipped != (flips[examples] != 0);
            wrong += generator_randint(&torch, 0, 1000) != timesteps[examples];
        }
    }
    test_true("the order of draws", wrong == 0, "%lld examples, %lld wrong", (long long)examples,
              (long long)wrong);
    dataset_free(&d);
    free(counts);
    free(pictures);
    free(templates);
    free(flips);
    free(timesteps);
}

/* Compares the Min-SNR weights of all timesteps, where the UNet predicts eps and where it predicts v. */
static void test_min_snr(const Golden *g) {
    SchedulerConfig config = { .train_timesteps = 1000, .beta_start = 0.00085, .beta_end = 0.012 };
    config.beta_schedule = BETAS_SCALED_LINEAR;
    for (int v = 0; v < 2; v++) {
        config.prediction = v ? PREDICT_V : PREDICT_EPSILON;
        NoiseSchedule schedule = noise_schedule_new(&config);
        float *want = golden_floats(g, v ? "snr/v" : "snr/eps");
        double worst = 0;
        for (int64_t t = 0; t < 1000; t++)
            worst = test_worse(worst, fabs((double)min_snr_weight(&schedule, 5, t) / (double)want[t] - 1));
        test_below(v ? "Min-SNR weights for v" : "Min-SNR weights for eps", worst, 1e-6);
        free(want);
        noise_schedule_free(&schedule);
    }
}

/* With --progressive 2, the first two checkpoints have one vector and the third has two; and a validation
   picture is drawn with the word of its step. */
static void test_progressive(void) {
    int64_t wrong = 0;
    static const int64_t learned[] = { 1, 1, 1, 2, 2, 3, 3, 3 };
    for (int64_t steps = 0; steps < 8; steps++) wrong += progressive_learned(2, 3, steps) != learned[steps];
    test_true("vectors by step", wrong == 0, "%lld of 8 wrong", (long long)wrong);
    char *folder = folder_new(), *out = mem_format("--out %s/run", folder);
    int status = run_ti(
        "train",
        "--model weights/critters --images weights/critters/concepts/grum --token '<g>' --init critter "
        "--vectors 2 --progressive 2 --steps 3 --batch 1 --grid-loss 0 --checkpoint-every 1 "
        "--validation-prompt 'a <g>' --validation-every 2 --sampling-steps 1",
        out, folder);
    test_true("progressive checkpoints", status == 0, "exit status %d", status);
    for (int64_t step = 1; step <= 3 && status == 0; step++) {
        char *path = mem_format("%s/run/learned_embeds-steps-%lld.safetensors", folder, (long long)step);
        Messages errors = { 0 };
        Embeddings word;
        CHECK(word_file_read(path, &word, &errors));
        test_true("their vectors", word.words[0].vectors == learned[step], "%lld after %lld steps",
                  (long long)word.words[0].vectors, (long long)step);
        embeddings_free(&word);
        free(path);
    }
    char *like = mem_format("--like %s/run/validation-2.png --out %s/again.png", folder, folder);
    status = run_ti("generate", like, "", folder);
    test_true("a picture of one vector",
              status == 0 && same_pixels(folder, "again.png", "run/validation-2.png"), "is drawn again");
    free(like);
    free(out);
    folder_remove(folder);
    free(folder);
}

static bool stop(void *user, int64_t done, int64_t all) {
    (void)user;
    (void)done;
    (void)all;
    return false;
}

/* The watch stops the computation before the first forward pass, so that the training step needs no graph. */
static void test_grid_stops(void) {
    Posteriors posteriors = { .pictures = 1 };
    TrainingStep step = { .batch = 1, .latent_count = 4 };
    double loss = grid_loss(&(GridLossData) { .posteriors = &posteriors }, &step, &(Watch) { stop, NULL });
    test_true("a fixed-grid loss that is stopped", isnan(loss), "%g", loss);
}

int main(void) {
    Golden *g = golden_open("golden/loop.safetensors");
    test_order(g);
    static const char *const cases[] = { "accumulate", "batch", "style", "vectors", "single" };
    /* .ci/run sets QUICK for sanitizers, with which the first cases take minutes. */
    for (size_t i = getenv("QUICK") ? 3 : 0; i < sizeof cases / sizeof cases[0]; i++) test_run(g, cases[i]);
    test_run_as(g, "accumulate", true);
    golden_free(g);
    g = golden_open("golden/variants.safetensors");
    test_min_snr(g);
    static const char *const variants[] = { "median",   "regularised", "norm",  "sphere",      "code",
                                            "captions", "filewords",   "masks", "progressive", "per-image" };
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) test_run(g, variants[i]);
    static const char *const alone[] = { "masks", "progressive", "per-image", "regularised" };
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) test_run_as(g, alone[i], true);
    golden_free(g);
    g = golden_open("golden/sizes.safetensors"); /* pictures that are not square */
    test_run(g, "wide");
    test_run(g, "high");
    golden_free(g);
    test_grid_stops();
    test_progressive();
    return test_finish();
}
