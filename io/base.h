/* The ground everything stands on: checks for programming errors, messages for user errors, memory. */
#ifndef TI_BASE_H
#define TI_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A programming error: prints file, line, the condition and both values, and aborts. Never compiled out. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))
#define CHECK_EQ(a, b)   check_equal(__FILE__, __LINE__, #a " == " #b, (int64_t)(a), (int64_t)(b))
_Noreturn void check_failed(const char *file, int line, const char *condition);
void check_equal(const char *file, int line, const char *condition, int64_t a, int64_t b);

/* User errors and warnings: lines that say what, where and what to do. A function that can meet bad input
   takes one of these, adds a line for each fault and returns false (or NULL); only cli/ prints them and
   exits. Start from {0}; a message is a whole line without its newline. */
typedef struct {
    char *text; /* the lines, each closed by '\n'; NULL when there is none */
    size_t length;
    int count;
} Messages;

#if defined(__GNUC__)
#    define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#else
#    define PRINTF_LIKE(f, a)
#endif

/* What came out of a file or a command line may hold line ends and commands for the terminal (also as U+0080
   to U+009F), or bytes that are no UTF-8: each such character or byte becomes '?', in place. */
void text_plain(char *text);
/* U+0000 to U+001F and U+007F to U+009F. */
bool text_is_control(int32_t c);

/* How many bytes of the text to show with %.*s: so many at most, and no character of UTF-8 in parts. */
int text_cut(const char *text, size_t most);

/* A copy, in which "..." stands for what is between the first head bytes and the last tail bytes, if there is
   any, as text_cut cuts. free() it. */
char *text_shortened(const char *text, size_t head, size_t tail);

/* The text as a word of a shell's command line: in quotes where it needs them; with control characters as
   $'\ooo', which bash, zsh, ksh and POSIX's shell of 2024 know. free() it. */
char *text_for_shell(const char *text);

/* Always returns false, so that a parser can end with `return messages_add(errors, ...)`. The line is
   text_plain, and of one beyond 4000 bytes the middle is left out. */
bool messages_add(Messages *m, const char *format, ...) PRINTF_LIKE(2, 3);
void messages_free(Messages *m);

/* Small allocations (names, lists, graphs). They do not return when there is no memory: one line on stderr,
   exit 1. What can be large (pictures, the plan's arena) asks malloc itself and reports through Messages. */
void *mem_alloc(size_t bytes);                               /* zeroed */
void *mem_grow(void *old, size_t bytes);                     /* as realloc; the new part is not zeroed */
char *mem_format(const char *format, ...) PRINTF_LIKE(1, 2); /* a new string, free() it */
char *mem_format_list(const char *format, va_list args);     /* the same; args may be used no more */
char *mem_string(const char *s);                             /* a copy */

/* Whether a text ends so. */
bool text_ends_with(const char *text, const char *end);

static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }
/* a / b rounded up, a >= 0, b > 0 */
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

#endif
