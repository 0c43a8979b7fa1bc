/* SPDX-License-Identifier: MIT */
/* Gives each bad input of this folder to the program as a user would, and tests its messages, its exit
   status, and that no file is half written or lost. TI names the program; run from the repository's root.

       test_bad_input                 runs all cases, and compares tests/bad_input/messages.md with them
       test_bad_input --table         writes the text of tests/bad_input/messages.md to stdout
       test_bad_input --show [TEXT]   shows what the program prints for the cases that have TEXT in them */
#define _DEFAULT_SOURCE
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/text.h"
#include "tests/bad_input/bad_input.h"
#include "tests/command.h"
#include "tests/refusal.h"

#if defined(__SANITIZE_ADDRESS__)
#    define ADDRESS_SANITIZER true
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define ADDRESS_SANITIZER true
#    endif
#endif
#ifndef ADDRESS_SANITIZER
#    define ADDRESS_SANITIZER false
#endif

/* Shell functions for the cases:

       st FILE HEADER [BYTES]   makes a safetensors file with that header and BYTES zeros of data
       swap FILE OLD NEW        replaces OLD in a file by NEW, which must be as long
       json FILE SED            edits a text file with sed, which must change it
       nan FILE                 makes the last number of a file of F16 weights NaN */
static const char HELPERS[] =
    "st() { n=$(printf %s \"$2\" | wc -c); { printf \"\\\\$(printf %03o $((n % 256)))"
    "\\\\$(printf %03o $((n / 256)))\\\\0\\\\0\\\\0\\\\0\\\\0\\\\0\"; printf %s \"$2\"; "
    "head -c ${3:-0} /dev/zero; } >\"$1\"; }\n"
    "swap() { grep -aq -- \"$2\" \"$1\" && LC_ALL=C sed -i \"s|$2|$3|\" \"$1\"; }\n"
    "nan() { printf '\\377\\377' | dd of=\"$1\" bs=1 seek=$(($(wc -c <\"$1\") - 2)) conv=notrunc "
    "2>/dev/null; }\n"
    "json() { cp \"$1\" before && sed -i \"$2\" \"$1\" && ! cmp -s before \"$1\" && rm before; }\n";

/* The beginnings of lines on stderr that report progress or describe the machine. The cases leave them out.
   */
static const char *const NOTES[] = { "ti: model ",
                                     "ti: memory ",
                                     "ti: word ",
                                     "ti: sampler ",
                                     "ti: see ti ",
                                     "denoising ",
                                     "inverting ",
                                     "step ",
                                     "validation picture, step ",
                                     "recomputing the first loss ",
                                     "VAE ",
                                     "encoding ",
                                     "decoding ",
                                     "fixed-grid loss ",
                                     "timing operations ",
                                     "ti: peak memory",
                                     "ti: generate with it",
                                     "ti: in ",
                                     "ti: for more than these ",
                                     "ti: the model has no CLIP ",
                                     "ti: CLIP ",
                                     "ti: drawing ",
                                     "drawing pictures ",
                                     "ti: warning: a template has ",
                                     "ti: warning: OpenBLAS runs its " };

/* The folder with base/, samples/, words/, texts/ and clip/ (the files before each case), case/ (the folder
   of a case, in which the last four are hard links since most cases do not use them), ti, out and err. */
static char *scratch;
static char *untouched; /* the listing of case/ while it is as at the beginning of a case, or NULL */

/* Runs a shell script and returns its exit status, or 128 and the number of the signal that ended it. An
   unprivileged script runs without root's power to ignore permissions, also when root runs the tests. Another
   user would do as well, but within the namespace of tests/mutate there is none. */
static int shell(const char *script, bool unprivileged) {
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (unprivileged && geteuid() == 0 && prctl(PR_SET_SECUREBITS, SECBIT_NOROOT)) _exit(99);
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(98);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void prepare(void) {
    scratch = folder_new();
    char *script = mem_format(
        "set -e\n%s"
        "cp \"$TI\" '%s/ti'; mkdir -p '%s/base'\n"
        "cp -R golden/models/narrow '%s/base/model'\n"
        "cp -R golden/loop_pictures '%s/base/pictures'; cp -R golden/words '%s/words'\n"
        "cp -R golden/picture_text '%s/texts'; cp -R weights/critters/clip '%s/clip'\n"
        "cp -R golden/pictures '%s/samples'; rm '%s/samples/'seed_*\n" /* the fuzzer's */
        "chmod -R u+w '%s/base'; cd '%s/base'\n"
        "st word.safetensors '{\"<w>\":{\"dtype\":\"F32\",\"shape\":[1,24],\"data_offsets\":[0,96]}}' 96\n",
        HELPERS, scratch, scratch, scratch, scratch, scratch, scratch, scratch, scratch, scratch, scratch,
        scratch);
    CHECK(getenv("TI"));
    CHECK(shell(script, false) == 0);
    free(script);
}

/* Returns a list of the names, types, links and permissions of everything in case/, and of the sizes and
   checksums of its files. The caller frees it. */
static char *listing(void) {
    char *script = mem_format("cd '%s/case' && { find . -printf '%%p %%y %%l %%m\\n'; "
                              "find . -type f -size -100M -exec cksum {} +; } | LC_ALL=C sort >../list",
                              scratch);
    CHECK(shell(script, false) == 0);
    free(script);
    char *path = mem_format("%s/list", scratch), *text = read_text(path, NULL);
    free(path);
    return text;
}

static bool is_note(const char *line) {
    for (size_t i = 0; i < sizeof NOTES / sizeof *NOTES; i++)
        if (strncmp(line, NOTES[i], strlen(NOTES[i])) == 0) return true;
    const char *estimate = strstr(line, " s each: about ");
    const char *sanitizer = strstr(line, "WARNING: AddressSanitizer failed to allocate");
    const char *end = line + strcspn(line, "\n");
    return (estimate && estimate < end) || (sanitizer && sanitizer < end);
}

/* Returns the lines of stderr without "ti: ", without NOTES and, unless they are wanted, without warnings. */
static char *faults_of(const char *err, bool warnings) {
    char *out = mem_string("");
    for (const char *line = err; *line;) {
        size_t n = strcspn(line, "\n");
        if (!is_note(line) && (warnings || strncmp(line, "ti: warning: ", 13) != 0)) {
            const char *text = strncmp(line, "ti: ", 4) == 0 ? line + 4 : line;
            char *longer =
                mem_format("%s%s%.*s", out, *out ? "\n" : "", (int)(n - (size_t)(text - line)), text);
            free(out);
            out = longer;
        }
        line += n + (line[n] == '\n');
    }
    return out;
}

/* Returns whether the text fits the pattern, in which * stands for any text within a line. */
static bool matches(const char *pattern, const char *text) {
    for (; *pattern != '*'; pattern++, text++) {
        if (*pattern != *text) return false;
        if (!*pattern) return true;
    }
    for (;; text++) {
        if (matches(pattern + 1, text)) return true;
        if (!*text || *text == '\n') return false;
    }
}

typedef struct {
    int status;
    char *out, *faults, *before, *after;
} Outcome;

/* Makes case/ anew unless the case before has left it as it was, and runs the script of the case in it.
   Returns its listing, which the caller frees. */
static char *make_case(const BadInput *c) {
    if (!untouched || c->make) {
        char *script =
            mem_format("set -e\n%scd '%s'; chmod -R u+rwx case 2>/dev/null || true; rm -rf case; "
                       "mkdir case; cp -R base/* case/; cp -Rl samples words texts clip case/; cd case\n%s\n",
                       HELPERS, scratch, c->make ? c->make : "");
        int made = shell(script, false);
        if (made != 0) printf("FAIL  %s: it cannot be made: %s\n", c->input, c->make);
        CHECK_EQ(made, 0);
        free(script);
        free(untouched);
        untouched = NULL;
    }
    char *before = untouched ? mem_string(untouched) : listing();
    if (!untouched && !c->make) untouched = mem_string(before);
    return before;
}

static Outcome try(const BadInput *c) {
    Outcome o = { .before = make_case(c) };
    char *script;
    const char *limit = c->limit ? c->limit : "";
    if (c->little_memory && !ADDRESS_SANITIZER)
        limit = "ulimit -v 3000000"; /* With AddressSanitizer, main sets another limit instead. */
    /* Standard error goes through a pipe, to which a limit on the size of files does not apply. */
    script = mem_format(
        "cd '%s/case'; umask 22; { (%s\n../ti %s\n) 2>&1 >../out </dev/null; echo $? >../status; } | "
        "cat >../err; exit $(cat ../status)",
        scratch, limit, c->command);
    o.status = shell(script, c->unprivileged);
    free(script);
    o.after = listing();
    if (untouched && strcmp(untouched, o.after) != 0) {
        free(untouched);
        untouched = NULL;
    }
    char *path = mem_format("%s/out", scratch);
    o.out = read_text(path, NULL);
    free(path);
    path = mem_format("%s/err", scratch);
    char *err = read_text(path, NULL);
    o.faults = faults_of(err, c->status == 0);
    free(err);
    free(path);
    return o;
}

static void outcome_free(Outcome *o) {
    free(o->out);
    free(o->faults);
    free(o->before);
    free(o->after);
}

static bool is_there(const char *name) {
    struct stat status;
    char *path = mem_format("%s/case/%s", scratch, name);
    bool yes =
        stat(path, &status) == 0 && status.st_size > 0 && (status.st_mode & 0777) == 0644; /* umask 22 */
    free(path);
    return yes;
}

static void check(const BadInput *c) {
    char *name = mem_format("ti %s: %s", c->command, c->input);
    Outcome o = try(c);
    const char *wrong = NULL;
    if (o.status != c->status) wrong = "another exit status";
    if (!wrong && c->status && !*c->says) wrong = "a case without a message";
    if (!wrong && !matches(c->says, o.faults)) wrong = "another message";
    if (!wrong && c->status && !c->prints && *o.out) wrong = "something on stdout";
    if (!wrong && c->status && !c->makes && strcmp(o.before, o.after) != 0)
        wrong = "a file was changed, created or removed";
    if (!wrong && strstr(o.after, ".tmp-")) wrong = "a temporary file is left";
    if (!wrong && c->makes && !is_there(c->makes)) wrong = "its file does not exist";
    if (wrong)
        test_true(name, false, "%s: status %d, says\n%s\ninstead of status %d,\n%s\n%s", wrong, o.status,
                  o.faults, c->status, c->says, o.out);
    else
        test_true(name, true, "status %d, %s", o.status, c->status ? "says so and changes nothing" : "works");
    outcome_free(&o);
    free(name);
}

static const BadInput *const TABLES[] = { BAD_FILES, BAD_MODELS,  BAD_CONFIGS, BAD_PICTURES, BAD_COMMANDS,
                                          BAD_WORDS, BAD_OUTPUTS, BAD_PROMPTS, BAD_SCORES };
enum { TABLE_COUNT = sizeof TABLES / sizeof *TABLES };

/* The document */

/* Adds code within a cell of a Markdown table. Characters that Markdown would interpret are escaped, and a
   line end becomes a break. */
static void add_code(Text *t, const char *s) {
    char piece[2] = { 0 };
    text_add(t, "<code>");
    for (; *s; s++) {
        piece[0] = *s;
        text_add(t, *s == '|'                  ? "&#124;"
                    : *s == '<'                ? "&lt;"
                    : *s == '>'                ? "&gt;"
                    : *s == '&'                ? "&amp;"
                    : *s == '\n'               ? "</code><br><code>"
                    : *s == '*'                ? "…"
                    : *s == '_' && s[1] == '_' ? "&#95;"
                    : *s == '`'                ? "&#96;"
                    : *s == '\\'               ? "&#92;"
                                               : piece);
    }
    text_add(t, "</code>");
}

static char *document(void) {
    Text t = { 0 };
    text_add(
        &t,
        "# Bad input: what `ti` says\n\n"
        "`make docs` writes this page from the cases that `tests/bad_input/test_bad_input.c` runs in every "
        "`make test`, also with sanitizers; do not edit it. A command that fails ends with this exit "
        "status and prints these lines and no others on standard error, each after `ti: `. It prints "
        "nothing on standard output, writes no file and changes none. The exit status is 1 for an error, "
        "2 for wrong usage and 0 for a command that works. An ellipsis stands for text that differs from "
        "machine to machine.\n");
    for (int i = 0; i < TABLE_COUNT; i++)
        for (const BadInput *c = TABLES[i]; c->input; c++) {
            if (!c->command) {
                text_format(&t, "\n## %s\n\n| Input | Command | What it says | Exit |\n|---|---|---|---|\n",
                            c->input);
                continue;
            }
            text_format(&t, "| %s | ", c->input);
            add_code(&t, c->command);
            text_add(&t, " | ");
            if (*c->says)
                add_code(&t, c->says);
            else
                text_add(&t, "(works)");
            text_format(&t, " | %d |\n", c->status);
        }
    return t.at;
}

static void check_document(void) {
    char *want = document();
    size_t size;
    char *have = access("tests/bad_input/messages.md", R_OK) == 0
                     ? read_text("tests/bad_input/messages.md", &size)
                     : mem_string("");
    test_true("tests/bad_input/messages.md", strcmp(have, want) == 0, "%s",
              strcmp(have, want) == 0 ? "is what these cases say" : "differs from these cases: make docs");
    free(want);
    free(have);
}

static void show(const char *part) {
    for (int i = 0; i < TABLE_COUNT; i++)
        for (const BadInput *c = TABLES[i]; c->input; c++) {
            if (!c->command || !(strstr(c->input, part) || strstr(c->command, part))) continue;
            Outcome o = try(c);
            bool as_expected = o.status == c->status && matches(c->says, o.faults);
            printf("%s %s: ti %s\n    status %d%s%s\n%s\n", as_expected ? "ok   " : "OTHER", c->input,
                   c->command, o.status, *o.out ? ", prints" : "",
                   strcmp(o.before, o.after) ? ", CHANGES FILES" : "", o.faults);
            outcome_free(&o);
        }
}

int main(int argc, char *argv[]) {
    if (argc > 1 && strcmp(argv[1], "--table") == 0) {
        char *text = document();
        fputs(text, stdout);
        free(text);
        return 0;
    }
    prepare();
    /* AddressSanitizer reserves most of the address space, so its own limit on an allocation replaces the
       shell's limit. */
    setenv("ASAN_OPTIONS", "allocator_may_return_null=1:max_allocation_size_mb=2500", 1);
    setenv("OMP_WAIT_POLICY", "passive", 1);
    setenv("LC_ALL", "C", 1);
    setenv("KMP_WARNINGS", "false", 0); /* LLVM's OpenMP would warn of files of its own that are too large. */
    bool showing = argc > 1 && strcmp(argv[1], "--show") == 0;
    if (showing) show(argc > 2 ? argv[2] : "");
    for (int i = 0; i < TABLE_COUNT && !showing; i++)
        for (const BadInput *c = TABLES[i]; c->input; c++)
            if (c->command) check(c);
    folder_remove(scratch);
    free(scratch);
    free(untouched);
    if (showing) return 0;
    check_document();
    return test_finish();
}
