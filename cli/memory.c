/* SPDX-License-Identifier: MIT */
#include "cli/memory.h"

#include "cli/common.h"
#include "cli/console.h"
#include "io/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool memory_limit_parse(const char *text, MemoryLimit *limit, Messages *errors) {
    static const struct {
        const char *name;
        double bytes;
    } UNITS[] = { { "", 1 },     { "k", 1e3 }, { "kb", 1e3 }, { "m", 1e6 },
                  { "mb", 1e6 }, { "g", 1e9 }, { "gb", 1e9 } };
    *limit = (MemoryLimit) { .automatic = true };
    if (strcmp(text, "auto") == 0) {
        limit->bytes = system_free_memory();
        return true;
    }
    char *end;
    double number = strtod(text, &end);
    bool digits = text[0] >= '0' && text[0] <= '9';
    while (*end == ' ') end++;
    for (size_t i = 0; i < sizeof UNITS / sizeof *UNITS && digits; i++) {
        double bytes = number * UNITS[i].bytes;
        if (strcasecmp(end, UNITS[i].name) != 0 || !(bytes >= 1 && bytes < 9e15)) continue;
        *limit = (MemoryLimit) { .bytes = (int64_t)bytes };
        return true;
    }
    return messages_add(errors, "--memory '%s': must be a number of bytes, such as 3GB or 800M, or auto",
                        text);
}

int64_t memory_total(const MemoryNeed *need) { return need->weights + need->buffers; }

MemoryNeed memory_larger(MemoryNeed a, MemoryNeed b) { return memory_total(&a) >= memory_total(&b) ? a : b; }

MemoryNeed memory_of_sampling(const Sampling *sampling, int threads) {
    Plan text, denoise, decode, encode, preview;
    sampling_stage(sampling, SAMPLING_TEXT, &text);
    sampling_stage(sampling, SAMPLING_DENOISE, &denoise);
    sampling_stage(sampling, SAMPLING_DECODE, &decode);
    sampling_stage(sampling, SAMPLING_ENCODE, &encode);
    sampling_stage(sampling, SAMPLING_PREVIEW, &preview);
    int64_t buffers = max_i64(plan_bytes(&text, threads), plan_bytes(&denoise, threads));
    if (encode.weights > 0) buffers = max_i64(buffers, plan_bytes(&encode, threads));
    if (preview.weights > 0) buffers = max_i64(buffers, plan_bytes(&preview, threads));
    MemoryNeed before = { .weights = text.weights + denoise.weights + encode.weights + preview.weights,
                          .buffers = buffers };
    return memory_larger(
        before, (MemoryNeed) { .weights = decode.weights, .buffers = sampling_bytes(sampling, threads) });
}

static void print_need(const MemoryNeed *need, const MemoryLimit *limit, int threads) {
    char size[BYTES_TEXT];
    Text line = { 0 };
    text_format(&line, "ti: memory %s: ", bytes_text(memory_total(need), size));
    text_format(&line, "%s of ", bytes_text(need->buffers, size));
    if (need->picture)
        text_format(&line, "pixels to read %s (%d x %d); ", need->picture, need->width, need->height);
    else
        text_format(&line, "buffers and workspace, %s of mapped weights; ", bytes_text(need->weights, size));
    text_format(&line, "%d threads; ", threads);
    if (need->recomputed)
        text_format(&line, "%d of %d blocks are recomputed; ", need->recomputed, need->blocks);
    console_line(stderr, "%s%s %s", line.at, bytes_text(limit->bytes, size),
                 limit->automatic ? "are free" : "are allowed");
    free(line.at);
}

/* Two parts of a message: what takes the memory, such as "the run takes at least 3 GB", and what would
   take less. */
typedef struct {
    char *takes, *smaller;
} Advice;

static Advice advice(const MemoryNeed *need, const char *smaller) {
    char text[3][BYTES_TEXT];
    bytes_text(memory_total(need), text[0]);
    if (need->picture)
        return (Advice) { mem_format("reading %s (%d x %d) takes %s", need->picture, need->width,
                                     need->height, text[0]),
                          mem_string("a smaller copy of the picture") };
    return (Advice) { mem_format("the run takes at least %s", text[0]), mem_string(smaller) };
}

static bool check(const MemoryNeed *need, const MemoryLimit *limit, const char *smaller, Messages *errors,
                  Messages *warnings) {
    if (memory_total(need) <= limit->bytes) return true;
    char limited[BYTES_TEXT], text[2][BYTES_TEXT];
    bytes_text(limit->bytes, limited);
    Advice a = advice(need, smaller);
    char *parts = need->picture
                      ? mem_string("")
                      : mem_format(" (%s of buffers and workspace, %s of mapped weights)",
                                   bytes_text(need->buffers, text[0]), bytes_text(need->weights, text[1]));
    if (limit->automatic)
        messages_add(warnings,
                     "%s, and %s are free: it may be slow, or the system may kill it (%s would take less)",
                     a.takes, limited, a.smaller);
    else
        messages_add(errors, "--memory: %s are too little; %s%s: give --memory %lldMB, or %s", limited,
                     a.takes, parts, (long long)ceil_div(memory_total(need), 1000000), a.smaller);
    free(parts);
    free(a.takes);
    free(a.smaller);
    return limit->automatic;
}

bool memory_announce(const MemoryNeed *need, const MemoryLimit *limit, const char *smaller, int threads,
                     Messages *errors, Messages *warnings) {
    if (!check(need, limit, smaller, errors, warnings)) return false;
    report_warnings(warnings);
    print_need(need, limit, threads);
    return true;
}

void print_peak_memory(void) {
    char text[BYTES_TEXT];
    fprintf(stderr, "ti: peak memory %s\n", bytes_text(system_peak_memory(), text));
}
