#include "io/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/utf8.h"

_Noreturn void check_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
    abort();
}

void check_equal(const char *file, int line, const char *condition, int64_t a, int64_t b) {
    if (a == b) return;
    fprintf(stderr, "%s:%d: CHECK failed: %s (%lld and %lld)\n", file, line, condition, (long long)a,
            (long long)b);
    abort();
}

static _Noreturn void out_of_memory(size_t bytes) {
    if (bytes < 10000000)
        fprintf(stderr, "ti: out of memory (%zu bytes wanted)\n", bytes);
    else /* only pictures are that large */
        fprintf(stderr, "ti: out of memory (%.0f MB wanted: try a smaller picture or fewer at once)\n",
                (double)bytes / 1e6);
    exit(1);
}

void *mem_alloc(size_t bytes) {
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p) out_of_memory(bytes);
    return p;
}

void *mem_grow(void *old, size_t bytes) {
    void *p = realloc(old, bytes ? bytes : 1);
    if (!p) out_of_memory(bytes);
    return p;
}

static char *format_new(const char *format, va_list args) {
    CHECK(format);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    CHECK(n >= 0);
    char *s = mem_alloc((size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, format, again);
    va_end(again);
    return s;
}

char *mem_format(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *s = format_new(format, args);
    va_end(args);
    return s;
}

char *mem_string(const char *s) { return mem_format("%s", s); }

void text_plain(char *text) {
    char *out = text;
    int32_t c;
    for (size_t left = strlen(text); left > 0;) {
        int n = utf8_next(text, left, &c), taken = n ? n : 1;
        bool shown = n && c >= ' ' && (c < 0x7f || c > 0x9f);
        if (shown)
            memmove(out, text, (size_t)n);
        else
            *out = '?';
        out += shown ? n : 1;
        text += taken;
        left -= (size_t)taken;
    }
    *out = 0;
}

bool text_ends_with(const char *text, const char *end) {
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

char *text_for_shell(const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:@%/";
    if (*text && strspn(text, plain) == strlen(text)) return mem_string(text);
    char *quoted = mem_alloc(4 * strlen(text) + 3), *to = quoted;
    *to++ = '\'';
    for (const char *c = text; *c; c++) { /* a quote ends the quotes, stands alone, and opens them again */
        if (*c == '\'') to += strlen(strcpy(to, "'\\'"));
        *to++ = *c;
    }
    *to = '\'';
    return quoted;
}

bool messages_add(Messages *m, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *line = format_new(format, args);
    va_end(args);
    text_plain(line);
    size_t n = strlen(line);
    m->text = mem_grow(m->text, m->length + n + 2);
    memcpy(m->text + m->length, line, n);
    m->length += n;
    m->text[m->length++] = '\n';
    m->text[m->length] = 0;
    m->count++;
    free(line);
    return false;
}

void messages_free(Messages *m) {
    free(m->text);
    *m = (Messages) { 0 };
}
