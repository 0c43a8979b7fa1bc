/* `ti gradcheck`: d loss / d rows of a whole training step against finite differences.

   Along a direction d of unit length, with L(s) the loss at rows + s d, the derivative is <gradient, d>, and

       D(h) = (L(h) - L(-h)) / 2h = L'(0) + h^2 L'''(0) / 6 + ...    the truncation error, which grows with h
                                    + noise / h                     the rounding error, which falls

   since L is computed in fp32. Both are estimated without a look at the gradient: the first from the steps h
   and h / 2 (D(h) - D(h / 2) is 3/4 of it), the second from the scatter of L around a line over a stretch too
   short to be curved. The step where their sum is least is the one that counts. */
#include "cli/gradcheck.h"

#include "cli/common.h"
#include "cli/console.h"
#include "cli/machine.h"
#include "cli/templates.h"
#include "nn/training.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    Given given;
    char *model;
    int prediction;
    int64_t resolution, batch, vectors, directions, seed, threads;
    double tolerance;
    bool json;
} GradcheckOptions;

#define AT(field) offsetof(GradcheckOptions, field)
static const Option OPTIONS[] = {
    { "model", OPTION_STRING, AT(model), "PATH", .shown = "the embedded model",
      .reason = "it needs no download",
      .help = "Stable Diffusion 1.x or 2.x: a folder as diffusers lays it out, or one .safetensors file" },
    { "prediction", OPTION_CHOICE, AT(prediction), "NAME", .choices = PREDICTIONS, .standard = "auto",
      .reason =
          "what the model's scheduler says, and v_prediction for a single file of 2.x, which says nothing",
      .help = "what the UNet predicts: epsilon (1.x, and 2.x of 512 pixels) or v_prediction (2.x of 768)" },
    { "resolution", OPTION_INT, AT(resolution), "N", 0, 8192, .shown = "the model's own side",
      .reason = "what it was trained on", .help = "side of the pictures" },
    { "batch", OPTION_INT, AT(batch), "N", 1, 1024, .standard = "1", .reason = "the quickest",
      .help = "pictures that go through the network together" },
    { "vectors", OPTION_INT, AT(vectors), "N", 1, 64, .standard = "2",
      .reason = "so that a row can be mistaken for another", .help = "rows that are learned" },
    { "directions", OPTION_INT, AT(directions), "N", 0, 1000, .standard = "3",
      .reason = "an error that they all miss is unlikely",
      .help = "random directions, beside the gradient's own" },
    { "seed", OPTION_INT, AT(seed), "N", 0, 9007199254740991.0, .standard = "0",
      .reason = "the same numbers every time", .help = "of the latents, noise, timesteps and directions" },
    { "tolerance", OPTION_REAL, AT(tolerance), "X", 0, 1, .standard = "0.001",
      .reason = "far above fp32's noise, far below what a wrong backward pass causes",
      .help = "how far derivative and difference may be apart, as a fraction of the gradient's length" },
    { "threads", OPTION_INT, AT(threads), "N", 0, 1024, .shown = "the physical cores",
      .reason = "a core's second thread slows the matrix products down", .help = "threads to compute with" },
    { "json", OPTION_FLAG, AT(json), .help = "print JSON, for programs" },
};

const Command GRADCHECK_COMMAND = {
    .name = "gradcheck",
    .summary =
        "Compares the gradient of a training step, d loss / d row through the UNet and the text encoder, "
        "with central differences of the loss, along the gradient and random directions. "
        "The memory plan and the threads are those of ti train. Exit status 1 if they disagree.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .examples = "  ti gradcheck\n"
                "  ti gradcheck --model stable-diffusion-v1-5 --resolution 256 --directions 1\n",
};

/* Steps as fractions of the rows' length, each half of the one before. */
enum { STEPS = 9, SCATTER = 16 };
static const double LARGEST_STEP = 0.125, SHORT_STRETCH = 1e-3;

typedef struct {
    double step, difference, truncation, rounding; /* the errors are estimates */
} Measured;

typedef struct {
    char name[32];
    double derivative; /* <gradient, direction> */
    Measured at[STEPS];
    int best;
    bool ok;
} Direction;

typedef struct {
    const GradcheckOptions *o;
    TrainingStep step;
    float *rows;          /* [count], moved about */
    float *start, *grad;  /* [count] */
    double *unit;         /* [count]: the direction */
    int64_t count;        /* vectors times width */
    double length, noise; /* of the rows; of the loss: a standard deviation */
    double loss, grad_norm;
    Direction *directions;
    int64_t all;
} Check;

/* The loss at start + s unit. Summed in double from the prediction: the loss node's result has 24 bits. */
static double loss_at(Check *c, double s) {
    for (int64_t i = 0; i < c->count; i++) c->rows[i] = (float)((double)c->start[i] + s * c->unit[i]);
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

/* The scatter of the loss around the line of least squares through SCATTER points that lie close together. */
static double measure_noise(Check *c) {
    double y[SCATTER], sum = 0, slope = 0, spread = 0, residue = 0;
    for (int i = 0; i < SCATTER; i++) {
        double x = i - (SCATTER - 1) / 2.0;
        y[i] = loss_at(c, x / SCATTER * SHORT_STRETCH * c->length);
        sum += y[i];
        slope += x * y[i];
        spread += x * x;
    }
    for (int i = 0; i < SCATTER; i++) {
        double x = i - (SCATTER - 1) / 2.0, off = y[i] - sum / SCATTER - slope / spread * x;
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
        d->at[k].rounding = c->noise / (h * sqrt(2)); /* of a difference of two losses, over 2h */
    }
    for (int k = 0; k < STEPS; k++) { /* the last step's is a quarter of the one before: it goes with h^2 */
        d->at[k].truncation = k + 1 < STEPS ? 4.0 / 3.0 * fabs(d->at[k].difference - d->at[k + 1].difference)
                                            : d->at[k - 1].truncation / 4;
        double sum = d->at[k].truncation + d->at[k].rounding;
        if (sum < d->at[d->best].truncation + d->at[d->best].rounding) d->best = k;
    }
    double error = fabs(d->at[d->best].difference - d->derivative);
    d->ok = c->grad_norm > 0 && error <= c->o->tolerance * c->grad_norm; /* false for NaN */
}

/* Direction 0 is the gradient's own, the others are random. */
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
    for (int64_t k = 0; k < c->all; k++) {
        Direction *d = &c->directions[k];
        choose_direction(c, k, generator);
        if (k == 0)
            snprintf(d->name, sizeof d->name, "gradient");
        else
            snprintf(d->name, sizeof d->name, "random %lld", (long long)k);
        if (k == 0) c->noise = measure_noise(c);
        measure(c, d);
    }
}

/* Reports */

static bool all_ok(const Check *c) {
    bool ok = true;
    for (int64_t k = 0; k < c->all; k++) ok = ok && c->directions[k].ok;
    return ok;
}

static void print_check(const Check *c) {
    printf("loss %.6f with an fp32 noise of %.1e; the gradient's length is %.4e\n", c->loss, c->noise,
           c->grad_norm);
    printf(
        "step: how far each way along the direction, the rows' length being %.3f. Truncation and rounding: "
        "what\n"
        "the difference itself may be off by; from the step with the least of them (*) the error is taken.\n",
        c->length);
    for (int64_t k = 0; k < c->all; k++) {
        const Direction *d = &c->directions[k];
        printf("\n%-12s derivative %+.6e\n", d->name, d->derivative);
        printf("  %9s  %14s  %10s  %10s  %10s\n", "step", "difference", "error", "truncation", "rounding");
        for (int i = 0; i < STEPS; i++) {
            const Measured *m = &d->at[i];
            printf("%c %9.2e  %+14.6e  %10.1e  %10.1e  %10.1e\n", i == d->best ? '*' : ' ', m->step,
                   m->difference, fabs(m->difference - d->derivative), m->truncation, m->rounding);
        }
    }
    printf("\n%-12s %13s %13s %20s %9s\n", "direction", "derivative", "difference", "error / |gradient|", "");
    for (int64_t k = 0; k < c->all; k++) {
        const Direction *d = &c->directions[k];
        double error = fabs(d->at[d->best].difference - d->derivative);
        printf("%-12s %+13.6e %+13.6e %20.1e %9s\n", d->name, d->derivative, d->at[d->best].difference,
               error / c->grad_norm, d->ok ? "ok" : "BAD");
    }
}

static cJSON *direction_json(const Check *c, const Direction *d) {
    cJSON *item = cJSON_CreateObject();
    const Measured *best = &d->at[d->best];
    cJSON_AddStringToObject(item, "direction", d->name);
    cJSON_AddNumberToObject(item, "derivative", d->derivative);
    cJSON_AddNumberToObject(item, "difference", best->difference);
    cJSON_AddNumberToObject(item, "step", best->step);
    cJSON_AddNumberToObject(item, "truncation", best->truncation);
    cJSON_AddNumberToObject(item, "rounding", best->rounding);
    cJSON_AddNumberToObject(item, "error", fabs(best->difference - d->derivative) / c->grad_norm);
    cJSON_AddBoolToObject(item, "ok", d->ok);
    cJSON *steps = cJSON_AddArrayToObject(item, "steps");
    for (int i = 0; i < STEPS; i++) {
        cJSON *step = cJSON_CreateObject();
        cJSON_AddItemToArray(steps, step);
        cJSON_AddNumberToObject(step, "step", d->at[i].step);
        cJSON_AddNumberToObject(step, "difference", d->at[i].difference);
        cJSON_AddNumberToObject(step, "truncation", d->at[i].truncation);
        cJSON_AddNumberToObject(step, "rounding", d->at[i].rounding);
    }
    return item;
}

static cJSON *check_json(const Check *c) {
    cJSON *document = cJSON_CreateObject();
    cJSON_AddNumberToObject(document, "resolution", (double)c->o->resolution);
    cJSON_AddNumberToObject(document, "batch", (double)c->o->batch);
    cJSON_AddNumberToObject(document, "vectors", (double)c->o->vectors);
    cJSON_AddNumberToObject(document, "loss", c->loss);
    cJSON_AddNumberToObject(document, "loss_noise", c->noise);
    cJSON_AddNumberToObject(document, "gradient_norm", c->grad_norm);
    cJSON_AddNumberToObject(document, "rows_norm", c->length);
    cJSON_AddNumberToObject(document, "tolerance", c->o->tolerance);
    cJSON_AddBoolToObject(document, "ok", all_ok(c));
    cJSON *directions = cJSON_AddArrayToObject(document, "directions");
    for (int64_t k = 0; k < c->all; k++)
        cJSON_AddItemToArray(directions, direction_json(c, &c->directions[k]));
    return document;
}

/* Setting up */

/* The rows start as embeddings of words that a draw picks from the vocabulary. */
static bool choose_rows(const GradcheckOptions *o, Model *m, Words *words, Generator *generator,
                        Messages *errors) {
    int64_t width = m->clip.config.hidden_size;
    float *rows = mem_alloc((size_t)(o->vectors * width) * sizeof *rows);
    for (int64_t i = 0; i < o->vectors; i++) {
        int64_t id = generator_randint(generator, 0, m->clip.config.vocab_size);
        Panel panel = weight_panel(m->clip.token_embedding, id, 1, 0, width, rows + i * width);
        if (panel.data != rows + i * width)
            memcpy(rows + i * width, panel.data, (size_t)width * sizeof *rows);
    }
    bool ok = words_add(words, m, "<gradcheck>", rows, o->vectors, width, "--vectors", errors);
    free(rows);
    return ok;
}

/* "a photo of a <gradcheck>", or the word alone where the window holds no more. */
static bool make_prompt(const Model *m, int64_t vectors, int32_t *ids, Messages *errors) {
    int64_t room = tokenizer_max_length(m->tokenizer) - 2;
    if (vectors > room)
        return messages_add(errors, "--vectors %lld: the model's window holds %lld tokens",
                            (long long)vectors, (long long)room);
    char *word = tokenizer_placeholder(m->tokenizer, "<gradcheck>");
    char *prompt = template_fill("a photo of a {}", word);
    if (tokenizer_encode(m->tokenizer, prompt, ids) > room) tokenizer_encode(m->tokenizer, word, ids);
    free(prompt);
    free(word);
    return true;
}

/* Latents as a picture's would be, N(0, 1); noise; a timestep each. */
static void fill_step(TrainingStep *s, const Model *m, const int32_t *ids, Generator *generator) {
    int64_t n = s->latent_count;
    float *z = mem_alloc((size_t)(2 * n) * sizeof *z), *noise = z + n;
    for (int64_t i = 0; i < s->batch; i++) {
        generator_randn(generator, z, n);
        generator_randn(generator, noise, n);
        int64_t t = generator_randint(generator, 0, m->diffusion.config.train_timesteps);
        training_step_set(s, &m->diffusion, i, z, noise, t);
        memcpy(s->ids + i * s->tokens, ids, (size_t)s->tokens * sizeof *ids);
    }
    free(z);
}

static bool run(const GradcheckOptions *o, const Model *m, const Words *words, const int32_t *ids,
                int threads, Generator *generator, bool *ok, Messages *errors) {
    int64_t side = o->resolution / vae_factor(&m->vae.config);
    Check c = { .o = o, .count = o->vectors * m->clip.config.hidden_size, .all = 1 + o->directions };
    size_t floats = (size_t)c.count * sizeof(float);
    c.rows = words->rows;
    c.start = mem_alloc(floats);
    c.grad = mem_alloc(floats);
    c.unit = mem_alloc((size_t)c.count * sizeof *c.unit);
    c.directions = mem_alloc((size_t)c.all * sizeof *c.directions);
    memcpy(c.start, c.rows, floats);
    c.step =
        training_step_new(&m->clip, &m->unet, c.rows, c.grad, o->vectors, o->batch,
                          tokenizer_max_length(m->tokenizer), side, side, (PlanOptions) { .train = true });
    Arena arena = { 0 };
    bool allocated = arena_allocate(&arena, plan_bytes(&c.step.plan, threads), errors);
    if (allocated) {
        graph_bind(c.step.graph, &arena, threads);
        fill_step(&c.step, m, ids, generator);
        check(&c, generator);
        *ok = all_ok(&c);
        if (o->json)
            console_json(check_json(&c));
        else
            print_check(&c);
    }
    training_step_free(&c.step);
    arena_free(&arena);
    free(c.start);
    free(c.grad);
    free(c.unit);
    free(c.directions);
    return allocated;
}

static bool gradcheck(GradcheckOptions *o, Messages *errors, Messages *warnings) {
    int threads = machine_start(o->threads);
    char *path = find_model(o->model, errors);
    Model m;
    bool opened = path && open_model(path, o->prediction, &m, errors, warnings);
    free(path);
    if (!opened) return false;
    machine_check_blas(warnings);
    report(&(Messages) { 0 }, warnings);
    Generator generator;
    generator_seed(&generator, (uint64_t)o->seed);
    Words words = { 0 };
    int32_t *ids = mem_alloc((size_t)tokenizer_max_length(m.tokenizer) * sizeof *ids);
    bool ok = false;
    if (check_resolution(&m, &o->resolution, errors) && choose_rows(o, &m, &words, &generator, errors) &&
        make_prompt(&m, o->vectors, ids, errors) &&
        run(o, &m, &words, ids, threads, &generator, &ok, errors) && !ok)
        messages_add(errors, "the gradient and the differences disagree by more than %g of its length",
                     o->tolerance);
    free(ids);
    words_free(&words);
    model_close(&m);
    return console_finish(errors) && errors->count == 0;
}

int gradcheck_command(int argc, char *const argv[]) {
    Messages errors = { 0 }, warnings = { 0 };
    GradcheckOptions o;
    int status;
    OptionsResult parsed = options_parse(&GRADCHECK_COMMAND, argc, argv, &o, &errors);
    if (usage_ok(&GRADCHECK_COMMAND, parsed, &errors, &status)) {
        status = gradcheck(&o, &errors, &warnings) ? 0 : 1;
        report(&errors, &warnings);
    }
    options_free(&GRADCHECK_COMMAND, &o);
    messages_free(&errors);
    return status;
}
