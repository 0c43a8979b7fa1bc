/* SPDX-License-Identifier: MIT */
#include "exchange/parameters.h"

#include "io/json.h"

#include <stdlib.h>
#include <string.h>

/* Appends "name: value", and a comma before it unless it is the first. */
static void add(Text *line, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);

static void add(Text *line, const char *name, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *value = mem_format_list(format, args);
    va_end(args);
    text_format(line, "%s%s: ", line->length ? ", " : "", name);
    if (strpbrk(value, ",:\n"))
        json_quote(line, value);
    else
        text_add(line, value);
    free(value);
}

/* The number as Python prints it, but without ".0". */
static void add_number(Text *line, const char *name, double x) {
    json_t *number = json_double(x);
    char *text = json_text(number, JSON_EXACT);
    add(line, name, "%s", text);
    free(text);
    json_decref(number);
}

static const char *sampler_name(const char *name) {
    static const char *const names[][2] = {
        { "ddim", "DDIM" },       { "pndm", "PLMS" },        { "euler", "Euler" },
        { "euler-a", "Euler a" }, { "dpm++2m", "DPM++ 2M" }, { "dpm++2m-sde", "DPM++ 2M SDE" },
        { "lcm", "LCM" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], name) == 0) return names[i][1];
    return name;
}

static void add_settings(Text *line, const Parameters *p) {
    static const char *const schedules[] = { "Uniform", "Karras", "Exponential", "Beta", "Align Your Steps" };
    add(line, "Steps", "%lld", (long long)p->steps);
    add(line, "Sampler", "%s", sampler_name(p->sampler));
    add(line, "Schedule type", "%s", schedules[p->schedule]);
    add_number(line, "CFG scale", p->guidance);
    add(line, "Seed", "%lld", (long long)p->seed);
    add(line, "Size", "%lldx%lld", (long long)p->width, (long long)p->height);
    if (p->model_hash) add(line, "Model hash", "%.10s", p->model_hash);
    add(line, "Model", "%s", p->model);
    if (p->batch > 1) {
        add(line, "Batch size", "%lld", (long long)p->batch);
        add(line, "Batch pos", "%lld", (long long)p->number);
    }
    if (p->strength > 0) add_number(line, "Denoising strength", p->strength);
    if (p->clip_skip > 1) add(line, "Clip skip", "%lld", (long long)p->clip_skip);
    if (!p->gpu_noise) add(line, "RNG", "CPU");
    if (p->eta > 0) add_number(line, "Eta DDIM", p->eta);
    if (p->rescale > 0) add_number(line, "Guidance rescale", p->rescale);
    if (p->words) add(line, "TI hashes", "%s", p->words);
    add(line, "Version", "ti %s", p->version);
}

char *parameters_text(const Parameters *p) {
    Text text = { 0 }, line = { 0 };
    text_add(&text, p->prompt);
    if (p->negative && *p->negative) text_format(&text, "\nNegative prompt: %s", p->negative);
    add_settings(&line, p);
    text_format(&text, "\n%s", line.at);
    char *stripped = mem_string(text.at + strspn(text.at, " \t\n\v\f\r"));
    free(line.at);
    free(text.at);
    return stripped;
}
