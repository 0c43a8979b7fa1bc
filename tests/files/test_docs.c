/* SPDX-License-Identifier: MIT */
/* Tests that the files and functions exist which the pages for readers of the code name in backquotes.

   In docs/paper.md and docs/traps.md a reference is the path of a file. A colon after it begins a list of
   names, separated by commas or "and", which have to occur in the file: `nn/vae.c`: `vae_encode`,
   `vae_decode`. The other pages name files with or without their folders, also several at once as in
   `ops_*.c`, and functions that may be in any file. */
#define _POSIX_C_SOURCE 200809L
#include "io/file.h"
#include "io/text.h"
#include "tests/test.h"

#include <ctype.h>
#include <glob.h>
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

/* Whether a text in backquotes names files of the repository, such as "vae.c" or "nn/ops_*.c". */
static bool is_file_name(const char *s) {
    static const char *const endings[] = { ".c", ".h", ".md", ".py", ".sh" };
    if (strpbrk(s, " <>")) return false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (text_ends_with(s, endings[i])) return true;
    return false;
}

/* Whether a text in backquotes is the path of one file, such as "nn/vae.c". */
static bool is_path(const char *s) { return is_file_name(s) && strchr(s, '/') && !strchr(s, '*'); }

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

/* Tests a page whose references are paths, each with a list of names. */
static void test_references(const char *page) {
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

/* Whether a file has this name or matches this pattern, in the root or, with any folders, below it. */
static bool file_exists(const char *name) {
    static const char *const folders[] = { "", "*/", "*/*/" };
    bool found = false;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !found; i++) {
        char *pattern = mem_format("%s%s", folders[i], name);
        glob_t paths;
        found = glob(pattern, 0, NULL, &paths) == 0;
        if (found) globfree(&paths);
        free(pattern);
    }
    return found;
}

/* Returns the text of all C files, which the caller frees. */
static char *read_sources(void) {
    static const char *const patterns[] = { "*.c", "*/*.[ch]", "*/*/*.[ch]" };
    Text all = { 0 };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        glob_t paths;
        if (glob(patterns[i], 0, NULL, &paths) != 0) continue;
        for (size_t k = 0; k < paths.gl_pathc; k++) {
            char *text = read_text(paths.gl_pathv[k]);
            if (text) text_add(&all, text);
            free(text);
        }
        globfree(&paths);
    }
    return all.at;
}

/* Tests a page that names files and functions independently. Names such as NAME_forward stand for several
   functions, and the exercises at the end of a page ask for functions that do not exist yet. */
static void test_names(const char *page, const char *sources) {
    char *text = read_text(page);
    test_true(page, text != NULL, "the page can be read");
    char *exercises = text ? strstr(text, "\n## Exercises") : NULL;
    if (exercises) *exercises = 0;
    int names = 0;
    for (const char *from = text; from && (from = strchr(from, '`'));) {
        const char *to = strchr(from + 1, '`');
        if (!to) break;
        char *quoted = mem_format("%.*s", (int)(to - from - 1), from + 1);
        bool file = is_file_name(quoted), name = is_name(quoted) && !strstr(quoted, "NAME");
        if (file) test_true(page, file_exists(quoted), "%s", quoted);
        if (name) test_true(page, has_word(sources, quoted), "%s", quoted);
        names += file || name;
        free(quoted);
        from = to + 1;
    }
    test_true(page, names > 10, "%d names", names);
    free(text);
}

int main(void) {
    static const char *const pages[] = { "docs/tour.md",    "docs/step.md", "docs/autograd.md",
                                         "CONTRIBUTING.md", "SECURITY.md",  "THIRD-PARTY.md" };
    test_references("docs/paper.md");
    test_references("docs/traps.md");
    char *sources = read_sources();
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) test_names(pages[i], sources);
    free(sources);
    return test_finish();
}
