#include "io/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* The bytes of the character of UTF-8 at s; 0 where there is none, or a control character (U+0000..1F, 7F..9F). */
static int printable_length(const unsigned char *s) {
    unsigned c = s[0];
    if (c < 0x80) return c >= ' ' && c != 0x7f;
    int n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    unsigned low = c == 0xc2   ? 0xa0
                   : c == 0xe0 ? 0xa0
                   : c == 0xf0 ? 0x90
                               : 0x80;                          /* no longer form than needed */
    unsigned high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf; /* no surrogate; U+10FFFF ends it */
    if (c < 0xc2 || c > 0xf4 || s[1] < low || s[1] > high) return 0;
    for (int i = 2; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return n;
}

void text_plain(char *text) {
    char *out = text;
    for (const char *c = text; *c;) {
        int n = printable_length((const unsigned char *)c);
        bool c1 = (unsigned char)c[0] == 0xc2 && 0x80 <= (unsigned char)c[1] && (unsigned char)c[1] <= 0x9f;
        if (n > 0)
            memmove(out, c, (size_t)n);
        else
            *out = '?';
        out += n > 0 ? n : 1;
        c += n > 0 ? n : c1 ? 2 : 1;
    }
    *out = 0;
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
