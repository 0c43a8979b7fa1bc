#include "cli/train_options.h"

#include "cli/common.h"

#include <stdlib.h>
#include <string.h>

#include "nn/unicode.h"
#include "tensor/file.h"

static const char *const KINDS[] = { "object", "style", NULL };
/* in ScheduleKind's order */
static const char *const SCHEDULES[] = { "constant", "constant_with_warmup", "linear",
                                         "cosine",   "cosine_with_restarts", "polynomial",
                                         NULL };

#define AT(field) offsetof(TrainOptions, field)
enum { MILLION = 1000000 };
#define WHOLE_MAX 9007199254740991.0 /* 2^53 - 1: what JSON holds for certain */

static const Option OPTIONS[] = {
    { "images", OPTION_STRING, AT(images), "FOLDER", .required = true, .heading = "what is learned",
      .help = "the folder of the pictures, 3 to 5 of one thing or style; used in the order of their names" },
    { "token", OPTION_STRING, AT(token), "WORD", .required = true,
      .help = "the new word, one that the model doesn't know, such as '<grum>' (quoted, for the shell)" },
    { "init", OPTION_LIST, AT(init), "WORD[,WORD...]", .required = true, .commas = true,
      .help = "the known word, a single token, where the new one starts: a coarse name of the thing, such as "
              "toy; with "
              "several vectors one word for all, or one a vector" },
    { "vectors", OPTION_INT, AT(vectors), "N", 1, 64, .standard = "1",
      .reason =
          "the paper's; more fit the pictures closer and obey the prompt less. With several words in --init "
          "their number",
      .help = "how many vectors the word has" },
    { "kind", OPTION_CHOICE, AT(kind), "object|style", .choices = KINDS, .standard = "object",
      .reason = "a style has to be asked for",
      .help = "the templates: 27 such as 'a photo of a {}', or 19 such as 'a painting in the style of {}'" },
    { "templates", OPTION_STRING, AT(templates), "FILE", .shown = "those of --kind",
      .help = "templates of your own, one a line, each with {} where the word goes" },
    { "model", OPTION_STRING, AT(model), "PATH", .shown = "the embedded model",
      .reason = "it needs no download",
      .help = "Stable Diffusion 1.x or 2.x: a folder as diffusers lays it out, or one .safetensors file" },
    { "prediction", OPTION_CHOICE, AT(prediction), "NAME", .choices = PREDICTIONS, .standard = "auto",
      .reason =
          "what the model's scheduler says, and v_prediction for a single file of 2.x, which says nothing",
      .help = "what the UNet predicts: epsilon (1.x, and 2.x of 512 pixels) or v_prediction (2.x of 768)" },

    { "steps", OPTION_INT, AT(steps), "N", 1, MILLION, .standard = "3000", .model = true,
      .heading = "how it is learned",
      .reason = "what diffusers' documentation trains with; the paper has 5000",
      .help = "updates of the word" },
    { "lr", OPTION_REAL, AT(lr), "X", 1e-10, 100, .standard = "5e-4", .model = true,
      .reason = "diffusers' documentation, for one picture a step; a coordinate of a token is about 0.015, "
                "so that a "
                "step moves it by a thirtieth",
      .help = "learning rate of AdamW" },
    { "scale-lr", OPTION_FLAG, AT(scale_lr), .model = true,
      .help = "multiply --lr by --batch and --accumulate, as the reference script's --scale_lr does" },
    { "schedule", OPTION_CHOICE, AT(schedule), "NAME", .choices = SCHEDULES, .standard = "constant",
      .model = true, .reason = "the reference script's; the paper's as well",
      .help = "how the learning rate goes: constant, constant_with_warmup, linear, cosine, "
              "cosine_with_restarts or "
              "polynomial" },
    { "warmup", OPTION_INT, AT(warmup), "N", 0, MILLION, .standard = "500", .model = true,
      .reason = "the reference script's; the schedule constant has none",
      .help = "steps on which it rises from 0" },
    { "cycles", OPTION_INT, AT(cycles), "N", 1, MILLION, .standard = "1", .reason = "the reference script's",
      .help = "falls of cosine_with_restarts" },
    { "weight-decay", OPTION_REAL, AT(weight_decay), "X", 0, 100, .standard = "0.01", .model = true,
      .reason = "AdamW's own, in the reference script and in the paper's code",
      .help = "each step takes --lr times this from the word" },
    { "batch", OPTION_INT, AT(batch), "N", 1, 1024, .standard = "1", .model = true,
      .reason = "the least memory and the quickest step",
      .help = "pictures that go through the network together" },
    { "accumulate", OPTION_INT, AT(accumulate), "N", 1, MILLION, .standard = "1", .model = true,
      .reason = "a step a batch", .help = "batches whose gradients make one step" },
    { "repeats", OPTION_INT, AT(repeats), "N", 1, MILLION, .standard = "100", .model = true,
      .reason = "the reference script's; it only says where the shuffled order starts anew",
      .help = "how often an epoch shows each picture" },
    { "seed", OPTION_INT, AT(seed), "N", 0, WHOLE_MAX, .standard = "0",
      .reason = "fixed, so that the same command gives the same word",
      .help = "of both random generators, as if Python's and torch's were seeded with it" },
    { "resolution", OPTION_INT, AT(resolution), "N", 0, 8192, .shown = "the model's own side",
      .reason = "what it was trained on", .help = "side of the square that pictures are resized to" },
    { "center-crop", OPTION_FLAG, AT(center_crop),
      .help = "cut pictures to their middle square first; without it they are squashed, as in the reference "
              "script" },
    { "no-flip", OPTION_FLAG, AT(no_flip),
      .help = "don't mirror pictures at random: for what has a left and a right, such as letters" },

    { "out", OPTION_STRING, AT(out), "FOLDER", .shown = "out/WORD", .heading = "what is written",
      .help = "the run's folder: learned_embeds.safetensors, the same under the word's name, losses.csv, "
              "loss.png, "
              "options.json, checkpoints" },
    { "force", OPTION_FLAG, AT(force), .help = "write into a folder that holds something already" },
    { "checkpoint-every", OPTION_INT, AT(checkpoint_every), "N", 0, MILLION, .standard = "500",
      .reason = "the reference script's; 0: none",
      .help = "steps between two copies of the word as it is by then" },
    { "validation-prompt", OPTION_STRING, AT(validation_prompt), "TEXT", .shown = "no pictures",
      .help = "draw this with the word as it learns: 'a photo of a <grum>'" },
    { "validation-every", OPTION_INT, AT(validation_every), "N", 0, MILLION, .standard = "500", .model = true,
      .reason = "with the checkpoints: a picture takes as long as some 40 steps; 0: at the end alone",
      .help = "steps between two such pictures" },
    { "sampling-steps", OPTION_INT, AT(sampling_steps), "N", 1, 1000, .standard = "30", .model = true,
      .reason = "with DDIM little changes beyond", .help = "denoising steps of such a picture" },
    { "guidance", OPTION_REAL, AT(guidance), "X", 0, 1000, .standard = "7.5", .model = true,
      .reason = "StableDiffusionPipeline's",
      .help = "classifier-free guidance of such a picture; 1 or less: none" },
    { "grid-loss", OPTION_INT, AT(grid_loss), "N", 0, MILLION,
      .shown = "before the first step and after the last, where that takes less than a twentieth of the run",
      .help =
          "every N steps the loss on a fixed grid of pictures, timesteps and noise, which falls as the word "
          "fits better; 0: never" },

    { "threads", OPTION_INT, AT(threads), "N", 0, 1024, .heading = "the machine",
      .shown = "the physical cores",
      .reason = "a core's second thread slows the matrix products down; the numbers are the same with any",
      .help = "threads to compute with" },
    { "memory", OPTION_STRING, AT(memory), "BYTES|auto", .standard = "auto",
      .reason = "what the machine, or the container, has free",
      .help = "the most that the run may take, such as 3GB; where it is less than the run likes, parts of a "
              "step are computed twice, to the same numbers" },
    { "profile", OPTION_FLAG, AT(profile), .help = "print at the end which operations took the time" },

    { "dry-run", OPTION_FLAG, AT(dry_run), .heading = "instead of training",
      .help = "show what the run would take, in memory, arithmetic and, from a few timed operations, time; "
              "write nothing" },
    { "json", OPTION_FLAG, AT(json), .help = "the same as JSON, for programs" },
    { "dump", OPTION_STRING, AT(dump), "FOLDER", .shown = "none",
      .help = "run the first batch alone and write every tensor and gradient of it there, for "
              "golden/dump.py to compare with the reference's" },
};

const Command TRAIN_COMMAND = {
    .name = "train",
    .summary =
        "Learns a new word from a few pictures by textual inversion: only the word's embedding changes, "
        "the model stays as it is.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
    .examples =
        "  ti train --images weights/critters/concepts/grum --token '<grum>' --init critter --out out/grum\n",
};

static void check_token(const TrainOptions *o, Messages *errors) {
    CodePoints points = unicode_decode(o->token, strlen(o->token));
    CodePoints normal = unicode_normalize(points.at, points.count);
    bool space = false, plain = true, small = points.count == normal.count;
    for (int64_t i = 0; i < points.count; i++) {
        space = space || unicode_class(points.at[i]) == CLASS_SPACE;
        plain = plain && points.at[i] >= ' ' && points.at[i] != 0x7F;
    }
    for (int64_t i = 0; small && i < points.count; i++) small = points.at[i] == normal.at[i];
    if (!points.count)
        messages_add(errors, "--token: is empty; a word such as '<grum>' is meant");
    else if (space)
        messages_add(errors, "--token '%s': has a space in it; one word is meant, such as '<grum>'",
                     o->token);
    else if (!plain)
        messages_add(errors, "--token '%s': has a control character in it", o->token);
    else if (strlen(o->token) > 100)
        messages_add(errors, "--token '%.20s...': is longer than 100 bytes", o->token);
    else if (o->vectors > 1 && !small)
        messages_add(
            errors,
            "--token '%s': has capitals, and of such a word diffusers would use only the first of its "
            "%lld vectors; write it small",
            o->token, (long long)o->vectors);
    free(points.at);
    free(normal.at);
}

/* out/grum for "<grum>" */
static char *default_folder(const char *token) {
    char *name = mem_string(token), *to = name;
    for (const char *c = token; *c; c++) {
        bool letter = (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z');
        if (letter || (unsigned char)*c >= 0x80 || *c == '-' || *c == '_') *to++ = *c;
    }
    *to = 0;
    char *folder = mem_format("out/%s", *name ? name : "word");
    free(name);
    return folder;
}

static bool given(const TrainOptions *o, const char *name) { return options_given(&TRAIN_COMMAND, o, name); }

OptionsResult train_options_parse(TrainOptions *o, int argc, char *const argv[], Messages *errors) {
    int before = errors->count;
    OptionsResult result = options_parse(&TRAIN_COMMAND, argc, argv, o, errors);
    if (result == OPTIONS_HELP) return result;
    o->grid_loss_given = given(o, "grid-loss");
    if (!given(o, "vectors") && o->init.count > 1) o->vectors = o->init.count;
    if (o->vectors > 64)
        messages_add(errors, "--init: names %lld words, a word can have 64 vectors",
                     (long long)o->init.count);
    if (o->init.count > 1 && o->init.count != o->vectors)
        messages_add(errors, "--init: names %lld words for %lld vectors: one for all, or one a vector",
                     (long long)o->init.count, (long long)o->vectors);
    if (o->token) check_token(o, errors);
    if (given(o, "cycles") && given(o, "schedule") && o->schedule != COSINE_WITH_RESTARTS)
        messages_add(errors, "--cycles: is for --schedule cosine_with_restarts, here %s",
                     SCHEDULES[o->schedule]);
    if (given(o, "templates") && given(o, "kind"))
        messages_add(errors, "--templates: takes the place of --kind; leave one of them out");
    if (given(o, "validation-every") && !o->validation_prompt)
        messages_add(errors, "--validation-every: needs a --validation-prompt to draw");
    if (o->json && !o->dry_run) messages_add(errors, "--json: goes with --dry-run");
    if (o->dump && o->dry_run) messages_add(errors, "--dump: runs a step, --dry-run none; leave one out");
    if (errors->count > before) return OPTIONS_WRONG;
    if (!o->out) o->out = default_folder(o->token);
    return OPTIONS_OK;
}

bool train_options_complete(TrainOptions *o, const char *model_folder, Messages *errors) {
    int before = errors->count;
    options_read_model(&TRAIN_COMMAND, model_folder, o, errors);
    const char *schedule = SCHEDULES[o->schedule];
    if (given(o, "cycles") && o->schedule != COSINE_WITH_RESTARTS)
        messages_add(errors, "--cycles: is for --schedule cosine_with_restarts, here %s", schedule);
    if (o->schedule == CONSTANT && given(o, "warmup") && o->warmup > 0)
        messages_add(errors, "--warmup %lld: the schedule constant has none (constant_with_warmup does)",
                     (long long)o->warmup);
    if (o->schedule != CONSTANT && o->warmup >= o->steps)
        messages_add(
            errors,
            "--warmup %lld: is not less than the run's %lld steps, so --schedule %s would never begin",
            (long long)o->warmup, (long long)o->steps, schedule);
    double scale = o->scale_lr ? (double)(o->batch * o->accumulate) : 1;
    if (o->schedule == POLYNOMIAL && o->lr * scale <= SCHEDULE_LR_END)
        messages_add(errors, "--lr %g: the schedule polynomial goes down to %g, so it must be more", o->lr,
                     SCHEDULE_LR_END);
    return errors->count == before;
}

bool train_options_save(const TrainOptions *o, const char *folder, Messages *errors) {
    char *path = mem_format("%s/options.json", folder), *text = options_to_json(&TRAIN_COMMAND, o);
    bool ok = file_write(path, text, strlen(text), errors);
    free(text);
    free(path);
    return ok;
}

void train_options_free(TrainOptions *o) { options_free(&TRAIN_COMMAND, o); }
