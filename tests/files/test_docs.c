/* Tests that the files and functions which docs/paper.md and docs/traps.md name exist. A reference is a
   file's path in backquotes; a colon behind it begins a list of names in backquotes, separated by commas or
   "and", which have to occur in the file: `nn/vae.c`: `vae_encode`, `vae_decode`. */
#include "io/file.h"
#include "tests/test.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static char *read_text(const char *path) {
    Messages errors = { 0 };
    File file;
    char *text = NULL;
    if (file_read(path, &file, &errors)) {
        text = mem_format("%.*s", (int)file.size, (const char *)file.data);
        file_close(&file);
    }
    messages_free(&errors);
    return text;
}

static bool is_name(const char *s) {
    if (!isalpha((unsigned char)*s) && *s != '_') return false;
    while (isalnum((unsigned char)*s) || *s == '_') s++;
    return !*s;
}

/* Whether a text in backquotes is a path in the repository, such as "nn/vae.c". */
static bool is_path(const char *s) {
    static const char *const endings[] = { ".c", ".h", ".md", ".py", ".sh" };
    if (!strchr(s, '/') || strpbrk(s, " <>*")) return false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (text_ends_with(s, endings[i])) return true;
    return false;
}

/* Whether a name occurs in a text as a whole word. */
static bool has_word(const char *text, const char *word) {
    size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at++) {
        bool begins = at == text || (!isalnum((unsigned char)at[-1]) && at[-1] != '_');
        if (begins && !isalnum((unsigned char)at[length]) && at[length] != '_') return true;
    }
    return false;
}

static bool equals(const char *from, const char *to, const char *text) {
    return (size_t)(to - from) == strlen(text) && strncmp(from, text, strlen(text)) == 0;
}

/* Whether from..to, the text between two quotations, continues the list of a file's names. */
static bool continues(const char *from, const char *to, bool first) {
    if (first) return equals(from, to, ": ") || equals(from, to, ":\n");
    return equals(from, to, ", ") || equals(from, to, ",\n") || equals(from, to, " and ");
}

static void test_page(const char *page) {
    char *text = read_text(page), *path = NULL, *source = NULL;
    test_true(page, text != NULL, "the page can be read");
    int references = 0;
    bool first = true;
    const char *end = text; /* of the quotation before */
    for (const char *from = text; from && (from = strchr(from, '`'));) {
        const char *to = strchr(from + 1, '`');
        if (!to) break;
        char *quoted = mem_format("%.*s", (int)(to - from - 1), from + 1);
        if (is_path(quoted)) {
            free(path);
            free(source);
            path = mem_string(quoted);
            source = read_text(path);
            first = true;
            references++;
            test_true(page, source != NULL, "%s", path);
        } else if (source && is_name(quoted) && continues(end, from, first)) {
            test_true(page, has_word(source, quoted), "%s: %s", path, quoted);
            first = false;
            references++;
        } else {
            free(source);
            source = NULL;
        }
        free(quoted);
        from = end = to + 1;
    }
    test_true(page, references > 20, "%d references", references);
    free(path);
    free(source);
    free(text);
}

int main(void) {
    test_page("docs/paper.md");
    test_page("docs/traps.md");
    return test_finish();
}
