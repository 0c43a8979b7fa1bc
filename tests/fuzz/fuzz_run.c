/* SPDX-License-Identifier: MIT */
/* Fuzzing targets: the state of a run, its losses.csv, and the command line. */
#define _POSIX_C_SOURCE 200809L
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/generate.h"
#include "cli/train.h"
#include "inversion/losses.h"
#include "inversion/state.h"
#include "io/file.h"
#include "io/hash.h"
#include "io/plot.h"
#include "tests/fuzz/fuzz_options.h"
#include "text/nearest.h"
#include "weights/sealed.h"

/* ---- the run's state ---- */

static const char *const STATE_WORDS[] = { "ti run state 1\n",
                                           "ti run state 2\n",
                                           "\xff\xff\xff\xff",
                                           "\x7f\x80",
                                           "\x01",
                                           "\x70\x02",
                                           "\"F64\"",
                                           "\"U32\"",
                                           "[6]",
                                           "-1",
                                           "nan",
                                           "9223372036854775807",
                                           NULL };

/* Corrects the checksum of a sealed safetensors file, or the one at the end of a state of version 2. */
static void repair_state(Input *in, Random *r) {
    (void)r;
    if (sealed_seal(in->bytes, in->size) || in->size < sizeof(uint64_t)) return;
    size_t size = in->size - sizeof(uint64_t);
    uint64_t hash = hash_bytes(HASH_START, in->bytes, size);
    memcpy(in->bytes + size, &hash, sizeof hash);
}

static void state_seeds(Seeds *s) {
    float learned[6] = { 0.5f, -1, 2 }, m[6] = { 0.25f }, v[6] = { 1 }, accumulated[6] = { -0.5f };
    uint64_t pictures[2] = { 7, 9 };
    double grid[4] = { 0, 0.25, 2, 0.125 };
    for (int64_t count = 1; count <= 6; count += 5) {
        RunState state = { .step = 3, .taken = 1, .records = 3, .losses_bytes = 40, .count = count };
        state.learned = state.initial = learned;
        state.steps = 9;
        state.m = m;
        state.v = v;
        state.accumulated = accumulated;
        state.identity =
            (RunIdentity) { .options = 3, .picture_count = count > 1 ? 2 : 0, .pictures = pictures };
        state.points = count > 1 ? 2 : 0;
        state.grid = grid;
        if (count > 1) state.stop = (EarlyStop) { 2, 4, 0.15, 2, grid, count, learned, false };
        generator_seed(&state.torch, 5);
        python_seed(&state.python, 5);
        Messages errors = { 0 };
        CHECK(state_write(scratch_path(), &state, &errors));
        seeds_file(s, scratch_path());
    }
    seeds_file(s, "tests/runs/version2/run.state");
}

static bool try_state(const unsigned char *bytes, size_t size) {
    RunState s;
    Messages errors = { 0 };
    if (!verdict(state_parse("x", bytes, size, &s, &errors), &errors, NULL)) return false;
    CHECK(s.count > 0 && s.step >= 0 && s.taken >= 0 && s.records >= 0 && s.losses_bytes >= 0);
    size_t floats = (size_t)s.count * sizeof(float);
    touch(s.learned, floats);
    touch(s.m, floats);
    touch(s.v, floats);
    touch(s.accumulated, floats);
    touch(s.grid, (size_t)s.points * 2 * sizeof *s.grid);
    touch(s.stop.losses, (size_t)s.stop.count * sizeof *s.stop.losses);
    if (s.stop.best) touch(s.stop.best, floats);
    if (s.stop.every > 0) early_stop_reached(&s.stop);
    touch(s.identity.pictures, (size_t)s.identity.picture_count * sizeof *s.identity.pictures);
    /* A state of version 2 is not written, since it lacks some fields. */
    if (s.newer && one_in(bytes, size, 100)) {
        RunState again;
        CHECK(state_write(scratch_path(), &s, &errors) && state_read(scratch_path(), &again, &errors));
        CHECK(again.count == s.count && again.step == s.step && again.records == s.records);
        CHECK(memcmp(again.learned, s.learned, floats) == 0 && memcmp(again.initial, s.initial, floats) == 0);
        state_free(&again);
    }
    float drawn[20];
    generator_randn(&s.torch, drawn, 20);
    generator_u64(&s.torch);
    python_choice(&s.python, 27);
    state_free(&s);
    return true;
}

/* ---- losses.csv, in two parts: how many of its records and bytes belong to the run, and the file ---- */

static const char *const LOSSES_WORDS[] = { "step,loss,lr\n",
                                            "1,0.5,0.001\n",
                                            "nan",
                                            "inf",
                                            "1e999",
                                            "-1",
                                            "9223372036854775808",
                                            "\n",
                                            "\r\n",
                                            ",",
                                            "0",
                                            "1",
                                            "2",
                                            "3",
                                            "13",
                                            "25",
                                            NULL };

static void losses_seeds(Seeds *s) {
    static const char *const parts[][2] = {
        { "3 48", "step,loss,lr\n1,0.5,0.001\n2,0.25,0.001\n3,0.125,5e-4\n" },
        { "1 25", "step,loss,lr\n1,0.5,0.001\n2,0.25" }, /* truncated in the rest of the file */
        { "0 13", "step,loss,lr\n" },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) seeds_parts(s, 2, parts[i]);
}

/* Reads the losses and, if `plot` is true, plots them. */
static bool read_losses(const char *path, int64_t records, int64_t length, bool plot) {
    Messages errors = { 0 };
    Losses l;
    bool ok = losses_resume(&l, path, records, length, NULL, &errors);
    if (ok) CHECK_EQ(l.count, records);
    if (ok && plot) {
        Image image;
        CHECK(plot_draw(l.loss, l.smoothed, l.count, l.step, (PlotPoints) { 0 }, &image, &errors));
        image_free(&image);
    }
    losses_close(&l);
    return verdict(ok, &errors, NULL);
}

static bool try_losses(const unsigned char *bytes, size_t size) {
    Bytes rest = { (unsigned char *)(uintptr_t)bytes, size }, head = next_part(&rest, false),
          csv = next_part(&rest, true);
    char *numbers = mem_format("%.*s", (int)head.size, (const char *)head.at), *end;
    int64_t records = strtoll(numbers, &end, 10), length = strtoll(end, NULL, 10);
    char *path = mem_format("%s.csv", scratch_path());
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(csv.at, 1, csv.size, file) == csv.size && fclose(file) == 0);
    bool ok = records >= 0 && length >= 0 && read_losses(path, records, length, one_in(bytes, size, 50));
    unlink(path);
    free(path);
    free(numbers);
    free(head.at);
    free(csv.at);
    return ok;
}

/* ---- options ---- */

/* A bound of the size of the struct of any command's options, in bytes. */
enum { VALUES_MAX = 4096 };

/* The struct of any command's options. */
typedef union {
    Given given;
    unsigned char bytes[VALUES_MAX];
} Values;

static const void *value_of(const Option *o, const void *values) { return (const char *)values + o->offset; }

static bool is_set(const Option *o, const void *values) {
    if (o->type == OPTION_LIST) return ((const StringList *)value_of(o, values))->count > 0;
    return o->type != OPTION_STRING || *(char *const *)value_of(o, values);
}

static void check_value(const Option *o, const void *value) {
    int choices = 0;
    while (o->choices && o->choices[choices]) choices++;
    if (o->type == OPTION_INT && !(o->word && *(const int64_t *)value == -1) &&
        (o->standard || *(const int64_t *)value != 0))
        CHECK((double)*(const int64_t *)value >= o->low && (double)*(const int64_t *)value <= o->high);
    if (o->type == OPTION_REAL) CHECK(*(const double *)value >= o->low && *(const double *)value <= o->high);
    if (o->type == OPTION_CHOICE) CHECK(*(const int *)value >= 0 && *(const int *)value < choices);
    if (o->type != OPTION_LIST) return;
    const StringList *list = value;
    for (int64_t i = 0; i < list->count; i++) CHECK(list->items[i][0]);
}

static bool same_text(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

static void check_same(const Option *o, const void *a, const void *b) {
    const StringList *x = a, *y = b;
    switch (o->type) {
    case OPTION_FLAG:
        CHECK_EQ(*(const bool *)a, *(const bool *)b);
        break;
    case OPTION_INT:
        CHECK_EQ(*(const int64_t *)a, *(const int64_t *)b);
        break;
    case OPTION_REAL:
        CHECK(*(const double *)a == *(const double *)b);
        break;
    case OPTION_CHOICE:
        CHECK_EQ(*(const int *)a, *(const int *)b);
        break;
    case OPTION_STRING:
        CHECK(same_text(*(char *const *)a, *(char *const *)b));
        break;
    case OPTION_LIST:
        CHECK_EQ(x->count, y->count);
        for (int64_t i = 0; i < x->count; i++) CHECK(same_text(x->items[i], y->items[i]));
    }
}

static void values_fit(const Command *c) { CHECK(c->size <= VALUES_MAX); }

void options_check(const Command *c, const void *values) {
    bool complete = true;
    for (int i = 0; i < c->count; i++) {
        const Option *o = &c->options[i];
        if (is_set(o, values))
            check_value(o, value_of(o, values));
        else
            complete = complete && !o->required;
    }
    if (!complete) return;
    values_fit(c);
    Messages errors = { 0 };
    Values again;
    char *text = options_to_json(c, values);
    options_parse(c, 0, NULL, &again, &errors); /* fails, since required options are missing */
    messages_free(&errors);
    CHECK(options_from_json(c, "x", text, strlen(text), &again, &errors));
    for (int i = 0; i < c->count; i++)
        if (!c->options[i].once)
            check_same(&c->options[i], value_of(&c->options[i], values), value_of(&c->options[i], &again));
    options_free(c, &again);
    free(text);
}

/* ---- the command line: a command and its arguments, with a zero byte after each ---- */

static const Command *const COMMANDS[] = { &TRAIN_COMMAND,  &GENERATE_COMMAND,    &EVALUATE_COMMAND,
                                           &SHEET_COMMAND,  &INSPECT_COMMAND,     &PLAN_COMMAND,
                                           &TOKENS_COMMAND, &RECONSTRUCT_COMMAND, &INVERT_COMMAND };
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof *COMMANDS, WORDS_MAX = 100 };

static const char *const ARGUMENT_WORDS[] = { "train",
                                              "generate",
                                              "--help",
                                              "-h",
                                              "--",
                                              "-",
                                              "=",
                                              "--steps",
                                              "--lr",
                                              "--init",
                                              "a,b",
                                              "a,,b",
                                              ",",
                                              "--token=<x>",
                                              "--stpes",
                                              "0",
                                              "-1",
                                              "1e-3",
                                              "1e999",
                                              "nan",
                                              "0x10",
                                              "0.00012345678901234567",
                                              "9223372036854775808",
                                              "9007199254740991",
                                              "cosine",
                                              "ddim",
                                              "\xff",
                                              "\xc2\x9b",
                                              "\x1b[2J",
                                              "\n",
                                              " 5",
                                              "5 ",
                                              "+5",
                                              "--=",
                                              "---",
                                              "--no-flip=1",
                                              "--out=",
                                              "--out=a/",
                                              NULL };

/* Appends the argument that consists of `before` and `word`, and a zero byte. */
static void add_word(char *line, size_t *length, const char *before, const char *word) {
    *length += 1 + (size_t)snprintf(line + *length, INPUT_MAX - *length, "%s%s", before, word);
}

/* Adds a command line with all options of each command, and some unusual command lines. */
static void arguments_seeds(Seeds *s) {
    for (int i = 0; i < COMMAND_COUNT; i++) {
        const Command *c = COMMANDS[i];
        char line[INPUT_MAX];
        size_t length = 0;
        add_word(line, &length, "", c->name);
        for (int j = 0; j < c->count; j++) {
            const Option *o = &c->options[j];
            const char *value = o->standard ? o->standard : o->type == OPTION_INT ? "7" : "word";
            if (!o->positional) add_word(line, &length, "--", o->name);
            if (o->type != OPTION_FLAG) add_word(line, &length, "", value);
        }
        seeds_add(s, line, length);
    }
    static const char train[] = "train\0--images\0p\0--token\0<x>\0--init\0a,b\0--vectors\0002\0"
                                "--schedule=cosine_with_restarts\0--cycles\0002";
    static const char generate[] = "generate\0--prompt\0a photo\0--embedding\0x\0--embedding=y\0--seed\0001";
    seeds_add(s, train, sizeof train);
    /* A command line with a token that is too long and with too many initial words */
    char line[INPUT_MAX], token[102], init[2 * 65 + 2];
    size_t length = 0;
    memset(token, 'a', sizeof token);
    token[101] = 0;
    for (int i = 0; i < 65; i++) memcpy(init + 2 * i, "a,", 2);
    memcpy(init + 130, "a", 2);
    add_word(line, &length, "", "train");
    add_word(line, &length, "--images=", "p");
    add_word(line, &length, "--token=", token);
    add_word(line, &length, "--init=", init);
    seeds_add(s, line, length);
    static const char no_name[] = "generate\0--prompt\0x\0--out=";
    seeds_add(s, generate, sizeof generate);
    seeds_add(s, no_name, sizeof no_name);
}

static bool try_words(int count, char **words) {
    const char *names[COMMAND_COUNT];
    const Command *command = NULL;
    for (int i = 0; i < COMMAND_COUNT; i++) {
        names[i] = COMMANDS[i]->name;
        if (count && strcmp(words[0], names[i]) == 0) command = COMMANDS[i];
    }
    if (count) nearest_name(words[0], names, COMMAND_COUNT);
    if (!command) return false;
    values_fit(command);
    Values values;
    Messages errors = { 0 };
    OptionsResult result = options_parse(command, count - 1, words + 1, &values, &errors);
    if (result == OPTIONS_OK) options_check(command, &values);
    for (int i = 0; i < command->count && result == OPTIONS_OK; i++)
        CHECK(is_set(&command->options[i], &values) || !command->options[i].required);
    options_free(command, &values);
    verdict(result != OPTIONS_WRONG, &errors, NULL);
    return result == OPTIONS_OK;
}

static bool try_arguments(const unsigned char *bytes, size_t size) {
    char *words[WORDS_MAX + 1] = { NULL };
    int count = 0;
    for (size_t from = 0; from < size && count < WORDS_MAX; count++) {
        const unsigned char *end = memchr(bytes + from, 0, size - from);
        size_t length = end ? (size_t)(end - bytes) - from : size - from;
        words[count] = mem_format("%.*s", (int)length, (const char *)bytes + from);
        from += length + 1;
    }
    bool ok = try_words(count, words);
    for (int i = 0; i < count; i++) free(words[i]);
    return ok;
}

const Target RUN_TARGETS[] = {
    { "state", 12, STATE_WORDS, state_seeds, repair_state, try_state },
    { "arguments", 12, ARGUMENT_WORDS, arguments_seeds, NULL, try_arguments },
    { "losses", 2, LOSSES_WORDS, losses_seeds, NULL, try_losses },
    { .name = NULL },
};
