/* SPDX-License-Identifier: MIT */
#include "cli/train.h"

#include "cli/common.h"
#include "cli/console.h"
#include "cli/memory.h"
#include "cli/run_folder.h"
#include "cli/train_parts.h"
#include "inversion/norm.h"
#include "inversion/progressive.h"
#include "inversion/ranks.h"
#include "text/prompt.h"
#include "text/unicode.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>

static const char *const KINDS[] = { "object", "style", NULL };
static const char *const STOPS[] = { "off", "auto", NULL }; /* in the order of STOP_OFF, STOP_AUTO */

#define AT(field) offsetof(TrainOptions, field)
enum { MILLION = 1000000 };
#define WHOLE_MAX 9007199254740991.0 /* 2^53 - 1; JSON keeps all whole numbers up to this one exactly */

static const char *lr_fault(const char *text) { return lr_rates_parse(text, &(LrRates) { 0 }); }
static const char *norm_fault(const char *text) {
    NormRule rule;
    return norm_rule_parse(text, &rule) ? NULL : "must be free, median, sphere or a number above 0";
}

static const Option OPTIONS[] = {
    { "images", OPTION_STRING, AT(images), "FOLDER", .required = true, .unless = { "resume" },
      .may_differ = true, .heading = "what is learned",
      .help = "the folder of the pictures, 3 to 5 of one thing or style: PNG, JPEG and BMP files, which are "
              "used in the order of their names" },
    { "token", OPTION_STRING, AT(token), "WORD", .required = true, .unless = { "resume" },
      .help = "the new word, which the model must not know yet, such as '<grum>' (quoted for the shell)" },
    { "init", OPTION_LIST, AT(init), "WORD[,WORD...]|FILE", .required = true, .unless = { "resume" },
      .commas = true,
      .help = "the known word from which the new one starts: a coarse name of the thing, such as toy, which "
              "must be a single token. With several vectors, give one word for all or one for each. Or give "
              "the file of a learned word, to start from its vectors" },
    { "vectors", OPTION_INT, AT(vectors), "N", 1, 64, .standard = "1",
      .reason =
          "as in the paper; more vectors fit the pictures more closely, but follow the prompt less. With "
          "several words in --init, the default is their number",
      .help = "the number of the word's vectors" },
    { "kind", OPTION_CHOICE, AT(kind), "object|style", .choices = KINDS, .standard = "object",
      .reason = "a style has to be asked for",
      .help =
          "which templates are used: 27 such as 'a photo of a {}', or 19 such as 'a painting in the style "
          "of {}'" },
    { "templates", OPTION_STRING, AT(templates), "paper|code|diffusers|FILE", .may_differ = true,
      .shown = "diffusers",
      .help = "the templates: those printed in the paper, which end with a full stop; those of its authors' "
              "code; those "
              "of diffusers; or a text file with one on each line, with {} or [name] where the word goes "
              "and, as in "
              "A1111, [filewords] for the text beside a picture or its name" },
    { "class", OPTION_STRING, AT(class), "WORD", .shown = "none",
      .help = "what stands before the new word in every prompt, such as cat for 'a photo of a cat <mimi>'" },
    { "captions", OPTION_FLAG, AT(captions),
      .help = "take a picture's own sentences instead of templates: NAME.txt beside NAME.jpg, one on each "
              "line, with {} "
              "or the word itself in the word's place" },
    MODEL_OPTION(AT(model)),
    VAE_OPTION(AT(vae)),
    PREDICTION_OPTION(AT(prediction)),

    { "steps", OPTION_INT, AT(steps), "N", 1, MILLION, .standard = "3000", .model = true,
      .heading = "how it is learned", .reason = "as in diffusers' documentation; the paper has 5000",
      .help = "the number of updates of the word" },
    { "lr", OPTION_STRING, AT(lr), "X|LIST", .standard = "5e-4", .model = true, .number = true,
      .fault = lr_fault,
      .reason = "as in diffusers' documentation, for one picture in each step; an element of a token's "
                "embedding is about 0.015, so a step changes it by a thirtieth",
      .help = "the learning rate of AdamW; or rates and the steps at which they end, as A1111 writes them: "
              "'0.005:100, 0.001:1000, 0.0005'" },
    { "scale-lr", OPTION_FLAG, AT(scale_lr), .model = true,
      .help = "multiply --lr by --batch and by --accumulate, as --scale_lr of the reference script does" },
    { "schedule", OPTION_CHOICE, AT(schedule), "NAME", .choices = LR_SCHEDULE_NAMES, .standard = "constant",
      .model = true, .reason = "as in the reference script and in the paper",
      .help = "the learning-rate schedule: constant, constant_with_warmup, linear, cosine, "
              "cosine_with_restarts or polynomial" },
    { "warmup", OPTION_INT, AT(warmup), "N", 0, MILLION, .standard = "500", .model = true,
      .reason = "as in the reference script; the schedule constant has no warm-up",
      .help = "the number of steps during which the learning rate rises from 0" },
    { "cycles", OPTION_INT, AT(cycles), "N", 1, MILLION, .standard = "1",
      .reason = "as in the reference script",
      .help = "how often the learning rate falls with cosine_with_restarts" },
    { "weight-decay", OPTION_REAL, AT(weight_decay), "X", 0, 100, .standard = "0.01", .model = true,
      .reason = "AdamW's default, as in the reference script and in the paper's code",
      .help = "each step shrinks the word's vectors by --lr times this" },
    { "batch", OPTION_INT, AT(batch), "N", 1, 1024, .standard = "1", .model = true,
      .reason = "takes the least memory and the least time for a step",
      .help = "the number of pictures that go through the network together" },
    { "accumulate", OPTION_INT, AT(accumulate), "N", 1, MILLION, .standard = "1", .model = true,
      .reason = "each batch makes a step", .help = "the number of batches whose gradients make one step" },
    { "one-by-one", OPTION_FLAG, AT(one_by_one),
      .help =
          "compute the pictures of a batch one at a time, in the memory of one, and add their gradients up: "
          "the same word but for rounding, and the same bits on any number of machines (docs/scale.md)" },
    { "repeats", OPTION_INT, AT(repeats), "N", 1, MILLION, .standard = "100", .model = true,
      .reason = "as in the reference script; it only decides when the order is shuffled anew",
      .help = "how often an epoch shows each picture" },
    { "seed", OPTION_INT, AT(seed), "N", 0, WHOLE_MAX, .standard = "0",
      .reason = "fixed, so that the same command gives the same word",
      .help = "the seed of the random numbers, as if Python's and torch's generators were seeded with it" },
    SIDES_OPTIONS(AT(sides), "the side of the square that the pictures are resized to"),
    CLIP_SKIP_OPTION(AT(clip_skip)),
    { "center-crop", OPTION_FLAG, AT(center_crop),
      .help =
          "first crop the pictures to their middle, of the same shape; without this they are squashed, as in "
          "the reference script" },
    { "no-flip", OPTION_FLAG, AT(no_flip),
      .help = "don't mirror pictures at random; for things whose left and right differ, such as letters" },

    { "regularise", OPTION_REAL, AT(regularise), "W", 0, 1e6, .standard = "0", .reason = "no pull",
      .heading = "variants of the method (docs/paper.md)",
      .help = "add W / n times the squared distance of the n vectors from their initial words to the loss; "
              "the paper "
              "gives no W, its authors speak of 1e-5 as low" },
    { "progressive", OPTION_INT, AT(progressive), "P", 0, MILLION, .standard = "0",
      .reason = "all vectors learn from the first step on",
      .help = "begin with one of the word's --vectors, and add the next one every P steps; the paper has "
              "2000" },
    { "per-image", OPTION_REAL, AT(per_image), "P", 0, 1, .standard = "0", .reason = "no such words",
      .help = "learn a word of its own for each picture as well, for what only this picture shows, and throw "
              "it away at the end: with probability P a prompt ends with 'with S', where S is the picture's "
              "word. The paper has 1, its authors' code 0.25" },
    { "norm", OPTION_STRING, AT(norm), "free|median|sphere|X", .standard = "free", .number = true,
      .fault = norm_fault, .reason = "as in the paper",
      .help =
          "the length of the vectors: free; rescaled after each step to the vocabulary's median or to X; or "
          "sphere, which learns only their direction (DTI): a step then turns a vector by --lr radians, of "
          "which "
          "its authors take 400 of 0.04" },
    { "masks", OPTION_FLAG, AT(masks),
      .help = "count only a part of each picture in the loss: where NAME.mask.png beside NAME.jpg is white "
              "or, without "
              "such a file, where the picture's alpha channel is opaque" },
    { "background", OPTION_REAL, AT(background), "X", 0, 1, .standard = "0.1", .reason = "as in OneTrainer",
      .help = "the weight of what lies outside --masks" },
    { "min-snr", OPTION_REAL, AT(min_snr), "G", 0, 1e6, .standard = "0",
      .reason = "all timesteps count alike",
      .help = "weight the loss of a timestep by min(snr, G) / snr, so that those with little noise count "
              "less; 5 is "
              "usual" },

    { "stop", OPTION_CHOICE, AT(stop), "off|auto", .choices = STOPS, .standard = "off",
      .heading = "when it ends",
      .reason = "all --steps are done. With Stable Diffusion auto is worth trying: the authors of DVAR "
                "report that it ends runs of 48 concepts two to eight times earlier at the same quality",
      .help =
          "with auto, measure a loss without random choices (on 8 fixed pairs of a picture and a sentence, "
          "each with its own timestep and noise) before the first step, every so many steps and after "
          "the last, end the run when this loss has settled, and keep the word with which it was lowest. "
          "This takes at most a tenth of the run, or more in a run of few steps. "
          "After that, --resume --stop off or --resume --steps N continues to all steps, as if there had "
          "been no --stop auto" },
    { "stop-threshold", OPTION_REAL, AT(stop_threshold), "X", 1e-6, 1, .standard = "0.15",
      .reason = "as in the paper on DVAR (arXiv 2302.04841)",
      .help =
          "the loss has settled when its variance over the window is less than this share of its variance "
          "since the run began" },
    { "stop-window", OPTION_INT, AT(stop_window), "N", 0, MILLION,
      .shown = "a tenth of the measurements, at least 2",
      .reason = "in a run of 3000 steps that is about 300 steps, and the paper has 310",
      .help = "how many of the last measurements the window holds" },
    { "for", OPTION_STRING, AT(duration), "DURATION", .shown = "no limit", .once = true,
      .help = "end after this time, such as 30s, 20m, 8h or 1h30m, with everything saved; --resume continues "
              "the run. A step that would take longer is not begun" },

    { "out", OPTION_STRING, AT(out), "FOLDER", .shown = "out/WORD", .once = true,
      .heading = "what is written",
      .help = "the run's folder, for the learned word (learned_embeds.safetensors, and the same under the "
              "word's name), losses.csv, loss.png, options.json and checkpoints" },
    { "resume", OPTION_FLAG, AT(resume), .once = true,
      .help =
          "continue the run in --out, which was stopped by Ctrl-C or in any other way; the result is the "
          "same, to the bit, as without the stop. No other option is needed. More --steps extend the run, "
          "if its --schedule is constant or constant_with_warmup" },
    { "force", OPTION_FLAG, AT(force), .once = true, .help = "write into a folder that is not empty" },
    { "checkpoint-every", OPTION_INT, AT(checkpoint_every), "N", 0, MILLION, .standard = "500",
      .reason = "as in the reference script; 0 for none",
      .help = "the number of steps between two checkpoints, which are copies of the word so far" },
    { "validation-prompt", OPTION_STRING, AT(validation_prompt), "TEXT", .shown = "no pictures",
      .help = "generate pictures of this prompt while the word is learned, such as 'a photo of a <grum>'" },
    { "negative", OPTION_STRING, AT(negative), "TEXT", .shown = "nothing",
      .help = "the text that such a picture should differ from" },
    PROMPT_OPTIONS(AT(prompt_syntax), AT(long_prompts)),
    { "validation-every", OPTION_INT, AT(validation_every), "N", 0, MILLION, .standard = "500", .model = true,
      .reason =
          "together with the checkpoints; a picture takes as long as about 40 steps; 0 for one at the end "
          "only",
      .help = "the number of steps between two such pictures" },
    SAMPLER_OPTION(AT(sampler), NULL),
    SAMPLER_STEPS_OPTION(AT(sampler), "sampling-steps"),
    KARRAS_OPTION(AT(sampler)),
    NO_KARRAS_OPTION(AT(sampler)),
    { "guidance", OPTION_REAL, AT(guidance), "X", 0, 1000, .standard = "7.5", .model = true,
      .reason = "as in StableDiffusionPipeline",
      .help = "the classifier-free guidance scale of such a picture; 1 or less for none" },
    RESCALE_OPTION(AT(rescale), ", in such a picture"),
    { "grid-loss", OPTION_INT, AT(grid_loss), "N", 0, MILLION,
      .shown = "before the first step and after the last, where that takes less than a twentieth of the run",
      .help =
          "measure the loss on a fixed grid of pictures, timesteps and noise every N steps; the better the "
          "word fits, the lower it is; 0 for never" },

    { "threads", OPTION_INT, AT(threads), "N", 0, 1024, .may_differ = true, .heading = "the machine",
      .shown = "the physical cores",
      .reason = "a core's second thread slows the matrix products down; any number of threads gives the same "
                "bits",
      .help = "the number of threads to compute with" },
    PRECISION_OPTION(AT(precision)),
    { "memory", OPTION_STRING, AT(memory), "BYTES|auto", .standard = "auto", .may_differ = true,
      .reason = "what the machine, or the container, has free",
      .help = "the most memory that the run may take, such as 3GB, including that for reading the pictures; "
              "if this is not enough, parts of a step are computed twice, with the same result" },
    { "profile", OPTION_FLAG, AT(profile), .may_differ = true,
      .help = "print at the end which operations took how much time" },

    { "dry-run", OPTION_FLAG, AT(dry_run), .once = true, .heading = "instead of training",
      .help = "show how much memory and arithmetic the run would take and, by timing a few operations, how "
              "much time; nothing is written" },
    { "json", OPTION_FLAG, AT(json), .once = true, .help = "print the result of --dry-run as JSON" },
    { "dump", OPTION_STRING, AT(dump), "FOLDER", .once = true, .shown = "none",
      .help = "run only the first batch, and write all its tensors and gradients to this folder, where "
              "golden/dump.py can compare them with the reference's" },
};

static void check_token(const TrainOptions *o, Messages *errors) {
    CodePoints points = unicode_decode(o->token, strlen(o->token));
    CodePoints normal = unicode_normalize(points.at, points.count);
    bool space = false, plain = true, small = points.count == normal.count;
    for (int64_t i = 0; i < points.count; i++) {
        space = space || unicode_class(points.at[i]) == CLASS_SPACE;
        plain = plain && !text_is_control(points.at[i]);
    }
    for (int64_t i = 0; small && i < points.count; i++) small = points.at[i] == normal.at[i];
    if (!points.count)
        messages_add(errors, "--token: is empty; give a word such as '<grum>'");
    else if (space)
        messages_add(errors, "--token '%s': has a space in it; give a single word, such as '<grum>'",
                     o->token);
    else if (!plain)
        messages_add(errors, "--token '%s': has a control character in it", o->token);
    else if (strlen(o->token) > 100)
        messages_add(errors, "--token '%.*s...': is longer than 100 bytes", text_cut(o->token, 20), o->token);
    else if (o->vectors > 1 && !small)
        messages_add(
            errors,
            "--token '%s': has capitals; diffusers would use only the first of the %lld vectors of such a "
            "word, so write it in lower case",
            o->token, (long long)o->vectors);
    free(points.at);
    free(normal.at);
}

static bool given(const TrainOptions *o, const char *name) { return options_given(&TRAIN_COMMAND, o, name); }

static void check_end(TrainOptions *o, Messages *errors) {
    static const char *const needs_stop[] = { "stop-threshold", "stop-window" };
    for (int i = 0; i < 2; i++)
        if (given(o, needs_stop[i]) && o->stop == STOP_OFF && !o->resume)
            messages_add(errors, "--%s: needs --stop auto", needs_stop[i]);
    if (o->stop_window == 1)
        messages_add(errors, "--stop-window 1: must be at least 2, since one loss has no variance");
    if (o->duration && !duration_parse(o->duration, &o->seconds))
        messages_add(errors, "--for '%s': must be a time such as 30s, 20m, 8h or 1h30m, at most 1000d",
                     o->duration);
}

/* The default of --out, such as out/grum for "<grum>". */
static char *default_folder(const char *token) {
    char *name = token_file_name(token), *folder = mem_format("out/%s", name);
    free(name);
    return folder;
}

/* Checks --token, --init and --vectors, which must fit together, no matter where the options come from. */
static void check_words(const TrainOptions *o, Messages *errors) {
    if (o->vectors > 64)
        messages_add(errors, "--init: names %lld words, but a word can have at most 64 vectors",
                     (long long)o->init.count);
    if (o->init.count > 1 && o->init.count != o->vectors)
        messages_add(errors, "--init: names %lld words for %lld vectors; give one for all or one for each",
                     (long long)o->init.count, (long long)o->vectors);
    if (o->token) check_token(o, errors);
}

/* A value of --init that contains a slash, or ends as a word's file does, is a path. It may contain commas,
   at which the value was split, so the items are joined first. */
static void find_init_file(TrainOptions *o) {
    static const char *const endings[] = { ".safetensors", ".pt", ".bin", ".png" };
    char *whole = mem_string(o->init.count ? o->init.items[0] : "");
    for (int64_t i = 1; i < o->init.count; i++) {
        char *longer = mem_format("%s,%s", whole, o->init.items[i]);
        free(whole);
        whole = longer;
    }
    o->init_is_file = strchr(whole, '/') != NULL;
    for (int i = 0; i < 4; i++) o->init_is_file = o->init_is_file || text_ends_with(whole, endings[i]);
    if (o->init_is_file) {
        for (int64_t i = 1; i < o->init.count; i++) free(o->init.items[i]);
        o->init.count = 1;
        free(o->init.items[0]);
        o->init.items[0] = whole;
    } else {
        free(whole);
    }
}

/* Every vector has to join before the last step. This can be checked when the number of vectors is known. */
static void check_progressive(const TrainOptions *o, Messages *errors) {
    int64_t last = progressive_start(o->progressive, o->vectors - 1);
    if (o->progressive > 0 && o->vectors == 1)
        messages_add(errors, "--progressive: needs a word of at least 2 --vectors");
    else if (o->progressive > 0 && last >= o->steps)
        messages_add(errors,
                     "--progressive %lld: vector %lld would join at step %lld, but the run has %lld steps",
                     (long long)o->progressive, (long long)o->vectors, (long long)last, (long long)o->steps);
}

bool train_options_set_vectors(TrainOptions *o, int64_t vectors, Messages *errors) {
    int before = errors->count;
    if (given(o, "vectors") && o->vectors != vectors)
        messages_add(errors, "--vectors %lld: the word in --init has %lld", (long long)o->vectors,
                     (long long)vectors);
    if (vectors > 64)
        messages_add(errors, "--init: the word has %lld vectors, but it can have at most 64 here",
                     (long long)vectors);
    o->vectors = vectors;
    check_token(o, errors);
    check_progressive(o, errors);
    return errors->count == before;
}

static void check_cycles(const TrainOptions *o, Messages *errors) {
    if (given(o, "cycles") && o->schedule != COSINE_WITH_RESTARTS)
        messages_add(errors, "--cycles: is only for --schedule cosine_with_restarts, and here it is %s",
                     LR_SCHEDULE_NAMES[o->schedule]);
}

static void check_variants(const TrainOptions *o, Messages *errors) {
    if (o->progressive > 0 && o->stop == STOP_AUTO)
        messages_add(
            errors, "--progressive: changes the word whose loss --stop auto measures; leave one of them out");
    if (given(o, "background") && !o->masks && !o->resume)
        messages_add(errors, "--background: needs --masks");
    if (strcmp(o->norm, "sphere") != 0) return;
    static const char *const others[] = { "weight-decay", "regularise" };
    for (int i = 0; i < 2; i++)
        if (given(o, others[i]) && !o->resume)
            messages_add(errors,
                         "--%s: is for AdamW, and --norm sphere has a rule of its own; leave one of them out",
                         others[i]);
}

static void check(void *options, Messages *errors) {
    TrainOptions *o = options;
    o->grid_loss_given = given(o, "grid-loss");
    o->one_by_one = o->one_by_one || ranks_count() > 1;
    find_init_file(o);
    if (!given(o, "vectors") && o->init.count > 1) o->vectors = o->init.count;
    check_words(o, errors);
    check_end(o, errors);
    check_variants(o, errors);
    sampler_check(&o->sampler, errors);
    memory_limit_parse(o->memory, &(MemoryLimit) { 0 }, errors);
    if (given(o, "schedule")) check_cycles(o, errors); /* otherwise the model's defaults may set it */
    if (given(o, "templates") && !templates_named(o->templates) && given(o, "kind"))
        messages_add(errors, "--templates: replaces --kind; leave one of them out");
    if (o->captions && (given(o, "templates") || given(o, "kind")) && !o->resume)
        messages_add(errors, "--captions: replaces --templates and --kind; leave them out");
    if (given(o, "validation-every") && !o->validation_prompt && !o->resume)
        messages_add(errors, "--validation-every: needs a --validation-prompt");
    if (o->negative && !o->validation_prompt && !o->resume)
        messages_add(errors, "--negative: needs a --validation-prompt");
    if (o->json && !o->dry_run) messages_add(errors, "--json: needs --dry-run");
    if (o->dump && o->dry_run)
        messages_add(errors, "--dump: runs a step, but --dry-run does not; leave one of them out");
    if (o->resume && !o->out && !o->token)
        messages_add(errors, "--resume: needs --out FOLDER, the folder of the run");
    if (!o->out && o->token) o->out = default_folder(o->token);
}

static const char *const BASIC[] = { "images", "token", "init",   "kind",    "model", "steps",
                                     "for",    "out",   "resume", "dry-run", NULL };

const Command TRAIN_COMMAND = {
    .name = "train",
    .brief = "learn a word from a few pictures",
    .summary =
        "Learns a new word from a few pictures by textual inversion: only the word's embedding changes, "
        "and the model stays frozen.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .size = sizeof(TrainOptions),
    .basic = BASIC,
    .examples =
        "  ti train --images weights/critters/concepts/grum --token '<grum>' --init critter --out out/grum\n"
        "  ti train --resume --out out/grum\n",
    .check = check,
    .ranks = true,
    .run = train_run,
};

/* Rates by step replace the schedule, also that of a model's defaults. */
static void settle_rates(TrainOptions *o, Messages *errors) {
    CHECK(!lr_rates_parse(o->lr, &o->rates));
    if (o->rates.count == 1) return;
    if (given(o, "schedule") && o->schedule != CONSTANT)
        messages_add(errors, "--lr '%s': rates by step replace --schedule; leave one of them out", o->lr);
    o->schedule = CONSTANT;
}

static void check_schedule(const TrainOptions *o, Messages *errors) {
    if (o->schedule != CONSTANT && o->warmup >= o->steps)
        messages_add(
            errors,
            "--warmup %lld: is not less than the run's %lld steps, so --schedule %s would never begin",
            (long long)o->warmup, (long long)o->steps, LR_SCHEDULE_NAMES[o->schedule]);
    double scale = o->scale_lr ? (double)(o->batch * o->accumulate) : 1;
    if (o->schedule == POLYNOMIAL && o->rates.rate[0] * scale <= LR_SCHEDULE_END)
        messages_add(errors, "--lr %g: the schedule polynomial decreases to %g, so it must start higher",
                     o->rates.rate[0], LR_SCHEDULE_END);
}

/* A window that a run fills only at its end, or never, could not end it. */
static void check_window(const TrainOptions *o, Messages *errors) {
    if (o->stop == STOP_OFF || !given(o, "stop-window")) return;
    EarlyStop stop = train_early_stop(o);
    int64_t evaluations = early_stop_evaluations(&stop, o->steps);
    if (o->stop_window >= evaluations)
        messages_add(errors,
                     "--stop-window %lld: the loss is measured %lld times in %lld steps, so the run would "
                     "never stop; a smaller window is needed",
                     (long long)o->stop_window, (long long)evaluations, (long long)o->steps);
}

bool train_options_complete(TrainOptions *o, const char *model_folder, Messages *errors) {
    if (o->resume) return true; /* options.json is complete; the model's defaults may have changed */
    int before = errors->count;
    options_read_model(&TRAIN_COMMAND, model_folder, o, errors);
    sampler_settle(&TRAIN_COMMAND, o, "sampling-steps", &o->sampler);
    settle_rates(o, errors);
    check_cycles(o, errors);
    if (o->schedule == CONSTANT && given(o, "warmup") && o->warmup > 0)
        messages_add(errors,
                     "--warmup %lld: the schedule constant has no warm-up (constant_with_warmup has one)",
                     (long long)o->warmup);
    check_schedule(o, errors);
    check_window(o, errors);
    if (!o->init_is_file) check_progressive(o, errors); /* else the file says how many vectors there are */
    return errors->count == before;
}

bool train_options_extendable(const TrainOptions *o) {
    return o->schedule == CONSTANT || o->schedule == CONSTANT_WITH_WARMUP;
}

/* Checks that a run whose options say `steps` steps can have o->steps instead. */
static void check_more_steps(const TrainOptions *o, int64_t steps, const char *path, Messages *errors) {
    if (o->steps < steps)
        messages_add(errors,
                     "--steps: is %lld now, and %lld in %s: a resumed run can have more, but not fewer",
                     (long long)o->steps, (long long)steps, path);
    if (o->steps > steps && !train_options_extendable(o))
        messages_add(errors,
                     "--steps: is %lld now, and %lld in %s: --schedule %s depends on this number, so it "
                     "cannot become more",
                     (long long)o->steps, (long long)steps, path, LR_SCHEDULE_NAMES[o->schedule]);
}

/* Reads options.json for all options that are not on the command line. Those that are must agree with it. */
static bool read_record(TrainOptions *o, const char *path, const File *file, int64_t *recorded,
                        Messages *errors) {
    int before = errors->count;
    int64_t wanted = given(o, "steps") ? o->steps : 0;
    options_forget(&TRAIN_COMMAND, o, "steps");
    bool off = given(o, "stop") && o->stop == STOP_OFF, on = o->stop == STOP_AUTO;
    options_forget(&TRAIN_COMMAND, o, "stop");
    o->stop = STOP_OFF;    /* for the record of an earlier version, which has no --stop */
    if (o->init_is_file) { /* the record has an absolute path, with which it is compared */
        char *real = path_absolute(o->init.items[0]);
        free(o->init.items[0]);
        o->init.items[0] = real;
    }
    if (!options_from_json(&TRAIN_COMMAND, path, file->data, file->size, o, errors)) return false;
    o->grid_loss_given = given(o, "grid-loss");
    find_init_file(o);
    *recorded = o->steps;
    if (wanted) o->steps = wanted;
    o->steps_given = wanted > 0;
    if (on && o->stop == STOP_OFF)
        messages_add(errors, "--stop: is auto now, and off in %s: a run can only begin with it", path);
    if (off) o->stop = STOP_OFF;
    check_words(o, errors);
    settle_rates(o, errors);
    check_schedule(o, errors);
    check_more_steps(o, *recorded, path, errors);
    if (ranks_count() > 1 && !o->one_by_one)
        messages_add(errors, "--one-by-one: is off in %s, so only one rank can continue this run", path);
    o->identity = train_options_identity((const char *)file->data, file->size);
    return errors->count == before;
}

bool train_options_resume(TrainOptions *o, int64_t *recorded, Messages *errors) {
    char *path = mem_format("%s/%s", o->out, RUN_OPTIONS);
    File file;
    bool ok;
    if (!ranks_file_exists(path)) {
        ok = messages_add(errors, "%s: holds no run to resume (it has no %s)", o->out, RUN_OPTIONS);
    } else {
        ok = ranks_file_read(path, &file, errors) && read_record(o, path, &file, recorded, errors);
        file_close(&file);
    }
    free(path);
    return ok;
}
