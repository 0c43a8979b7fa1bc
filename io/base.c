/* SPDX-License-Identifier: MIT */
#include "io/base.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/utf8.h"

/* A message longer than 2 * MESSAGE_PART bytes is shortened to its first and its last MESSAGE_PART bytes. Its
   beginning names the file, and its end says what to do. */
enum { MESSAGE_PART = 2000 };

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
    else /* only the memory of pictures is that large */
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

char *mem_format_list(const char *format, va_list args) {
    CHECK(format);
    va_list copy;
    va_copy(copy, args);
    int n = vsnprintf(NULL, 0, format, args);
    CHECK(n >= 0);
    char *s = mem_alloc((size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, format, copy);
    va_end(copy);
    return s;
}

char *mem_format(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *s = mem_format_list(format, args);
    va_end(args);
    return s;
}

char *mem_string(const char *s) { return mem_format("%s", s); }

bool text_is_control(int32_t c) { return c < ' ' || (0x7f <= c && c <= 0x9f); }

void text_sanitize(char *text) {
    char *out = text;
    int32_t c;
    for (size_t left = strlen(text); left > 0;) {
        int n = utf8_next(text, left, &c), taken = n ? n : 1;
        bool shown = n && !text_is_control(c);
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

int text_cut(const char *text, size_t most) {
    size_t length = strlen(text), at = length < most ? length : most;
    for (int back = 0; back < 3 && at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80; back++) at--;
    return (int)at;
}

char *text_shortened(const char *text, size_t head, size_t tail) {
    size_t length = strlen(text);
    if (length <= head + tail) return mem_string(text);
    return mem_format("%.*s...%s", text_cut(text, head), text, text + text_cut(text, length - tail));
}

bool text_ends_with(const char *text, const char *end) {
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

/* Returns the text as $'...', where each byte outside printable ASCII is written as \ooo. There are always
   three octal digits, so that a digit after them is not read as part of the number. */
static char *escaped_for_shell(const char *text) {
    char *quoted = mem_alloc(4 * strlen(text) + 4), *to = quoted;
    to += strlen(strcpy(to, "$'"));
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < ' ' || *c > '~')
            to += snprintf(to, 5, "\\%03o", *c);
        else if (*c == '\'' || *c == '\\')
            to += snprintf(to, 5, "\\%c", *c);
        else
            *to++ = (char)*c;
    }
    *to = '\'';
    return quoted;
}

static bool is_printable(const char *text) {
    char *shown = mem_string(text);
    text_sanitize(shown);
    bool printable = strcmp(shown, text) == 0;
    free(shown);
    return printable;
}

char *text_for_shell(const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:@%/";
    if (*text && strspn(text, plain) == strlen(text)) return mem_string(text);
    if (!is_printable(text)) return escaped_for_shell(text);
    char *quoted = mem_alloc(4 * strlen(text) + 3), *to = quoted;
    *to++ = '\'';
    for (const char *c = text; *c;
         c++) { /* ' becomes '\'', which closes the quotes, adds one, reopens them */
        if (*c == '\'') to += strlen(strcpy(to, "'\\'"));
        *to++ = *c;
    }
    *to = '\'';
    return quoted;
}

int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool messages_add(Messages *m, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *whole = mem_format_list(format, args), *line = text_shortened(whole, MESSAGE_PART, MESSAGE_PART);
    va_end(args);
    free(whole);
    text_sanitize(line);
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

bool text_is_number(const char *text, double *x) {
    char *end;
    *x = strtod(text, &end);
    return end > text && !*end && strspn(text, "+-.0123456789eE") == strlen(text) && isfinite(*x);
}
