/* SPDX-License-Identifier: MIT */
/* The fuzzer. It runs every parser on damaged, hostile and random input, best in a build with the sanitizers.

       fuzz                                       the inputs in tests/fuzz/crashes/ and a few of each target
       fuzz TARGET|all [--seed S] [--count N]     N inputs (10000) of one target, or of all by their shares
       fuzz TARGET --seed S --from I --count 1    repeats the input number I
       fuzz --file FILE                           one input; its name begins with its target: TARGET-WHAT

   An input depends only on the target, on S and on its number. Child processes do the work and share the
   current input with the parent. When a child crashes, hangs or leaks, the parent writes that input to out/
   and starts the next child after it. */
#define _DEFAULT_SOURCE
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/file.h"
#include "io/hash.h"

enum {
    CHUNK = 20000,      /* inputs for one child; the sanitizer looks for leaks when the child ends */
    SECONDS_MAX = 10,   /* seconds of processor time for one input */
    ROUND = 500000,     /* inputs of all targets together, divided by their shares */
    FAILURES_MAX = 20,  /* a target that has failed this often is not run any more */
    TRIED_IN_TEST = 300 /* inputs of each target in `make test` */
};

static const Target *const LISTS[] = { WEIGHTS_TARGETS, CONFIG_TARGETS, TEXT_TARGETS,   PICTURE_TARGETS,
                                       RUN_TARGETS,     MODEL_TARGETS,  PROMPT_TARGETS, TORCH_TARGETS };
enum { LIST_COUNT = sizeof LISTS / sizeof *LISTS, TARGETS_MAX = 64 };

typedef struct {
    const Target *target;
    Seeds seeds;
    int64_t inputs, accepted, failures;
} Entry;

/* Memory that parent and child share. */
typedef struct {
    int64_t number, accepted;
    bool done; /* all inputs have been parsed, so that a later failure is a leak */
    Input input;
} Shared;

typedef struct {
    Entry entries[TARGETS_MAX];
    int count;
    Shared *shared;
    uint64_t seed;
} Fuzzer;

/* ---- seeds ---- */

static Bytes bytes_new(const void *data, size_t size) {
    Bytes b = { malloc(size ? size : 1), size };
    CHECK(b.at);
    if (size) memcpy(b.at, data, size);
    return b;
}

void seeds_add(Seeds *s, const void *bytes, size_t size) {
    CHECK(size <= INPUT_MAX);
    s->at = mem_grow(s->at, (size_t)(s->count + 1) * sizeof *s->at);
    s->at[s->count++] = bytes_new(bytes, size);
}

void seeds_text(Seeds *s, const char *text) { seeds_add(s, text, strlen(text)); }

void seeds_file(Seeds *s, const char *path) {
    File file;
    Messages errors = { 0 };
    if (!file_map(path, &file, &errors)) {
        fprintf(stderr, "%s", errors.text);
        exit(1);
    }
    seeds_add(s, file.data, file.size);
    file_close(&file);
}

void seeds_parts(Seeds *s, int count, const char *const *texts) {
    char *all = mem_string(texts[0]);
    for (int i = 1; i < count; i++) {
        char *more = mem_format("%s%c%s", all, PART_END, texts[i]);
        free(all);
        all = more;
    }
    seeds_text(s, all);
    free(all);
}

/* ---- functions for the targets ---- */

Bytes next_part(Bytes *rest, bool last) {
    const unsigned char *end = last || !rest->size ? NULL : memchr(rest->at, PART_END, rest->size);
    size_t size = end ? (size_t)(end - rest->at) : rest->size;
    Bytes part = bytes_new(rest->at, size);
    rest->at += size + (end != NULL);
    rest->size -= size + (end != NULL);
    return part;
}

static void check_lines(const Messages *m) {
    int lines = 0;
    for (size_t i = 0; i < m->length; i++) {
        unsigned char c = (unsigned char)m->text[i];
        CHECK(c == '\n' || (c >= ' ' && c != 0x7f));
        /* A terminal takes some of U+0080 to U+009F as the beginning of a command. */
        CHECK(c != 0xc2 || (unsigned char)m->text[i + 1] < 0x80 || (unsigned char)m->text[i + 1] > 0x9f);
        CHECK(c != '\n' || (i > 0 && m->text[i - 1] != '\n'));
        lines += c == '\n';
    }
    CHECK_EQ(lines, m->count);
}

bool verdict(bool ok, Messages *errors, Messages *warnings) {
    CHECK(ok == (errors->count == 0));
    check_lines(errors);
    if (warnings) check_lines(warnings);
    if (warnings) messages_free(warnings);
    messages_free(errors);
    return ok;
}

bool one_in(const unsigned char *bytes, size_t size, uint64_t n) {
    return hash_bytes(HASH_START, bytes, size) % n == 0;
}

/* The parent sets the path, so that all children of a run use the same file. */
static char scratch[100];
const char *scratch_path(void) { return scratch; }

void touch(const void *data, size_t size) {
    const volatile unsigned char *bytes = data;
    if (size) (void)(bytes[0] + bytes[size - 1]);
}

/* ---- one input ---- */

static bool try_input(const Target *t, const Input *in) {
    Bytes exact = bytes_new(in->bytes, in->size);
    const struct itimerval limit = { .it_value.tv_sec = SECONDS_MAX };
    CHECK(setitimer(ITIMER_PROF, &limit, NULL) == 0); /* SIGPROF ends the process */
    bool accepted = t->parse(exact.at, exact.size);
    free(exact.at);
    return accepted;
}

static void make_input(const Fuzzer *f, const Entry *e, int64_t number, Input *in) {
    uint64_t name = hash_bytes(HASH_START, e->target->name, strlen(e->target->name));
    Random r = { (hash_bytes(name, &f->seed, sizeof f->seed) + (uint64_t)number) * 0x9e3779b97f4a7c15u | 1 };
    draw(&r, 2); /* the first number is hardly random */
    const Seeds *from = draw(&r, 50) ? &e->seeds : &f->entries[draw(&r, (uint64_t)f->count)].seeds;
    const Bytes *seed = &from->at[draw(&r, (uint64_t)from->count)];
    in->size = draw(&r, 200) ? seed->size : 0; /* rarely starts from an empty input */
    memcpy(in->bytes, seed->at, in->size);
    input_mutate(in, &e->seeds, e->target->words, &r);
    if (e->target->repair && draw(&r, 8)) e->target->repair(in, &r);
}

/* ---- children ---- */

static int wait_for(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

/* Writes the current input to out/ and reports it; how is "crash", "hang" or "leak". */
static void save(const Fuzzer *f, const Entry *e, const char *how) {
    Messages errors = { 0 };
    char *path = mem_format("out/%s-%s-%llu-%lld", e->target->name, how, (unsigned long long)f->seed,
                            (long long)f->shared->number);
    bool ok = folder_make("out", &errors) &&
              file_write(path, f->shared->input.bytes, f->shared->input.size, &errors);
    fprintf(stderr, "fuzz: %s %s at --seed %llu --from %lld: %s\n", e->target->name, how,
            (unsigned long long)f->seed, (long long)f->shared->number, ok ? path : errors.text);
    messages_free(&errors);
    free(path);
}

/* Runs the inputs from..end-1 in a child process. Returns the number of the input that ended the child early,
   or `end` when the child parsed all of them. */
static int64_t run_child(const Fuzzer *f, const Entry *e, int64_t from, int64_t end, int *status) {
    Shared *s = f->shared;
    s->done = false;
    s->number = from;
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (; s->number < end; s->number++) {
            make_input(f, e, s->number, &s->input);
            s->accepted += try_input(e->target, &s->input);
        }
        s->done = true;
        exit(0);
    }
    *status = wait_for(child);
    return s->number;
}

/* Runs all inputs from..end-1 and continues after failures. Bisection finds the input that causes a leak. */
static void run_range(const Fuzzer *f, Entry *e, int64_t from, int64_t end) {
    while (from < end && e->failures < FAILURES_MAX) {
        int status;
        int64_t number = run_child(f, e, from, end, &status);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
        if (f->shared->done && end - from > 1) {
            run_range(f, e, from, from + (end - from) / 2);
            run_range(f, e, from + (end - from) / 2, end);
            return;
        }
        bool hangs = WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF;
        f->shared->number = min_i64(number, end - 1);
        save(f, e, f->shared->done ? "leak" : hangs ? "hang" : "crash");
        e->failures++;
        from = number + 1;
    }
}

static void run_target(Fuzzer *f, Entry *e, int64_t from, int64_t count) {
    for (int64_t at = from, end = from + count, next; at < end && e->failures < FAILURES_MAX; at = next) {
        next = min_i64(at + CHUNK, end);
        f->shared->accepted = 0;
        run_range(f, e, at, next);
        e->inputs += next - at;
        e->accepted += f->shared->accepted;
        if (isatty(2)) fprintf(stderr, "\r%-16s %lld  ", e->target->name, (long long)e->inputs);
    }
    if (isatty(2)) fputc('\r', stderr);
}

/* ---- files ---- */

/* Returns the target of a file named TARGET-WHAT, or exits with status 2 if there is none. */
static Entry *target_of(Fuzzer *f, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (int i = 0; i < f->count; i++) {
        const char *target = f->entries[i].target->name;
        if (strncmp(name, target, strlen(target)) == 0 && strchr("-", name[strlen(target)]))
            return &f->entries[i];
    }
    fprintf(stderr, "fuzz: %s: the file's name does not begin with the name of a target\n", path);
    exit(2);
}

/* Parses a file's content in a child process. Returns whether the child ended normally. */
static bool run_file(Fuzzer *f, const char *path) {
    const Entry *e = target_of(f, path);
    File file;
    Messages errors = { 0 };
    if (!file_map(path, &file, &errors) || file.size > INPUT_MAX) {
        fprintf(stderr, "fuzz: %s\n", errors.text ? errors.text : "too large");
        exit(2);
    }
    f->shared->input.size = file.size;
    memcpy(f->shared->input.bytes, file.data, file.size);
    file_close(&file);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        try_input(e->target, &f->shared->input);
        exit(0);
    }
    int status = wait_for(child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Runs what `make test` runs, and returns the exit status. */
static int run_as_test(Fuzzer *f) {
    int passed = 0, failed = 0;
    struct dirent **names;
    int files = scandir("tests/fuzz/crashes", &names, NULL, alphasort);
    CHECK(files >= 0);
    for (int i = 0; i < files; i++) {
        if (names[i]->d_name[0] != '.') {
            char *path = mem_format("tests/fuzz/crashes/%s", names[i]->d_name);
            bool ok = run_file(f, path);
            printf("%s    %s\n", ok ? "ok  " : "FAIL", path);
            *(ok ? &passed : &failed) += 1;
            free(path);
        }
        free(names[i]);
    }
    free(names);
    for (int i = 0; i < f->count; i++) {
        Entry *e = &f->entries[i];
        run_target(f, e, 0, TRIED_IN_TEST);
        bool ok = !e->failures && e->accepted > 0 && e->accepted < e->inputs;
        printf("%s    %s: %lld of %lld inputs accepted, %lld failures\n", ok ? "ok  " : "FAIL",
               e->target->name, (long long)e->accepted, (long long)e->inputs, (long long)e->failures);
        *(ok ? &passed : &failed) += 1;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}

/* ---- the command line ---- */

static void fuzzer_open(Fuzzer *f) {
    for (int i = 0; i < LIST_COUNT; i++)
        for (const Target *t = LISTS[i]; t->name; t++) {
            CHECK(f->count < TARGETS_MAX && !strchr(t->name, '-'));
            Entry *e = &f->entries[f->count++];
            e->target = t;
            t->seeds(&e->seeds);
        }
    f->shared = mmap(NULL, sizeof *f->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(f->shared != MAP_FAILED);
}

static void fuzzer_close(Fuzzer *f) {
    for (int i = 0; i < f->count; i++) {
        for (int j = 0; j < f->entries[i].seeds.count; j++) free(f->entries[i].seeds.at[j].at);
        free(f->entries[i].seeds.at);
    }
    munmap(f->shared, sizeof *f->shared);
    unlink(scratch);
}

static void print_entry(const Entry *e) {
    printf("%-16s %10lld inputs, %5.1f %% accepted, %lld failures\n", e->target->name, (long long)e->inputs,
           100.0 * (double)e->accepted / (double)max_i64(e->inputs, 1), (long long)e->failures);
}

/* Runs one target, or all by their shares when name is "all". They run in rounds, so that a run that is
   stopped early has tried all targets. Returns the exit status. */
static int run_targets(Fuzzer *f, const char *name, int64_t from, int64_t count) {
    int64_t shares = 0, inputs = 0, failures = 0;
    bool all = strcmp(name, "all") == 0;
    for (int i = 0; i < f->count; i++) shares += f->entries[i].target->share;
    for (int64_t left = count, round; left > 0; left -= round) {
        round = min_i64(left, ROUND);
        inputs = failures = 0;
        for (int i = 0; i < f->count; i++) {
            Entry *e = &f->entries[i];
            if (!all && strcmp(e->target->name, name) != 0) continue;
            run_target(f, e, from + e->inputs, all ? ceil_div(round * e->target->share, shares) : round);
            if (left == round) print_entry(e);
            inputs += e->inputs;
            failures += e->failures;
        }
        printf("%lld inputs, %lld failures\n", (long long)inputs, (long long)failures);
        fflush(stdout);
    }
    return failures || !inputs ? 1 : 0;
}

int main(int argc, char **argv) {
    const char *name = NULL, *file = NULL;
    int64_t from = 0, count = 10000;
    Fuzzer *f = mem_alloc(sizeof *f);
    f->seed = 1;
    for (int i = 1; i < argc; i++) {
        bool valued = i + 1 < argc;
        if (valued && strcmp(argv[i], "--seed") == 0)
            f->seed = strtoull(argv[++i], NULL, 10);
        else if (valued && strcmp(argv[i], "--from") == 0)
            from = strtoll(argv[++i], NULL, 10);
        else if (valued && strcmp(argv[i], "--count") == 0)
            count = strtoll(argv[++i], NULL, 10);
        else if (valued && strcmp(argv[i], "--file") == 0)
            file = argv[++i];
        else if (!name && argv[i][0] != '-')
            name = argv[i];
        else {
            fprintf(stderr, "usage: fuzz [TARGET|all] [--seed S] [--from I] [--count N] | --file FILE\n");
            return 2;
        }
    }
    omp_set_num_threads(1); /* OpenMP's threads do not exist in a forked child */
    const char *folder = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%.60s/ti-fuzz-%ld", folder ? folder : "/tmp", (long)getpid());
    fuzzer_open(f);
    int status = file   ? (run_file(f, file) ? 0 : 1)
                 : name ? run_targets(f, name, from, count)
                        : run_as_test(f);
    fuzzer_close(f);
    free(f);
    return status;
}
