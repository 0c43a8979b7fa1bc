/* `ti evaluate`: measures how well a word fits pictures, using the fixed-grid loss of `ti train`. */
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/progress.h"
#include "inversion/grid_loss.h"
#include "tensor/threads.h"
#include "inversion/templates.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    Given given;
    char *images, *embedding, *init, *model, *vae;
    int kind, prediction;
    Sides sides;
    int64_t clip_skip, batch, threads;
    int precision;
    bool center_crop;
} EvaluateOptions;

#define AT(field) offsetof(EvaluateOptions, field)
static const char *const KINDS[] = { "object", "style", NULL };
static const Option OPTIONS[] = {
    { "images", OPTION_STRING, AT(images), "FOLDER", .required = true,
      .help = "the folder of the pictures: PNG, JPEG and BMP files" },
    { "embedding", OPTION_STRING, AT(embedding), "FILE", .help = "the file of the learned word to evaluate" },
    { "init", OPTION_STRING, AT(init), "WORD",
      .help = "instead of --embedding: a word that the model knows" },
    { "kind", OPTION_CHOICE, AT(kind), "object|style", .choices = KINDS, .standard = "object",
      .reason = "a style has to be asked for",
      .help = "which prompt is used: 'a photo of a WORD' or 'a painting in the style of WORD'" },
    MODEL_OPTION(AT(model)),
    VAE_OPTION(AT(vae)),
    PREDICTION_OPTION(AT(prediction)),
    SIDES_OPTIONS(AT(sides), "the side of the square that the pictures are resized to"),
    CLIP_SKIP_OPTION(AT(clip_skip)),
    { "center-crop", OPTION_FLAG, AT(center_crop),
      .help = "first crop the pictures to their middle, of the same shape" },
    { "batch", OPTION_INT, AT(batch), "N", 1, 1024, .standard = "4",
      .reason = "quick on small models; up to rounding, any number gives the same loss",
      .help = "the number of pictures that go through the network together" },
    PRECISION_OPTION(AT(precision)),
    THREADS_OPTION(AT(threads)),
};

/* Returns the token ids of the prompt with the word in it, or NULL after adding a message. The vectors of a
   learned word are loaded into `words`. */
static int32_t *make_prompt(const EvaluateOptions *o, Model *m, Words *words, Messages *errors,
                            Messages *warnings) {
    char *word = NULL;
    if (o->embedding && words_load(words, m->tokenizer, o->embedding, NULL, errors, warnings)) {
        word = mem_string(tokenizer_token(m->tokenizer, tokenizer_first_learned_id(m->tokenizer)));
    } else if (o->init && tokenizer_single_token(m->tokenizer, o->init, errors) >= 0) {
        word = mem_string(o->init);
        words->vectors = 1; /* the training step needs a learned vector, although the prompt has none */
        words->learned = mem_alloc((size_t)words->width * sizeof(float));
    }
    Templates templates;
    int32_t *ids = NULL;
    if (word && templates_get(&templates, o->kind == 0 ? KIND_OBJECT : KIND_STYLE, NULL, errors)) {
        char *prompt = template_fill(templates.lines[0], word);
        ids = prompt_ids(m->tokenizer, prompt, warnings);
        free(prompt);
        templates_free(&templates);
    }
    free(word);
    return ids;
}

/* Encodes the pictures, then computes the fixed-grid loss of the prompt. */
static bool measure(const EvaluateOptions *o, const Model *m, const Words *words, int32_t *prompt,
                    const Pictures *pictures, int threads, double *loss, Messages *errors) {
    int64_t factor = vae_factor(&m->vae.config);
    Posteriors posteriors = { 0 };
    PlanOptions plan = { .precision = (Precision)o->precision };
    Encoder encoder = encoder_new(&m->vae, o->sides.height, o->sides.width, plan);
    TrainingStepShape shape = { .batch = o->batch,
                                .tokens = tokenizer_max_length(m->tokenizer),
                                .height = o->sides.height / factor,
                                .width = o->sides.width / factor,
                                .vectors = words->vectors };
    TrainingStep step = training_step_new(&m->clip, &m->unet, shape, words->learned, NULL, plan);
    Arena arena = { 0 };
    int64_t bytes = max_i64(plan_bytes(&encoder.plan, threads), plan_bytes(&step.plan, threads));
    bool ok = get_arena(&arena, bytes, "a smaller --batch or --resolution", errors);
    Wait wait;
    if (ok) {
        graph_bind(encoder.graph, &arena, threads);
        graph_bind(step.graph, &arena, threads);
        Watch watch = wait_start(&wait, "encoding pictures",
                                 (double)pictures->count * encoder.plan.forward_flops, NULL);
        ok = posteriors_compute(&posteriors, &encoder, pictures->images, pictures->count, false, 0, NULL,
                                &watch, errors, NULL);
    }
    if (ok) {
        TrainingPrompts prompts = { .ids = prompt, .rows = 1, .tokens = step.tokens, .forms = 1, .sizes = 1 };
        GridLossData data = { &posteriors, m->vae.config.scaling_factor, &m->noise_schedule, &prompts,
                              words->vectors };
        int64_t passes = ceil_div(pictures->count * GRID_TIMESTEPS, o->batch);
        Watch watch = wait_start(&wait, "fixed-grid loss", (double)passes * step.plan.forward_flops, NULL);
        *loss = grid_loss(&data, &step, &watch);
        ok = check_loss(*loss, &step, "", "", errors);
    }
    posteriors_free(&posteriors);
    training_step_free(&step);
    encoder_free(&encoder);
    arena_free(&arena);
    return ok;
}

static int evaluate(void *options, Messages *errors, Messages *warnings) {
    EvaluateOptions *o = options;
    int threads = threads_start(o->threads);
    Model m;
    if (!open_model(o->model, o->vae, o->prediction, &m, errors, warnings)) return 1;
    check_trainable(&m, errors);
    set_clip_skip(&m, o->clip_skip, errors);
    check_precision((Precision)o->precision, warnings);
    check_sides(&m, &o->sides, errors, warnings);
    Words words = { .width = m.clip.config.hidden_size };
    Pictures pictures = { 0 };
    int32_t *prompt = make_prompt(o, &m, &words, errors, warnings);
    if (errors->count == 0)
        load_pictures(o->images, fit_of(&o->sides, o->center_crop), &pictures, errors, warnings);
    report_warnings(warnings);
    double loss = 0;
    if (errors->count == 0 && measure(o, &m, &words, prompt, &pictures, threads, &loss, errors) &&
        folder_unchanged(&m.folder, errors))
        printf("fixed-grid loss %.5f\n", loss);
    free(prompt);
    words_free(&words);
    pictures_free(&pictures);
    model_close(&m);
    return 0;
}

static void check(void *options, Messages *errors) {
    const EvaluateOptions *o = options;
    if (errors->count == 0 && !o->embedding == !o->init)
        messages_add(errors,
                     o->init ? "--embedding and --init: both name a word to evaluate; leave one of them out"
                             : "one of --embedding and --init is needed: the word to evaluate");
}

const Command EVALUATE_COMMAND = {
    .name = "evaluate",
    .brief = "measure how well a word fits pictures",
    .summary =
        "Prints the fixed-grid loss of a word on pictures: the mean loss over 20 timesteps for each picture, "
        "with fixed noise. The better the word fits, the lower it is; use it to compare words on the same "
        "pictures and model.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(EvaluateOptions),
    .examples =
        "  ti evaluate --images weights/critters/concepts/grum --init critter\n"
        "  ti evaluate --images weights/critters/concepts/grum --embedding out/grum/grum.safetensors\n",
    .check = check,
    .run = evaluate,
};
