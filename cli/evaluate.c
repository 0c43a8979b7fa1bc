/* SPDX-License-Identifier: MIT */
/* `ti evaluate`: measures how well words fit pictures, by the fixed-grid loss of `ti train` and by the
   scores of the paper in CLIP's space. */
#include "cli/evaluate.h"

#include "cli/console.h"
#include "cli/progress.h"
#include "cli/run_folder.h"
#include "exchange/word_file.h"
#include "inversion/grid_loss.h"
#include "inversion/templates.h"
#include "io/file.h"
#include "io/system.h"
#include "tensor/threads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(EvaluateOptions, field)
#define WHOLE_MAX 9007199254740991.0 /* 2^53 - 1 */
static const char *const KINDS[] = { "object", "style", NULL };
static const Option OPTIONS[] = {
    { "images", OPTION_STRING, AT(images), "FOLDER", .required = true, .heading = "what is measured",
      .help = "the folder of the pictures: PNG, JPEG and BMP files" },
    { "embedding", OPTION_LIST, AT(embeddings), "[NAME=]FILE|FOLDER",
      .help = "the file of a learned word to evaluate; may be given several times; NAME=FILE gives the word "
              "another name for this run" },
    { "checkpoints", OPTION_STRING, AT(checkpoints), "FOLDER",
      .help = "the folder of a run of ti train, all of whose checkpoints are evaluated, each as NAME@STEP" },
    { "init", OPTION_STRING, AT(init), "WORD",
      .help = "a word that the model knows, with which the learned words are compared, or which is evaluated "
              "alone" },
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

    { "clip", OPTION_STRING, AT(clip), "FOLDER|none", .heading = "the scores in CLIP's space",
      .shown = "the model's own",
      .reason = "the embedded model has one, and Stable Diffusion 1.x a safety checker",
      .help = "the CLIP that scores pictures: a folder with transformers' CLIPModel, such as ViT-B/32; none "
              "leaves the scores out" },
    { "prompt", OPTION_LIST, AT(prompts), "TEXT", .model = true, .shown = "those of the paper",
      .help = "a prompt with {} in the place of the word; the pictures of the first one are compared with "
              "--images, those of the others with their own text without the word" },
    { "count", OPTION_INT, AT(count), "N", 1, 1000, .standard = "8", .model = true,
      .reason = "quick; the paper draws 64",
      .help = "the number of pictures that are drawn for each prompt" },
    { "seed", OPTION_INT, AT(seed), "N", 0, WHOLE_MAX, .standard = "0",
      .reason = "fixed, so that all words get the same noise",
      .help = "the seed of the initial noise of each prompt's pictures" },
    { "guidance", OPTION_REAL, AT(guidance), "X", 0, 1000, .standard = "7.5", .model = true,
      .reason = "as in StableDiffusionPipeline", .help = "the scale of classifier-free guidance" },
    SAMPLER_OPTION(AT(sampler), NULL),
    SAMPLER_STEPS_OPTION(AT(sampler), "steps"),
    KARRAS_OPTION(AT(sampler)),
    NO_KARRAS_OPTION(AT(sampler)),
    { "paper", OPTION_FLAG, AT(paper),
      .help = "draw as the paper does: its four prompts, 64 pictures each, 50 steps of ddim and guidance 5, "
              "unless other options say otherwise" },
    { "pictures", OPTION_STRING, AT(pictures), "FOLDER",
      .help = "score the pictures of this folder against --images and --text instead of words, and draw "
              "nothing" },
    { "text", OPTION_STRING, AT(text), "TEXT",
      .help = "the text that the pictures of --pictures are to show" },
    { "plot", OPTION_STRING, AT(plot), "FILE", .shown = "none",
      .help = "also draw the paper's figure, the similarity to the text over that to the pictures, with a "
              "point for each word, to this PNG or JPEG" },
    { "force", OPTION_FLAG, AT(force), .help = "overwrite the file of --plot" },
    { "json", OPTION_FLAG, AT(json), .help = "print all numbers as JSON" },
    PRECISION_OPTION(AT(precision)),
    THREADS_OPTION(AT(threads)),
};

/* Subjects */

static void add_subject(Evaluated *v, const char *name, const char *word, bool reference) {
    v->subjects = mem_grow(v->subjects, (size_t)(v->count + 1) * sizeof *v->subjects);
    v->subjects[v->count++] = (Subject) {
        .name = mem_string(name), .word = mem_string(word), .reference = reference, .loss = (double)NAN
    };
}

/* Adds the checkpoints of the run to --embedding, as NAME@STEP=FILE. */
static bool add_checkpoints(const EvaluateOptions *o, StringList *to, Messages *errors) {
    int64_t *steps, count = run_checkpoints(o->checkpoints, &steps, errors);
    bool ok = count > 0;
    for (int64_t i = 0; i < count && ok; i++) {
        Embeddings e = { 0 };
        char *path = run_checkpoint_path(o->checkpoints, steps[i]);
        ok = word_file_read(path, &e, errors);
        if (ok) {
            to->items = mem_grow(to->items, (size_t)(to->count + 1) * sizeof *to->items);
            to->items[to->count++] = mem_format("%s@%lld=%s", e.words[0].token, (long long)steps[i], path);
        }
        embeddings_free(&e);
        free(path);
    }
    free(steps);
    return ok;
}

/* Loads the learned words, and lists what is evaluated and what it is compared with. */
static bool list_subjects(Evaluated *v, Messages *errors, Messages *warnings) {
    EvaluateOptions *o = v->o;
    Tokenizer *t = v->model.tokenizer;
    int64_t words = o->embeddings.count;
    bool ok = !o->checkpoints || add_checkpoints(o, &o->embeddings, errors);
    for (int64_t i = 0; ok && i < o->embeddings.count; i++) {
        ok = words_load(&v->words, t, o->embeddings.items[i], NULL, errors, warnings);
        while (ok && v->count < v->words.count) {
            const char *token = v->words.words[v->count].token;
            add_subject(v, token, token, false);
            v->subjects[v->count - 1].joined = i > words;
        }
    }
    if (!ok || (o->init && tokenizer_single_token(t, o->init, errors) < 0)) return false;
    if (o->init) add_subject(v, o->init, o->init, v->count > 0);
    if (v->scorer.path) add_subject(v, "no word", "", true);
    if (v->words.vectors == 0) {
        v->words.vectors = 1; /* the training step needs a learned vector, although no prompt has one */
        v->words.learned = mem_alloc((size_t)v->words.width * sizeof(float));
    }
    return true;
}

/* The fixed-grid loss */

/* Returns the token ids of the first template with the word in it. */
static int32_t *make_prompt(const Evaluated *v, const char *word, Messages *errors, Messages *warnings) {
    Templates templates;
    if (!templates_get(&templates, v->o->kind == 0 ? KIND_OBJECT : KIND_STYLE, NULL, errors)) return NULL;
    char *prompt = template_fill(templates.lines[0], word);
    int32_t *ids = prompt_ids(v->model.tokenizer, prompt, warnings);
    free(prompt);
    templates_free(&templates);
    return ids;
}

/* Computes the loss of each subject but of "no word". */
static bool measure_subjects(Evaluated *v, TrainingStep *step, const Posteriors *posteriors, Messages *errors,
                             Messages *warnings) {
    const Model *m = &v->model;
    int64_t passes = ceil_div(v->pictures.count * GRID_TIMESTEPS, v->o->batch);
    bool ok = true;
    double start = system_seconds(), flops = 0;
    for (int64_t i = 0; ok && i < v->count; i++) {
        Subject *s = &v->subjects[i];
        if (!*s->word) continue;
        int32_t *prompt = make_prompt(v, s->word, errors, warnings);
        TrainingPrompts prompts = {
            .ids = prompt, .rows = 1, .tokens = step->tokens, .forms = 1, .sizes = 1
        };
        GridLossData data = { .posteriors = posteriors,
                              .scaling_factor = m->vae.config.scaling_factor,
                              .noise_schedule = &m->noise_schedule,
                              .prompts = &prompts,
                              .vectors = v->words.vectors };
        Wait wait;
        Watch watch = wait_start(&wait, "fixed-grid loss", (double)passes * step->plan.forward_flops, NULL);
        s->loss = grid_loss(&data, step, &watch);
        ok = check_loss(s->loss, step, "", "", errors);
        flops += (double)passes * step->plan.forward_flops;
        free(prompt);
    }
    v->speed = flops / fmax(system_seconds() - start, 1e-6);
    return ok;
}

/* Encodes the pictures, then computes the fixed-grid losses. */
static bool measure(Evaluated *v, Messages *errors, Messages *warnings) {
    const EvaluateOptions *o = v->o;
    const Model *m = &v->model;
    const Pictures *pictures = &v->pictures;
    int64_t factor = vae_factor(&m->vae.config);
    Posteriors posteriors = { 0 };
    PlanOptions plan = { .precision = (Precision)o->precision };
    Encoder encoder = encoder_new(&m->vae, o->sides.height, o->sides.width, plan);
    TrainingStepShape shape = { .batch = o->batch,
                                .tokens = tokenizer_max_length(m->tokenizer),
                                .height = o->sides.height / factor,
                                .width = o->sides.width / factor,
                                .vectors = v->words.vectors };
    TrainingStep step = training_step_new(&m->clip, &m->unet, shape, v->words.learned, NULL, plan);
    Arena arena = { 0 };
    int64_t bytes = max_i64(plan_bytes(&encoder.plan, v->threads), plan_bytes(&step.plan, v->threads));
    bool ok = get_arena(&arena, bytes, "a smaller --batch or --resolution", errors);
    if (ok) {
        graph_bind(encoder.graph, &arena, v->threads);
        graph_bind(step.graph, &arena, v->threads);
        Wait wait;
        Watch watch = wait_start(&wait, "encoding pictures",
                                 (double)pictures->count * encoder.plan.forward_flops, NULL);
        ok = posteriors_compute(&posteriors, &encoder, pictures->images, pictures->count, false, 0, NULL,
                                &watch, errors, NULL) &&
             measure_subjects(v, &step, &posteriors, errors, warnings);
    }
    posteriors_free(&posteriors);
    training_step_free(&step);
    encoder_free(&encoder);
    arena_free(&arena);
    return ok;
}

/* How pictures are drawn */

static bool is_given(const EvaluateOptions *o, const char *name) {
    return options_given(&EVALUATE_COMMAND, o, name);
}

/* Sets what --paper stands for where no other option says it. The paper gives the number of pictures and of
   steps, and its code the guidance scale. */
static void settle_paper(EvaluateOptions *o) {
    if (!o->paper) return;
    if (!is_given(o, "count")) o->count = 64;
    if (!is_given(o, "guidance")) o->guidance = 5;
    if (!is_given(o, "sampler") && !is_given(o, "steps")) {
        for (o->sampler.sampler = 0; SAMPLERS[o->sampler.sampler] != &DDIM;) o->sampler.sampler++;
        o->sampler.sampler++; /* since the first choice is auto */
        o->sampler.steps = 50;
        o->sampler.karras = false;
    }
}

/* Sets the prompts: those of --prompt or of the model, else the paper's. For a style there is only the
   template. */
static void settle_prompts(Evaluated *v) {
    static const char *const style[] = { "a painting in the style of {}" };
    const EvaluateOptions *o = v->o;
    bool own = is_given(o, "prompt") || (o->kind == 0 && !o->paper && o->prompts.count > 0);
    if (own)
        v->prompts = (EvaluationPrompts) { (const char *const *)o->prompts.items, o->prompts.count };
    else
        v->prompts = o->kind == 0 ? PAPER_PROMPTS : (EvaluationPrompts) { style, 1 };
}

/* Adds a message for each prompt, of --prompt or of the model's defaults.json, that does not have {} once. */
static bool check_prompts(const EvaluateOptions *o, Messages *errors) {
    bool ok = true;
    for (int64_t i = 0; i < o->prompts.count; i++) {
        const char *place = strstr(o->prompts.items[i], "{}");
        if (!place || strstr(place + 2, "{}"))
            ok = messages_add(errors, "--prompt '%s': must have {} once, in the place of the word",
                              o->prompts.items[i]);
    }
    return ok;
}

static bool settle_drawing(Evaluated *v, Messages *errors, Messages *warnings) {
    EvaluateOptions *o = v->o;
    if (!v->scorer.path) return true;
    if (!options_read_model(&EVALUATE_COMMAND, v->model.folder.path, o, errors) || !check_prompts(o, errors))
        return false;
    if (!o->paper) sampler_settle(&EVALUATE_COMMAND, o, "steps", &o->sampler);
    settle_paper(o);
    settle_prompts(v);
    return sampler_choose(&o->sampler, "steps", 0, &v->model, &v->sampler, errors, warnings);
}

/* The command */

static void evaluate_words(Evaluated *v, Messages *errors, Messages *warnings) {
    EvaluateOptions *o = v->o;
    Model *m = &v->model;
    check_trainable(m, errors);
    set_clip_skip(m, o->clip_skip, errors);
    check_precision((Precision)o->precision, warnings);
    check_sides(m, &o->sides, errors, warnings);
    v->words.width = m->clip.config.hidden_size;
    scorer_open(&v->scorer, o->clip, m->folder.path, (Precision)o->precision, v->threads, errors, warnings);
    if (o->plot && !(v->scorer.path && scorer_has_text(&v->scorer)) && errors->count == 0)
        messages_add(errors, "--plot: needs a CLIP with a text encoder (--clip FOLDER)");
    if (errors->count == 0) list_subjects(v, errors, warnings);
    if (errors->count == 0) settle_drawing(v, errors, warnings);
    if (errors->count == 0)
        load_pictures(o->images, fit_of(&o->sides, o->center_crop), &v->pictures, errors, warnings);
    report_warnings(warnings);
    if (errors->count > 0 || !measure(v, errors, warnings) || !folder_unchanged(&m->folder, errors)) return;
    if (!o->json) report_losses(v);
    if (v->scorer.path && (!score_subjects(v, errors, warnings) || !folder_unchanged(&m->folder, errors)))
        return;
    if (o->json)
        report_json(v);
    else if (v->scorer.path)
        report_scores(v);
    if (o->plot) report_plot(v, errors);
}

/* Scores existing pictures, for which only a CLIP is needed. */
static void evaluate_pictures(Evaluated *v, Messages *errors, Messages *warnings) {
    const EvaluateOptions *o = v->o;
    char *model = o->model ? mem_string(o->model) : file_of_program(EMBEDDED_MODEL);
    bool ok = scorer_open(&v->scorer, o->clip, model ? model : "", (Precision)o->precision, v->threads,
                          errors, warnings);
    if (ok && !v->scorer.path)
        ok = messages_add(errors, "--pictures: needs a CLIP to score with (--clip FOLDER)");
    if (ok) score_pictures(v, errors, warnings);
    free(model);
}

static int evaluate(void *options, Messages *errors, Messages *warnings) {
    Evaluated *v = mem_alloc(sizeof *v);
    v->o = options;
    v->threads = threads_start(v->o->threads);
    if (v->o->pictures) {
        evaluate_pictures(v, errors, warnings);
    } else if ((!v->o->plot || may_write(v->o->plot, v->o->force, errors)) &&
               open_model(v->o->model, v->o->vae, v->o->prediction, &v->model, errors, warnings)) {
        evaluate_words(v, errors, warnings);
        model_close(&v->model);
    }
    scorer_close(&v->scorer);
    free(v->training);
    for (int64_t i = 0; i < v->count; i++) {
        free(v->subjects[i].name);
        free(v->subjects[i].word);
    }
    free(v->subjects);
    words_free(&v->words);
    pictures_free(&v->pictures);
    free(v);
    return 0;
}

static void check(void *options, Messages *errors) {
    const EvaluateOptions *o = options;
    if (errors->count > 0) return;
    bool words = o->embeddings.count > 0 || o->init || o->checkpoints;
    if (o->pictures && words)
        messages_add(errors,
                     "--pictures: scores pictures instead of words; leave out --embedding, --checkpoints and "
                     "--init");
    else if (!o->pictures && !words)
        messages_add(errors, "one of --embedding and --init is needed: the word to evaluate");
    if (o->text && !o->pictures) messages_add(errors, "--text: belongs to --pictures");
    if (o->plot && o->pictures) messages_add(errors, "--plot: shows words, and --pictures scores none");
    if (o->plot) check_picture_name("--plot", o->plot, errors);
    check_prompts(o, errors);
    sampler_check(&o->sampler, errors);
}

const Command EVALUATE_COMMAND = {
    .name = "evaluate",
    .brief = "measure how well a word fits pictures",
    .summary =
        "Prints the fixed-grid loss of words on pictures: the mean loss over 20 timesteps for each picture, "
        "with fixed noise. The better a word fits, the lower it is; use it to compare words on the same "
        "pictures and model. Where there is a CLIP, pictures are then drawn and scored as in the paper: how "
        "alike they are to the pictures, and how well they obey the rest of the prompt.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(EvaluateOptions),
    .examples = "  ti evaluate --images weights/critters/concepts/grum --init critter\n"
                "  ti evaluate --images weights/critters/concepts/grum --embedding out/grum/grum.safetensors "
                "--init critter\n"
                "  ti evaluate --images weights/critters/concepts/grum --pictures out --text 'a photo of a "
                "critter' --json\n",
    .check = check,
    .run = evaluate,
};
