/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "cli/console.h"

#include "tensor/threads.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void console_json(json_t *document) {
    CHECK(document);
    char *text = json_text(document, JSON_LINES);
    printf("%s\n", text);
    free(text);
    json_decref(document);
}

bool console_finish(Messages *errors) {
    errno = 0;
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    if (!failed) return true;
    return messages_add(errors, "standard output: cannot be written%s%s", errno ? ": " : "",
                        errno ? strerror(errno) : "");
}

static bool silent;

void console_silence(void) { silent = true; }

void console_line(FILE *to, const char *format, ...) {
    if (silent) return;
    va_list args;
    va_start(args, format);
    char *line = mem_format_list(format, args);
    va_end(args);
    text_sanitize(line);
    fprintf(to, "%s\n", line);
    free(line);
}

void console_path(const char *path) {
    if (isatty(STDOUT_FILENO))
        console_line(stdout, "%s", path);
    else
        printf("%s\n", path);
}

char *console_text(const char *text) { return text_shortened(text, 200, 0); }

const char *bytes_text(int64_t bytes, char text[BYTES_TEXT]) {
    if (bytes >= 1000000000)
        snprintf(text, BYTES_TEXT, "%.2f GB", (double)bytes / 1e9);
    else
        snprintf(text, BYTES_TEXT, "%.0f MB", (double)bytes / 1e6);
    return text;
}

const char *size_text(int64_t bytes, char text[SIZE_TEXT]) {
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    double value = (double)bytes;
    int unit = 0;
    while (value >= 999.95 && unit < 4) {
        value /= 1000;
        unit++;
    }
    static const int decimals[] = { 0, 1, 1, 2, 2 };
    snprintf(text, SIZE_TEXT, "%.*f %s", decimals[unit], value, units[unit]);
    return text;
}

const char *count_text(int64_t count, char text[COUNT_TEXT]) {
    char digits[COUNT_TEXT];
    int n = snprintf(digits, sizeof digits, "%lld", (long long)count), out = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0 && digits[i - 1] != '-') text[out++] = ',';
        text[out++] = digits[i];
    }
    text[out] = 0;
    return text;
}

const char *duration_text(double seconds, char text[DURATION_TEXT]) {
    long s = seconds > 0 && seconds < 1e9 ? (long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(text, DURATION_TEXT, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, DURATION_TEXT, "%ld:%02ld", s / 60, s % 60);
    return text;
}

bool duration_parse(const char *text, double *seconds) {
    static const struct {
        char name;
        double seconds;
    } UNITS[] = { { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };
    *seconds = 0;
    for (size_t i = 0; i < sizeof UNITS / sizeof *UNITS && *text; i++) {
        size_t digits = strspn(text, "0123456789");
        if (!digits || digits > 9) return false;
        if (text[digits] != UNITS[i].name) continue; /* perhaps it is a smaller unit */
        *seconds += strtod(text, NULL) * UNITS[i].seconds;
        text += digits + 1;
    }
    return !*text && *seconds >= 1 && *seconds <= 1000 * UNITS[0].seconds;
}

json_t *json_shape(Shape shape) { return json_integers(shape.dim, shape.rank); }

void profile_print(const Profile *profile, int64_t steps) {
    Profile sorted = profile_sorted(profile);
    double seconds = 0, flops = 0;
    for (int i = 0; i < sorted.count; i++) {
        seconds += sorted.lines[i].seconds;
        flops += sorted.lines[i].flops;
    }
    double n = steps > 0 ? (double)steps : 1, peak = threads_peak_flops();
    printf("%-20s %-8s %7s %10s %9s %8s %7s\n", "op", "pass", "calls", "ms a step", "GFLOP/s", "of peak",
           "share");
    for (int i = 0; i < sorted.count; i++) {
        const ProfileLine *l = &sorted.lines[i];
        printf("%-20s %-8s %7.0f %10.3f ", l->op->name, l->backward ? "backward" : "forward",
               (double)l->calls / n, 1e3 * l->seconds / n);
        if (l->flops > 0)
            printf("%9.1f %7.0f%%", l->flops / l->seconds * 1e-9, 100 * l->flops / l->seconds / peak);
        else
            printf("%9s %8s", "", "");
        printf(" %6.1f%%\n", 100 * l->seconds / seconds);
    }
    printf("%-20s %-8s %7s %10.3f %9.1f %7.0f%% %6.1f%%\n", "all", "", "", 1e3 * seconds / n,
           flops / seconds * 1e-9, 100 * flops / seconds / peak, 100.0);
    printf("peak: %.1f GFLOP/s, measured with products of matrices that fit in the cache\n", peak * 1e-9);
}
