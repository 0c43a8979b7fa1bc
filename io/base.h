/* SPDX-License-Identifier: MIT */
/* The basics that every file uses: checks for programming errors, messages for user errors, and small
   allocations. */
#ifndef TI_BASE_H
#define TI_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CHECK is for programming errors. When the condition is false, it prints file, line and condition (CHECK_EQ
   also prints both values) and aborts. It is never compiled out. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))
#define CHECK_EQ(a, b)   check_equal(__FILE__, __LINE__, #a " == " #b, (int64_t)(a), (int64_t)(b))
_Noreturn void check_failed(const char *file, int line, const char *condition);
void check_equal(const char *file, int line, const char *condition, int64_t a, int64_t b);

/* Collects user errors and warnings, which say what is wrong, where, and what to do. A function that can meet
   bad input takes a Messages, adds a message for each fault and returns false (or NULL); only cli/ prints the
   messages and exits. A Messages starts as {0}. A message is one line and is added without a newline. */
typedef struct {
    char *text; /* the messages, each followed by '\n'; NULL when there are none */
    size_t length;
    int count;
} Messages;

#if defined(__GNUC__)
#    define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#else
#    define PRINTF_LIKE(f, a)
#endif

/* Makes a text safe to print as one line, in place. Text from a file or a command line may hold line ends,
   commands for the terminal (U+0080 to U+009F among them) or bytes that are not UTF-8; each control character
   and each invalid byte becomes '?'. */
void text_sanitize(char *text);
/* Returns whether c is a control character: U+0000 to U+001F or U+007F to U+009F. */
bool text_is_control(int32_t c);

/* Returns the number of bytes to print with %.*s: at most `most`, without splitting a UTF-8 character. */
int text_cut(const char *text, size_t most);

/* Returns a copy in which "..." replaces everything between the first head bytes and the last tail bytes, if
   the text is longer than that. No character is split. The caller frees it. */
char *text_shortened(const char *text, size_t head, size_t tail);

/* Returns the text as one word of a shell's command line, quoted where necessary. A text with control
   characters or invalid UTF-8 becomes $'...' with octal escapes, which bash, zsh, ksh and the POSIX shell of
   2024 understand. The caller frees it. */
char *text_for_shell(const char *text);

/* Adds a message. It is sanitized (text_sanitize), and the middle of one longer than 4000 bytes is left out.
   Always returns false, so that a parser can end with `return messages_add(errors, ...)`. */
bool messages_add(Messages *m, const char *format, ...) PRINTF_LIKE(2, 3);
void messages_free(Messages *m);

/* Small allocations (names, lists, graphs), which the caller frees with free(). When there is no memory, they
   print a message on stderr and exit with status 1. Code that needs large memory (pictures, the plan's arena)
   calls malloc itself and reports a failure through Messages. */
void *mem_alloc(size_t bytes);                               /* zeroed */
void *mem_grow(void *old, size_t bytes);                     /* like realloc; the new part is not zeroed */
char *mem_format(const char *format, ...) PRINTF_LIKE(1, 2); /* a new string, as printf would print it */
char *mem_format_list(const char *format, va_list args);     /* the same; args must not be used afterwards */
char *mem_string(const char *s);                             /* a copy */

/* Returns whether the text ends with `end`. */
bool text_ends_with(const char *text, const char *end);
/* Whether the whole text is a finite decimal number, which *x becomes. strtod also accepts "nan", "inf" and
   hexadecimal numbers, which this refuses. */
bool text_is_number(const char *text, double *x);

/* Compares two doubles, so that qsort sorts them in ascending order. */
int compare_doubles(const void *a, const void *b);

static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }
/* Returns a / b rounded up, for a >= 0 and b > 0. */
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

#endif
