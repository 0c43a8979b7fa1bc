/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "io/system.h"

#include "io/hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double system_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int64_t system_peak_memory(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

/* The linker defines these symbols at the beginning of the program and at the end of its code. */
extern const char __executable_start[], etext[];

uint64_t system_program_hash(void) {
    return hash_bytes(HASH_START, __executable_start,
                      (size_t)((uintptr_t)etext - (uintptr_t)__executable_start));
}

/* Returns a number from a file of /proc or /sys: the one after key in the line that begins with it, or, when
   key is NULL, the one at the beginning of the file. Returns -1 when there is none; a limit that is not set
   is the word "max". */
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

/* Returns how much memory a cgroup leaves: its limit minus what is in use, without the page cache, which the
   kernel can reclaim. Returns INT64_MAX when there is no limit. */
static int64_t memory_left_in(const char *folder, const char *max, const char *usage, const char *cache) {
    char *paths[3] = { mem_format("%s/%s", folder, max), mem_format("%s/%s", folder, usage),
                       mem_format("%s/memory.stat", folder) };
    int64_t limit = number_in(paths[0], NULL), used = number_in(paths[1], NULL);
    int64_t reclaimable = number_in(paths[2], cache);
    for (int i = 0; i < 3; i++) free(paths[i]);
    if (limit < 0 || used < 0) return INT64_MAX;
    return max_i64(0, limit - max_i64(0, used - max_i64(0, reclaimable)));
}

/* Returns the least memory that this process's cgroup and those above it leave. The line in /proc/self/cgroup
   is "0::/path" in version 2 and "N:memory:/path" in version 1. In a container that path may not be mounted;
   then the files at the root are the container's. */
static int64_t memory_left_in_cgroups(void) {
    FILE *file = fopen("/proc/self/cgroup", "r");
    char line[1024];
    int64_t least = INT64_MAX;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        bool version2 = strncmp(line, "0::", 3) == 0;
        char *path = version2 ? line + 3 : strstr(line, ":memory:");
        if (!path) continue;
        if (!version2) path += strlen(":memory:");
        const char *root = version2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
        for (;;) {
            char *folder = mem_format("%s%s", root, path);
            least = min_i64(least, version2 ? memory_left_in(folder, "memory.max", "memory.current", "file ")
                                            : memory_left_in(folder, "memory.limit_in_bytes",
                                                             "memory.usage_in_bytes", "total_cache "));
            free(folder);
            char *slash = strrchr(path, '/');
            if (!slash) break;
            *slash = 0;
        }
    }
    if (file) fclose(file);
    return least;
}

int64_t system_free_memory(void) {
    int64_t kilobytes = number_in("/proc/meminfo", "MemAvailable:");
    int64_t free_bytes = kilobytes >= 0 ? kilobytes * 1024 : INT64_MAX;
    struct rlimit address_space;
    if (getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur != RLIM_INFINITY)
        free_bytes = min_i64(free_bytes, (int64_t)address_space.rlim_cur);
    return min_i64(free_bytes, memory_left_in_cgroups());
}

bool system_standard_descriptors(void) {
    /* The descriptors below i are open, so that open returns i unless it fails. */
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        if (fcntl(i, F_GETFD) < 0 && open("/dev/null", O_RDWR) != i) return false;
    return true;
}

bool system_traced(void) { return number_in("/proc/self/status", "TracerPid:") > 0; }
