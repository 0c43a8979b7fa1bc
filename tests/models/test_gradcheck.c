/* SPDX-License-Identifier: MIT */
/* Tests d loss / d learned of a whole training step, through the UNet and the text encoder, against finite
   differences, along the gradient itself and along random directions. The models are the embedded one and
   three others, with the memory plan of `ti train`.

   Along a direction d of unit length, with L(s) the loss at learned + s d, the derivative is <gradient, d>,
   and

       D(h) = (L(h) - L(-h)) / 2h = L'(0) + h^2 L'''(0) / 6 + ...    the truncation error, which grows with h
                                    + noise / h                     the rounding error, which falls

   since L is computed in fp32. Both errors are estimated without using the gradient: the truncation error
   from the steps h and h / 2 (D(h) - D(h / 2) is 3/4 of it), and the rounding error from the scatter of L
   around a line, over a stretch too short for L to be curved. The test uses the step at which the sum of both
   is smallest. */
#include "inversion/training.h"
#include "tensor/rng.h"
#include "tensor/threads.h"
#include "tests/network.h"
#include "tests/test.h"
#include "text/prompt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Steps are fractions of the learned vectors' norm, each half of the one before. */
enum { STEPS = 9, SCATTER = 16 };
static const double LARGEST_STEP = 0.125, SHORT_STRETCH = 1e-3;

/* How far derivative and difference may be apart, as a fraction of the gradient's norm. This is far above
   fp32's noise and far below the error of a wrong backward pass. */
static const double TOLERANCE = 1e-3;

enum { BATCH = 2, VECTORS = 2, DIRECTIONS = 4 }; /* directions: the gradient's own and three random ones */

typedef struct {
    double step, difference;     /* h and D(h) */
    double truncation, rounding; /* estimates of the two errors */
} Measured;

typedef struct {
    double derivative; /* <gradient, direction> */
    Measured at[STEPS];
    int best;
    double error; /* at the best step, as a fraction of the gradient's norm */
} Direction;

typedef struct {
    TrainingStep step;
    float *learned;       /* [count], the vectors at which the graph computes the loss */
    float *start, *grad;  /* [count], the vectors in the middle and the gradient there */
    double *unit;         /* [count], the direction */
    int64_t count;        /* n D */
    double length, noise; /* the norm of the learned vectors; the standard deviation of the loss's noise */
    double loss, grad_norm;
    Direction directions[DIRECTIONS];
} Check;

/* Returns the loss at start + s unit. It is summed in double from the prediction, since the loss node's
   result has only 24 bits. */
static double loss_at(Check *c, double s) {
    for (int64_t i = 0; i < c->count; i++) c->learned[i] = (float)((double)c->start[i] + s * c->unit[i]);
    training_step_loss(&c->step);
    int64_t n = c->step.batch * c->step.latent_count;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double error = (double)c->step.noise_pred->data[i] - (double)c->step.target[i];
        sum += error * error;
    }
    return sum / (double)n;
}

static double norm(const float *x, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)x[i] * x[i];
    return sqrt(sum);
}

/* Returns the scatter of the loss around the line of least squares through SCATTER points close together. */
static double measure_noise(Check *c) {
    double y[SCATTER], sum = 0, slope = 0, spread = 0, residue = 0;
    for (int i = 0; i < SCATTER; i++) {
        double x = i - (SCATTER - 1) / 2.0;
        y[i] = loss_at(c, x / (double)SCATTER * SHORT_STRETCH * c->length);
        sum += y[i];
        slope += x * y[i];
        spread += x * x;
    }
    for (int i = 0; i < SCATTER; i++) {
        double x = i - (SCATTER - 1) / 2.0, off = y[i] - sum / (double)SCATTER - slope / spread * x;
        residue += off * off;
    }
    return sqrt(residue / (SCATTER - 2));
}

static void measure(Check *c, Direction *d) {
    double dot = 0;
    for (int64_t i = 0; i < c->count; i++) dot += (double)c->grad[i] * c->unit[i];
    d->derivative = dot;
    for (int k = 0; k < STEPS; k++) {
        double h = ldexp(LARGEST_STEP * c->length, -k);
        d->at[k] = (Measured) { .step = h, .difference = (loss_at(c, h) - loss_at(c, -h)) / (2 * h) };
        d->at[k].rounding = c->noise / (h * sqrt(2)); /* two losses' noise over 2h */
    }
    /* The truncation error is proportional to h^2, so that of the smallest step is a quarter of the one
       before. */
    for (int k = 0; k < STEPS; k++) {
        d->at[k].truncation = k + 1 < STEPS ? 4.0 / 3.0 * fabs(d->at[k].difference - d->at[k + 1].difference)
                                            : d->at[k - 1].truncation / 4;
        double sum = d->at[k].truncation + d->at[k].rounding;
        if (sum < d->at[d->best].truncation + d->at[d->best].rounding) d->best = k;
    }
    d->error = fabs(d->at[d->best].difference - d->derivative) / c->grad_norm;
}

/* Fills c->unit with the direction of the gradient when k is 0, and otherwise with a random direction. */
static void choose_direction(Check *c, int64_t k, Generator *generator) {
    float *x = mem_alloc((size_t)c->count * sizeof *x);
    if (k == 0)
        memcpy(x, c->grad, (size_t)c->count * sizeof *x);
    else
        generator_randn(generator, x, c->count);
    double length = norm(x, c->count);
    for (int64_t i = 0; i < c->count; i++) c->unit[i] = length > 0 ? (double)x[i] / length : 0;
    free(x);
}

static void check(Check *c, Generator *generator) {
    training_step_loss(&c->step);
    training_step_gradient(&c->step, 1);
    c->length = norm(c->start, c->count);
    c->grad_norm = norm(c->grad, c->count);
    c->loss = loss_at(c, 0);
    for (int64_t k = 0; k < DIRECTIONS; k++) {
        Direction *d = &c->directions[k];
        choose_direction(c, k, generator);
        if (k == 0) c->noise = measure_noise(c);
        measure(c, d);
    }
}

/* Fills the step's batch with random latents (from N(0, 1), like a picture's), noise and timesteps, and with
   the same prompt for each example. */
static void fill_step(TrainingStep *s, const Model *m, const int32_t *ids, Generator *generator) {
    int64_t n = s->latent_count;
    float *z = mem_alloc((size_t)(2 * n) * sizeof *z), *noise = z + n;
    for (int64_t i = 0; i < s->batch; i++) {
        generator_randn(generator, z, n);
        generator_randn(generator, noise, n);
        int64_t t = generator_randint(generator, 0, m->noise_schedule.config.train_timesteps);
        training_step_set(s, &m->noise_schedule, i, z, noise, t);
        memcpy(s->ids + i * s->tokens, ids, (size_t)s->tokens * sizeof *ids);
    }
    free(z);
}

/* The learned vectors start as embeddings of random tokens of the vocabulary. There are two, so that a
   mistake that swaps them is noticed. */
static void choose_learned(Model *m, Words *words, Generator *generator) {
    Messages errors = { 0 };
    int64_t width = words->width = m->clip.config.hidden_size;
    float *learned = mem_alloc((size_t)(VECTORS * width) * sizeof *learned);
    for (int64_t i = 0; i < VECTORS; i++) {
        int64_t id = generator_randint(generator, 0, m->clip.config.vocab_size);
        weight_read_row(m->clip.token_embedding, id, learned + i * width);
    }
    CHECK(words_add(words, m->tokenizer, "<gradcheck>", learned, VECTORS, width, "test", NULL, &errors));
    free(learned);
}

static void check_model(const char *folder, int threads, Check *c) {
    Messages errors = { 0 };
    Model m = network_open(folder, &errors);
    Generator generator;
    generator_seed(&generator, 0);
    Words words = { 0 };
    choose_learned(&m, &words, &generator);
    bool room = tokenizer_max_length(m.tokenizer) > 10; /* otherwise the prompt is the word alone */
    int32_t *ids = prompt_ids(m.tokenizer, room ? "a photo of a <gradcheck>" : "<gradcheck>", &errors);
    *c = (Check) { .count = VECTORS * words.width };
    size_t floats = (size_t)c->count * sizeof(float);
    c->learned = words.learned;
    c->start = mem_alloc(floats);
    c->grad = mem_alloc(floats);
    c->unit = mem_alloc((size_t)c->count * sizeof *c->unit);
    memcpy(c->start, c->learned, floats);
    int64_t side = m.unet.config.sample_size;
    TrainingStepShape shape = { BATCH, tokenizer_max_length(m.tokenizer), side, side, VECTORS, false };
    c->step =
        training_step_new(&m.clip, &m.unet, shape, c->learned, c->grad, (PlanOptions) { .train = true });
    Arena arena = { 0 };
    CHECK(arena_allocate(&arena, plan_bytes(&c->step.plan, threads)));
    graph_bind(c->step.graph, &arena, threads);
    fill_step(&c->step, &m, ids, &generator);
    check(c, &generator);
    training_step_free(&c->step);
    arena_free(&arena);
    free(c->start);
    free(c->grad);
    free(c->unit);
    free(ids);
    words_free(&words);
    model_close(&m);
    messages_free(&errors);
}

int main(void) {
    static const char *const models[] = { "weights/critters", "golden/models/linear", "golden/models/narrow",
                                          "golden/models/wide" };
    int first = getenv("QUICK") ? 3 : 0; /* .ci/run tests only the quickest model with sanitizers */
    for (int i = first; i < 4; i++) {
        Check c[2];
        for (int threads = 1; threads <= 2; threads++) {
            threads_start(threads);
            check_model(models[i], threads, &c[threads - 1]);
        }
        for (int k = 0; k < DIRECTIONS; k++) {
            char name[80];
            snprintf(name, sizeof name, "%s, %s %d", models[i], k ? "random direction" : "the gradient's own",
                     k);
            test_below(name, c[0].directions[k].error, TOLERANCE);
            test_same("with 1 thread and with 2", c[0].directions[k].at, c[1].directions[k].at,
                      sizeof c[0].directions[k].at);
        }
        test_below("along the gradient its norm is the derivative",
                   fabs(c[0].directions[0].derivative / c[0].grad_norm - 1), 1e-5);
        test_true("noise", c[0].noise < 1e-5 * c[0].loss, "%.1e of a loss of %.3f", c[0].noise, c[0].loss);
    }
    return test_finish();
}
