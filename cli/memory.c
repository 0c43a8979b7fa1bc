#include "cli/memory.h"

#include "cli/common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

bool memory_limit_parse(const char *text, MemoryLimit *limit, Messages *errors) {
    static const struct {
        const char *name;
        double bytes;
    } UNITS[] = { { "", 1 },     { "k", 1e3 }, { "kb", 1e3 }, { "m", 1e6 },
                  { "mb", 1e6 }, { "g", 1e9 }, { "gb", 1e9 } };
    *limit = (MemoryLimit) { .automatic = true };
    if (strcmp(text, "auto") == 0) {
        limit->bytes = memory_free();
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
    return messages_add(errors, "--memory '%s': bytes are meant, such as 3GB or 800M, or auto", text);
}

/* The number in a file of /proc or /sys: the first one, or the one behind key. -1: there is none ("max" says so too). */
static int64_t number_in(const char *path, const char *key) {
    FILE *file = fopen(path, "r");
    char line[256];
    int64_t number = -1;
    while (file && number < 0 && fgets(line, sizeof line, file)) {
        size_t n = key ? strlen(key) : 0;
        if (n && strncmp(line, key, n) != 0) continue;
        char *end;
        long long value = strtoll(line + n, &end, 10);
        if (end != line + n && value >= 0) number = value;
        if (!key) break;
    }
    if (file) fclose(file);
    return number;
}

/* What a cgroup's files leave: its limit less what is in use, where pages of files can be given back. */
static int64_t left_in(const char *folder, const char *max, const char *usage, const char *cache) {
    char *paths[3] = { mem_format("%s/%s", folder, max), mem_format("%s/%s", folder, usage),
                       mem_format("%s/memory.stat", folder) };
    int64_t limit = number_in(paths[0], NULL), used = number_in(paths[1], NULL);
    int64_t given_back = number_in(paths[2], cache);
    for (int i = 0; i < 3; i++) free(paths[i]);
    if (limit < 0 || used < 0) return INT64_MAX;
    return max_i64(0, limit - max_i64(0, used - max_i64(0, given_back)));
}

/* The least that this process's cgroup and those above it leave. Version 2's line in /proc/self/cgroup is "0::/path",
   version 1's "N:memory:/path"; in a container the path may lie outside what is mounted, and then the root's files are
   the container's. */
static int64_t left_in_cgroups(void) {
    FILE *file = fopen("/proc/self/cgroup", "r");
    char line[1024];
    int64_t least = INT64_MAX;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        bool second = strncmp(line, "0::", 3) == 0;
        char *path = second ? line + 3 : strstr(line, ":memory:");
        if (!path) continue;
        if (!second) path += strlen(":memory:");
        const char *root = second ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
        for (;;) {
            char *folder = mem_format("%s%s", root, path);
            least = min_i64(least, second ? left_in(folder, "memory.max", "memory.current", "file ")
                                          : left_in(folder, "memory.limit_in_bytes", "memory.usage_in_bytes",
                                                    "total_cache "));
            free(folder);
            char *slash = strrchr(path, '/');
            if (!slash) break;
            *slash = 0;
        }
    }
    if (file) fclose(file);
    return least;
}

int64_t memory_free(void) {
    int64_t kilobytes = number_in("/proc/meminfo", "MemAvailable:");
    int64_t free_bytes = kilobytes >= 0 ? kilobytes * 1024 : INT64_MAX;
    struct rlimit address_space;
    if (getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur != RLIM_INFINITY)
        free_bytes = min_i64(free_bytes, (int64_t)address_space.rlim_cur);
    return min_i64(free_bytes, left_in_cgroups());
}

int64_t memory_total(const MemoryNeed *need) { return need->weights + need->buffers; }

MemoryNeed memory_worse(MemoryNeed a, MemoryNeed b) { return memory_total(&a) >= memory_total(&b) ? a : b; }

MemoryNeed memory_of_drawing(const Drawing *d, int threads) {
    Plan text, denoise, decode;
    drawing_stage(d, DRAWING_TEXT, &text);
    drawing_stage(d, DRAWING_DENOISE, &denoise);
    drawing_stage(d, DRAWING_DECODE, &decode);
    MemoryNeed before = { .weights = text.weights + denoise.weights,
                          .buffers = max_i64(plan_bytes(&text, threads), plan_bytes(&denoise, threads)) };
    return memory_worse(before,
                        (MemoryNeed) { .weights = decode.weights, .buffers = drawing_bytes(d, threads) });
}

void memory_tell(const MemoryNeed *need, const MemoryLimit *limit, int threads) {
    char text[4][BYTES_TEXT];
    fprintf(stderr, "ti: memory %s: %s of buffers and workspace, %s of mapped weights; %d threads; ",
            bytes_text(memory_total(need), text[0]), bytes_text(need->buffers, text[1]),
            bytes_text(need->weights, text[2]), threads);
    if (need->recomputed)
        fprintf(stderr, "%d of %d blocks are computed twice; ", need->recomputed, need->blocks);
    fprintf(stderr, "%s %s\n", bytes_text(limit->bytes, text[3]), limit->automatic ? "are free" : "allowed");
}

bool memory_check(const MemoryNeed *need, const MemoryLimit *limit, const char *smaller, Messages *errors,
                  Messages *warnings) {
    char text[4][BYTES_TEXT];
    bytes_text(limit->bytes, text[0]);
    bytes_text(memory_total(need), text[1]);
    if (memory_total(need) <= limit->bytes) return true;
    if (limit->automatic) {
        messages_add(
            warnings,
            "the run takes %s at least, and %s are free: it may be slow, or be ended by the system (%s would "
            "take less)",
            text[1], text[0], smaller);
        return true;
    }
    return messages_add(
        errors,
        "--memory: %s are too little; the run takes %s at least (%s of buffers and workspace, %s of "
        "mapped weights): give --memory %lldMB, or %s",
        text[0], text[1], bytes_text(need->buffers, text[2]), bytes_text(need->weights, text[3]),
        (long long)ceil_div(memory_total(need), 1000000), smaller);
}
