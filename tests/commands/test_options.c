/* SPDX-License-Identifier: MIT */
/* Tests the options of commands (their values and defaults, and every kind of fault), --help, defaults.json,
   options.json and templates. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/console.h"
#include "cli/generate.h"
#include "cli/init_image.h"
#include "cli/train.h"
#include "io/file.h"
#include "io/text.h"
#include "tests/test.h"

enum { WORDS_MAX = 32 };

/* Splits a line into words at its spaces, and returns their number. ~ stands for a space within a word. The
   caller frees words[0], which holds all of them. */
static int split(const char *line, char *words[WORDS_MAX]) {
    char *copy = mem_string(line);
    int count = 0;
    words[0] = copy;
    for (char *word = copy; word && *line; count++) {
        words[count] = word;
        word = strchr(word, ' ');
        if (word) *word++ = 0;
        if (word && !*word) word = NULL; /* The line ends with a space. */
    }
    for (int i = 0; i < count; i++)
        for (char *c = words[i]; *c; c++)
            if (*c == '~') *c = ' ';
    return count;
}

#define NEEDED "--images pics --token <x> --init toy "

/* Tests that a command line is refused with exactly this number of messages, which contain the text `says`.
   */
static void refused(const char *line, int lines, const char *says) {
    char *words[WORDS_MAX];
    int count = split(line, words);
    TrainOptions o;
    Messages errors = { 0 };
    OptionsResult result = options_parse(&TRAIN_COMMAND, count, words, &o, &errors);
    const char *text = errors.text ? errors.text : "accepted";
    bool ok = result == OPTIONS_WRONG && errors.count == lines && strstr(text, says);
    test_true("refused", ok, "%.*s", ok ? (int)strcspn(text, "\n") : (int)strlen(text), text);
    options_free(&TRAIN_COMMAND, &o);
    messages_free(&errors);
    free(words[0]);
}

static void test_refused(void) {
    refused(NEEDED "--stpes 5", 1, "--stpes: unknown option, did you mean --steps?");
    refused(NEEDED "--steps=5 --valdation-prompt a", 1, "did you mean --validation-prompt?");
    refused(NEEDED "--step 5", 1, "did you mean --steps?");
    refused(NEEDED "--xyzzy 5", 1, "--xyzzy: unknown option (ti train --help lists all options)");
    refused(NEEDED "--xyzzy=5 --kind oject", 2, "--xyzzy: unknown option");
    refused(NEEDED "-s 5", 1, "-s: unknown option");
    refused(NEEDED "-steps 5", 1, "did you mean --steps?");
    refused(NEEDED "--steps", 1, "--steps: needs a value: --steps N");
    refused(NEEDED "--steps --lr 1", 1, "--steps: needs a value");
    refused(NEEDED "--steps 0", 1, "--steps 0: must be 1 to 1000000");
    refused(NEEDED "--steps 1000001", 1, "--steps 1000001: must be 1 to 1000000");
    refused(NEEDED "--steps -5", 1, "--steps -5: must be 1 to 1000000");
    refused(NEEDED "--steps 99999999999999999999", 1, "must be 1 to 1000000");
    refused(NEEDED "--steps 5x", 1, "--steps 5x: is not a whole number");
    refused(NEEDED "--steps 1.5", 1, "is not a whole number");
    refused(NEEDED "--steps=", 1, "is not a whole number");
    refused(NEEDED "--steps ~5", 1, "is not a whole number");
    refused(NEEDED "--lr nan", 1, "--lr nan: is not a number");
    refused(NEEDED "--lr inf", 1, "is not a number");
    refused(NEEDED "--lr 0x1", 1, "is not a number");
    refused(NEEDED "--lr 1e999", 1, "must be 1e-10 to 100");
    refused(NEEDED "--lr 0", 1, "--lr 0: must be 1e-10 to 100");
    refused(NEEDED "--kind thing", 1, "--kind thing: must be object or style");
    refused(NEEDED "--schedule thing", 1,
            "must be constant, constant_with_warmup, linear, cosine, cosine_with_restarts or "
            "polynomial");
    refused(NEEDED "--force=yes", 1, "--force: takes no value");
    refused(NEEDED "more", 1, "'more': train takes no such argument");
    refused(NEEDED "-- --steps", 1, "'--steps': train takes no such argument");
    refused("", 3, "--images FOLDER is missing");
    refused("--images a --token <x>", 1, "--init WORD[,WORD...]|FILE is missing");
    refused("--images a --init toy --token", 1, "--token: needs a value: --token WORD");
    refused(NEEDED "--steps 0 --lr x --kind y --foo", 4, "--steps 0");
    refused(NEEDED "--init a,,b", 1, "has an empty item");
    refused(NEEDED "--init a,b,c --vectors 2", 1, "names 4 words for 2 vectors");
    refused("--images a --init toy --token=", 1, "--token: is empty");
    refused("--images a --init toy --token <a~b>", 1, "has a space in it");
    refused("--images a --init toy --token <a\xc2\xa0>", 1, "has a space in it");
    refused("--images a --init toy --token <a\x01>", 1, "control character");
    refused("--images a --init toy --token <a\xff>", 1, "is not UTF-8");
    refused("--images a --init toy --token <Ab> --vectors 2", 1, "has capitals");
    refused(NEEDED "--cycles 3 --schedule linear", 1, "--cycles: is only for");
    refused(NEEDED "--templates a --kind style", 1, "--templates: replaces --kind");
    refused(NEEDED "--validation-every 5", 1, "needs a --validation-prompt");
    refused(NEEDED "--stop maybe", 1, "--stop maybe: must be off or auto");
    refused(NEEDED "--stop-window 3", 1, "--stop-window: needs --stop auto");
    refused(NEEDED "--stop off --stop-threshold 0.5", 1, "--stop-threshold: needs --stop auto");
    refused(NEEDED "--stop auto --stop-threshold 0", 1, "--stop-threshold 0: must be 1e-06 to 1");
    refused(NEEDED "--stop auto --stop-window 1", 1, "--stop-window 1: must be at least 2");
    refused(NEEDED "--for soon", 1, "--for 'soon': must be a time such as 30s, 20m, 8h or 1h30m");
    refused("--resume", 1, "--resume: needs --out FOLDER");
    refused("--resume --out a --steps 0", 1, "--steps 0");
}

static void test_values(void) {
    char *words[WORDS_MAX];
    int count = split("--images=my~pics --token <ünï.x> --init=a,b --init c --steps 7 --steps 9 --lr=1e-3 "
                      "--kind style --no-flip "
                      "--schedule cosine --seed 9007199254740991 --grid-loss 0 --validation-prompt=--x",
                      words);
    TrainOptions o;
    Messages errors = { 0 };
    bool ok = options_parse(&TRAIN_COMMAND, count, words, &o, &errors) == OPTIONS_OK;
    test_true("a full command line", ok, "%s", errors.text ? errors.text : "accepted");
    test_true("texts", !strcmp(o.images, "my pics") && !strcmp(o.validation_prompt, "--x"), "%s", o.images);
    test_true("a list", o.init.count == 3 && !strcmp(o.init.items[2], "c"), "%d items", (int)o.init.count);
    test_true("vectors by --init", o.vectors == 3, "%d", (int)o.vectors);
    test_true("the last value counts", o.steps == 9, "%d", (int)o.steps);
    test_true("numbers", strtod(o.lr, NULL) == 1e-3 && o.seed == 9007199254740991, "%s %lld", o.lr,
              (long long)o.seed);
    test_true("choices and flags", o.kind == KIND_STYLE && o.schedule == COSINE && o.no_flip && !o.force,
              "%d", o.kind);
    test_true("defaults", o.batch == 1 && o.repeats == 100 && o.weight_decay == 0.01 && !o.model, "%d",
              (int)o.repeats);
    test_true("given",
              o.grid_loss_given && options_given(&TRAIN_COMMAND, &o, "kind") &&
                  !options_given(&TRAIN_COMMAND, &o, "batch"),
              "grid-loss, kind");
    test_true("a folder by the word", strcmp(o.out, "out/ünï.x") == 0, "%s", o.out);
    options_free(&TRAIN_COMMAND, &o);
    free(words[0]);
    for (int k = 0; LR_SCHEDULE_KINDS > k; k++) {
        char *line = mem_format(NEEDED "--schedule %s", LR_SCHEDULE_NAMES[k]);
        count = split(line, words);
        ok = options_parse(&TRAIN_COMMAND, count, words, &o, &errors) == OPTIONS_OK &&
             o.schedule == (LrScheduleKind)k;
        test_true("schedule", ok, "%s", LR_SCHEDULE_NAMES[k]);
        options_free(&TRAIN_COMMAND, &o);
        free(words[0]);
        free(line);
    }
    messages_free(&errors);
}

/* The durations of --for: seconds, or 0 for a text that is none. */
static void test_durations(void) {
    static const struct {
        const char *text;
        double seconds;
    } cases[] = {
        { "30s", 30 },         { "20m", 1200 },       { "8h", 28800 }, { "1h30m", 5400 },
        { "2d", 172800 },      { "1d2h3m4s", 93784 }, { "90m", 5400 }, { "007s", 7 },
        { "1000d", 86400000 }, { "1001d", 0 },        { "", 0 },       { "30", 0 },
        { "0s", 0 },           { "0h0m", 0 },         { "s", 0 },      { "h8", 0 },
        { "8 h", 0 },          { " 8h", 0 },          { "8h ", 0 },    { "30m1h", 0 },
        { "1h1h", 0 },         { "-1h", 0 },          { "+1h", 0 },    { "1.5h", 0 },
        { "1e3s", 0 },         { "8H", 0 },           { "1h30", 0 },   { "9999999999s", 0 },
        { "1w", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double seconds;
        bool ok = duration_parse(cases[i].text, &seconds);
        test_true("duration", ok == (cases[i].seconds > 0) && (!ok || seconds == cases[i].seconds), "'%s'%s",
                  cases[i].text, ok ? "" : " is none");
    }
}

static void test_generate(void) {
    char *words[WORDS_MAX];
    int count = split("--prompt a~b --embedding x,1 --embedding y --out a.png", words);
    GenerateOptions o;
    Messages errors = { 0 };
    bool ok = options_parse(&GENERATE_COMMAND, count, words, &o, &errors) == OPTIONS_OK &&
              o.embeddings.count == 2 && !strcmp(o.embeddings.items[0], "x,1") && o.guidance == 7.5;
    test_true("generate", ok, "%s", errors.text ? errors.text : "accepted");
    options_free(&GENERATE_COMMAND, &o);
    char *help[] = { words[0], (char *)(uintptr_t) "-h" };
    test_true("help is asked for", options_parse(&GENERATE_COMMAND, 2, help, &o, &errors) == OPTIONS_HELP,
              "-h");
    options_free(&GENERATE_COMMAND, &o);
    free(words[0]);
}

/* Returns the text of --help, which the caller frees. *lines and *longest become the number of its lines and
   the length of the longest that is not an example. */
static char *help_of(const Command *c, bool whole, int *lines, size_t *longest) {
    FILE *file = tmpfile();
    CHECK(file);
    options_help(c, whole, file);
    rewind(file);
    char line[400];
    Text all = { 0 };
    *longest = 0;
    for (*lines = 0; fgets(line, sizeof line, file); ++*lines) {
        if (strlen(line) - 1 > *longest && !strstr(line, "  ti ")) *longest = strlen(line) - 1;
        text_add(&all, line);
    }
    fclose(file);
    return all.at;
}

/* Tests that --help lists every option with its default, and that its lines are not too long. */
static void test_help(const Command *c) {
    int lines;
    size_t longest;
    char *all = help_of(c, true, &lines, &longest);
    test_below("--help's longest line", (double)longest, 110);
    for (int i = 0; i < c->count; i++) {
        const Option *o = &c->options[i];
        char *name =
            mem_format("  --%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
        bool defaults =
            o->required || o->type == OPTION_FLAG || ((o->shown || o->standard) && (o->reason || o->shown));
        test_true("--help has", strstr(all, name) && o->help && defaults, "%s", name + 2);
        free(name);
    }
    free(all);
}

/* Writes a text as a model's defaults.json and reads it for `ti train` with these options. Returns the
   messages, or "" when the file is accepted. The caller frees the text. */
static char *read_defaults(const char *text, const char *line, TrainOptions *o) {
    char *words[WORDS_MAX];
    int count = split(line, words);
    Messages errors = { 0 };
    CHECK(folder_make("out/test_options", &errors));
    CHECK(file_write("out/test_options/defaults.json", text, strlen(text), &errors));
    CHECK(options_parse(&TRAIN_COMMAND, count, words, o, &errors) == OPTIONS_OK);
    train_options_complete(o, "out/test_options", &errors);
    remove("out/test_options/defaults.json");
    remove("out/test_options");
    free(words[0]);
    return errors.text ? errors.text : mem_string("");
}

static void bad_defaults(const char *text, const char *says) {
    TrainOptions o;
    char *told = read_defaults(text, NEEDED, &o);
    test_true("bad defaults.json", strstr(told, says), "%.*s", (int)strcspn(told, "\n"), told);
    options_free(&TRAIN_COMMAND, &o);
    free(told);
}

static void test_defaults(void) {
    TrainOptions o;
    char *told = read_defaults("{\"train\": {\"steps\": 600, \"lr\": 5e-3, \"batch\": 4, \"scale-lr\": true, "
                               "\"schedule\": \"constant\"}, \"generate\": {\"steps\": 20}}",
                               NEEDED "--batch 2", &o);
    test_true("a model's defaults", !*told && o.steps == 600 && strtod(o.lr, NULL) == 5e-3 && o.scale_lr,
              "%s", told);
    test_true("the user's value stays", o.batch == 2 && !options_given(&TRAIN_COMMAND, &o, "steps"), "%d",
              (int)o.batch);
    options_free(&TRAIN_COMMAND, &o);
    free(told);
    bad_defaults("{", "defaults.json");
    bad_defaults("[]", "is not an object");
    bad_defaults("{\"train\": 5}", "\"train\" is not an object of options");
    bad_defaults("{\"train\": {\"stepps\": 5}}",
                 "\"stepps\" is not an option of ti train that a model may set");
    bad_defaults("{\"train\": {\"out\": \"/etc\"}}",
                 "\"out\" is not an option of ti train that a model may set");
    bad_defaults("{\"train\": {\"steps\": 0}}", "\"steps\" 0: must be 1 to 1000000");
    bad_defaults("{\"train\": {\"steps\": \"5\"}}", "\"steps\" is not a number");
    bad_defaults("{\"train\": {\"steps\": 1.5}}", "is not a whole number");
    bad_defaults("{\"train\": {\"steps\": null}}", "\"steps\" is not a number");
    bad_defaults("{\"train\": {\"schedule\": 1}}", "\"schedule\" is not a text");
    bad_defaults("{\"train\": {\"scale-lr\": 1}}", "neither true nor false");
    bad_defaults("{\"train\": {\"stop\": \"auto\"}}",
                 "\"stop\" is not an option of ti train that a model may set");
    bad_defaults("{\"train\": {\"steps\": 100, \"schedule\": \"linear\"}}", "--warmup 500: is not less than");
}

/* Options of ti generate and a model's defaults.json, with the sampler, the steps and the spacing that
   follow. The scheduler's config is that of Stable Diffusion 1.x. */
static const struct {
    const char *options, *defaults, *sampler;
    int64_t steps;
    Karras karras;
    bool converted;
    const char *fault;
} CHOICES[] = {
    { "", "{}", "pndm", 50, KARRAS_AS_CONFIG, false, NULL },
    { "--sampler pndm", "{}", "pndm", 50, KARRAS_AS_CONFIG, true, NULL },
    { "--steps 9", "{}", "pndm", 9, KARRAS_AS_CONFIG, false, NULL },
    { "--sampler euler --karras", "{}", "euler", 30, KARRAS_ON, true, NULL },
    { "--sampler euler --no-karras", "{}", "euler", 30, KARRAS_OFF, true, NULL },
    { "--steps ays", "{}", "dpm++2m", STEPS_ALIGN_YOUR_STEPS, KARRAS_AS_CONFIG, true, NULL },
    { "", "{\"sampler\": \"dpm++2m\", \"steps\": 12, \"karras\": true}", "dpm++2m", 12, KARRAS_ON, true,
      NULL },
    { "--no-karras", "{\"sampler\": \"dpm++2m\", \"steps\": 12, \"karras\": true}", "dpm++2m", 12, KARRAS_OFF,
      true, NULL },
    { "--steps 7", "{\"sampler\": \"dpm++2m\", \"steps\": 12, \"karras\": true}", "dpm++2m", 7, KARRAS_ON,
      true, NULL },
    { "--steps ays", "{\"sampler\": \"dpm++2m\", \"steps\": 12, \"karras\": true}", "dpm++2m",
      STEPS_ALIGN_YOUR_STEPS, KARRAS_AS_CONFIG, true, NULL },
    { "--sampler ddim", "{\"sampler\": \"dpm++2m\", \"steps\": 12, \"karras\": true}", "ddim", 30,
      KARRAS_AS_CONFIG, true, NULL },
    { "--sampler dpm++2m", "{\"sampler\": \"dpm++2m\", \"steps\": 12, \"karras\": true}", "dpm++2m", 20,
      KARRAS_AS_CONFIG, true, NULL },
    { "--sampler auto", "{\"sampler\": \"dpm++2m\", \"steps\": 12}", "pndm", 50, KARRAS_AS_CONFIG, false,
      NULL },
    { "", "{\"sampler\": \"dpm++2m\", \"steps\": \"ays\"}", "dpm++2m", STEPS_ALIGN_YOUR_STEPS,
      KARRAS_AS_CONFIG, true, NULL },
    { "--sampler ddim --eta 1", "{}", "ddim", 30, KARRAS_AS_CONFIG, true, NULL },
    { "--eta 1", "{}", NULL, 0, 0, false, "--eta 1: the sampler pndm has no eta" },
    { "--karras", "{}", NULL, 0, 0, false, "--karras: the sampler pndm has no noise levels" },
    { "--sampler lcm --steps 60", "{}", NULL, 0, 0, false, "must be 1 to 50" },
};

/* A beginner's --help fits on two screens of 24 lines, and names every option. */
static void test_brief_help(const Command *c) {
    int lines;
    size_t longest;
    char *all = help_of(c, false, &lines, &longest);
    test_true("--help", lines <= 48, "of %s has %d lines", c->name, lines);
    int basic = 0, listed = 0;
    for (int i = 0; i < c->count; i++) {
        char *name = mem_format("--%s", c->options[i].name);
        if (!strstr(all, name)) test_true("--help", false, "of %s does not name %s", c->name, name);
        free(name);
        for (int j = 0; c->basic[j]; j++) listed += strcmp(c->basic[j], c->options[i].name) == 0;
    }
    while (c->basic[basic]) basic++;
    test_true("--help", listed == basic, "of %s has %d basic options, and %d of them exist", c->name, basic,
              listed);
    free(all);
}

/* --help tells each sampler's number of steps. */
static void test_sampler_steps(void) {
    char text[200] = "";
    for (int i = 0; SAMPLERS[i]; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s%s %lld", i ? ", " : "", SAMPLERS[i]->name,
                 (long long)SAMPLERS[i]->steps);
    }
    test_true("the samplers' steps in --help", strcmp(text, SAMPLER_STEPS) == 0, "%s", text);
}

/* Takes all options from the record that a run would write, as a resumed run does. */
static void from_record(GenerateOptions *o) {
    char *record = options_to_json(&GENERATE_COMMAND, o), *words[1];
    GenerateOptions again;
    Messages errors = { 0 }, missing = { 0 };
    options_parse(&GENERATE_COMMAND, 0, words, &again, &missing);
    CHECK(options_from_json(&GENERATE_COMMAND, "options.json", record, strlen(record), &again, &errors));
    options_free(&GENERATE_COMMAND, o);
    *o = again;
    messages_free(&missing);
    free(record);
}

static void test_sampler_choice(void) {
    Model m = { .folder.path = (char *)(uintptr_t) "model" };
    m.noise_schedule.config = (SchedulerConfig) { .class_name = "PNDMScheduler",
                                                  .absent.spacing = true,
                                                  .train_timesteps = 1000,
                                                  .beta_start = 0.00085,
                                                  .beta_end = 0.012,
                                                  .beta_schedule = BETAS_SCALED_LINEAR,
                                                  .skip_prk_steps = true,
                                                  .solver_order = 2,
                                                  .lower_order_final = true,
                                                  .lambda_min_clipped = -INFINITY,
                                                  .original_steps = 50,
                                                  .timestep_scaling = 10 };
    for (size_t i = 0; i < sizeof CHOICES / sizeof *CHOICES; i++) {
        char *words[WORDS_MAX],
            *line = mem_format("--prompt a%s%s", *CHOICES[i].options ? " " : "", CHOICES[i].options);
        char *json = mem_format("{\"generate\": %s}", CHOICES[i].defaults);
        int count = split(line, words);
        GenerateOptions o;
        SamplerOptions s;
        Messages errors = { 0 }, warnings = { 0 };
        CHECK(options_parse(&GENERATE_COMMAND, count, words, &o, &errors) == OPTIONS_OK);
        CHECK(options_model_parse(&GENERATE_COMMAND, "defaults.json", json, strlen(json), &o, &errors));
        sampler_settle(&GENERATE_COMMAND, &o, "steps", &o.sampler);
        from_record(&o);
        bool ok = sampler_choose(&o.sampler, "steps", 0, &m, &s, &errors, &warnings);
        if (CHOICES[i].fault)
            test_true(line, !ok && strstr(errors.text, CHOICES[i].fault), "%s",
                      ok ? "accepted" : errors.text);
        else
            test_true(line,
                      ok && strcmp(s.sampler->name, CHOICES[i].sampler) == 0 && s.steps == CHOICES[i].steps &&
                          s.karras == CHOICES[i].karras && s.converted == CHOICES[i].converted,
                      "%s, %lld steps", ok ? s.sampler->name : errors.text, (long long)s.steps);
        messages_free(&errors);
        messages_free(&warnings);
        options_free(&GENERATE_COMMAND, &o);
        free(words[0]);
        free(json);
        free(line);
    }
}

static void test_json(void) {
    char *words[WORDS_MAX], *again[WORDS_MAX], *other[WORDS_MAX];
    int count =
        split(NEEDED "--steps 9 --lr 0.1 --init b --vectors 2 --no-flip --validation-prompt \"a\\b", words);
    int few = split(NEEDED "--steps 9 --init b", again),
        more = split(NEEDED "--steps 10 --init b --threads 3", other);
    TrainOptions o, p, q;
    Messages errors = { 0 };
    CHECK(options_parse(&TRAIN_COMMAND, count, words, &o, &errors) == OPTIONS_OK);
    char *text = options_to_json(&TRAIN_COMMAND, &o);
    CHECK(options_parse(&TRAIN_COMMAND, few, again, &p, &errors) == OPTIONS_OK);
    bool ok = options_from_json(&TRAIN_COMMAND, "options.json", text, strlen(text), &p, &errors);
    char *back = options_to_json(&TRAIN_COMMAND, &p);
    test_true("options.json comes back", ok && strtod(p.lr, NULL) == 0.1 && p.no_flip && !strcmp(text, back),
              "%s", errors.text ? errors.text : "the same");
    test_true("an option without a value",
              strstr(text, "\"grid-loss\":\tnull") && !options_given(&TRAIN_COMMAND, &p, "grid-loss"),
              "is null, and not given");
    CHECK(options_parse(&TRAIN_COMMAND, more, other, &q, &errors) == OPTIONS_OK);
    ok = options_from_json(&TRAIN_COMMAND, "options.json", text, strlen(text), &q, &errors);
    test_true("another value", /* --threads differs as well, but it may. */
              !ok && errors.count == 1 && q.threads == 3 &&
                  strstr(errors.text, "--steps: is 10 now, and 9 in options.json"),
              "%s", errors.text ? errors.text : "accepted");
    options_free(&TRAIN_COMMAND, &o);
    options_free(&TRAIN_COMMAND, &p);
    options_free(&TRAIN_COMMAND, &q);
    messages_free(&errors);
    free(text);
    free(back);
    free(words[0]);
    free(again[0]);
    free(other[0]);
}

static void bad_templates(const char *text, const char *says) {
    Templates t;
    Messages errors = { 0 };
    bool ok = templates_parse(&t, "t.txt", text, strlen(text), NULL, &errors);
    const char *told = errors.text ? errors.text : "accepted";
    test_true("bad templates", !ok && strstr(told, says), "%.*s", (int)strcspn(told, "\n"), told);
    messages_free(&errors);
}

static void test_templates(void) {
    Templates t;
    Messages errors = { 0 };
    CHECK(templates_get(&t, KIND_OBJECT, NULL, &errors));
    test_true("object templates", t.count == 27 && !strcmp(t.lines[14], "a photo of one {}"), "%d",
              (int)t.count);
    char *filled = template_fill(t.lines[2], "<x> <x>_1");
    test_true("filled", strcmp(filled, "a cropped photo of the <x> <x>_1") == 0, "%s", filled);
    free(filled);
    templates_free(&t);
    CHECK(templates_get(&t, KIND_STYLE, NULL, &errors));
    test_true("style templates", t.count == 19 && !strcmp(t.lines[9], t.lines[13]), "%d", (int)t.count);
    templates_free(&t);
    CHECK(templates_get(&t, KIND_OBJECT, "paper", &errors));
    test_true("the paper's", t.count == 27 && !strcmp(t.lines[26], "a photo of a small {}."), "%d",
              (int)t.count);
    templates_free(&t);
    CHECK(templates_get(&t, KIND_OBJECT, "code", &errors));
    test_true("its authors' code's",
              t.count == 81 && !strcmp(t.lines[27], "an illustration of a {}") &&
                  !strcmp(t.lines[30], "the photo of a {}") &&
                  !strcmp(t.lines[80], "a depiction of a small {}"),
              "%d", (int)t.count);
    templates_free(&t);
    static const char text[] = "\xEF\xBB\xBF# mine\n\na {} here \r\n{}\nlast {}";
    bool ok = templates_parse(&t, "t.txt", text, strlen(text), NULL, &errors);
    test_true("a file of templates",
              ok && t.count == 3 && !strcmp(t.lines[0], "a {} here") && !strcmp(t.lines[2], "last {}"), "%d",
              (int)t.count);
    templates_free(&t);
    bad_templates("", "holds no templates");
    bad_templates("# a {}\n", "holds no templates");
    bad_templates("a {}\nb\n", "t.txt: line 2 has no {}");
    bad_templates("{} {}\n", "line 1 has {} more than once");
    bad_templates("{} [name]\n", "line 1 has {} more than once");
    bad_templates("{} \xff\n", "line 1 is not UTF-8");
    ok = templates_get(&t, KIND_STYLE, "no/such/file", &errors);
    test_true("no file", !ok && errors.count == 1, "%s", errors.text ? errors.text : "accepted");
    messages_free(&errors);
}

/* With a mask a picture takes two more bytes a pixel. */
static void test_mask_memory(void) {
    unsigned char mask[16] = { 0 };
    InitImage i = { .image = { .width = 4, .height = 4 } };
    int64_t without = init_image_need(&i, (MemoryNeed) { 0 }).buffers;
    i.mask = mask;
    int64_t with = init_image_need(&i, (MemoryNeed) { 0 }).buffers;
    test_true("the memory of a mask", without == 16 * 15 && with == without + 32, "%lld and %lld bytes",
              (long long)without, (long long)with);
}

int main(void) {
    test_refused();
    test_values();
    test_durations();
    test_generate();
    test_sampler_choice();
    test_sampler_steps();
    test_help(&TRAIN_COMMAND);
    test_help(&GENERATE_COMMAND);
    test_brief_help(&TRAIN_COMMAND);
    test_brief_help(&GENERATE_COMMAND);
    test_defaults();
    test_json();
    test_templates();
    test_mask_memory();
    return test_finish();
}
