/* SPDX-License-Identifier: MIT */
/* Runs short commands many times, and each time lets one other allocation, read, write or other call fail
   (tests/commands/failing.c). The program must end with status 1 and a message, or do its work in spite of
   the failure. It must never end by a signal, and every file that existed must be unchanged or as the command
   makes it. TI_FAILING names the program; by default it is the path in TI followed by "_failing". Run from
   the repository's root.

       test_failures [NAME]                    fails the first calls of a kind, then ever fewer (next_call)
       test_failures --all [--from N] [NAME]   fails every call; of kinds that are called thousands of times,
                                               those from the N-th (the first 16,000 load the model and are
                                               the same in all commands)

   With NAME only commands whose name contains it are run. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/run_folder.h"
#include "inversion/state.h"
#include "io/image.h"
#include "tests/command.h"
#include "tests/refusal.h"

/* A command, which is run in a folder with the files that the shell script `start` makes. Its inputs are in
   ../in. */
typedef struct {
    const char *name, *start, *command;
    const char *kinds; /* the names of the kinds of calls that fail, or NULL for all */
} Command;

#define MODEL "--model ../in/model "
#define ONE   "--threads 1 "
#define TRAIN                                                                                                \
    "train " MODEL ONE                                                                                       \
    "--images ../in/pictures --token '<g>' --init a --steps 1 --checkpoint-every 1 --grid-loss 0 "           \
    "--validation-prompt 'a <g>' --sampling-steps 1 --out run "

static const Command COMMANDS[] = {
    { "inspect a folder", NULL, "inspect ../in/model --tensors", NULL },
    { "inspect a folder, JSON", NULL, "inspect ../in/model --json", NULL },
    { "inspect a word", NULL, "inspect ../in/word.safetensors " MODEL, NULL },
    { "inspect a word of torch", NULL, "inspect ../in/word.pt " MODEL, NULL },
    { "convert to a1111", "echo mine >x.pt", "convert ../in/old.pt --to a1111 --force --out x.pt", NULL },
    { "convert to a picture", "echo mine >x.png", "convert ../in/word.pt --to a1111-png --force --out x.png",
      NULL },
    { "mix", "echo mine >x.safetensors",
      "mix ../in/word.pt:2 ../in/word.png --norm median " MODEL "--force --out x.safetensors", NULL },
    { "tokens", NULL, "tokens " MODEL "--embedding ../in/word.safetensors 'a <w>'", NULL },
    { "tokens, JSON", NULL, "tokens " MODEL "--json 'a toy'", NULL },
    { "sheet", "echo mine >x.png",
      "sheet --out x.png --force --title t row ../in/pictures/1.png ../in/pictures/2.jpg", NULL },
    { "reconstruct", "echo mine >x.png",
      "reconstruct " MODEL ONE "--center-crop --force ../in/pictures/2.jpg x.png", NULL },
    { "generate", "echo mine >x-1.png; echo mine >x-grid.png",
      "generate " MODEL ONE "--embedding ../in/word.safetensors --prompt 'a <w>' --sampler dpm++2m-sde "
      "--karras --steps 1 --count 2 --grid --force --out "
      "x.png",
      NULL },
    { "generate from given noise", NULL,
      "generate " MODEL ONE "--latents ../in/latents.safetensors --prompt toy --steps 1 --clip-skip 2 --out "
      "x.png",
      NULL },
    { "generate from a picture", "echo mine >x-preview.png",
      "generate " MODEL ONE
      "--init-image ../in/pictures/2.jpg --width 16 --height 8 --prompt toy --sampler ddim "
      "--steps 4 --strength 0.5 --preview 1 --force --out x.png",
      NULL },
    { "generate in a mask", NULL,
      "generate " MODEL ONE
      "--init-image ../in/pictures/2.jpg --mask ../in/pictures/2.jpg --width 16 --height 8 "
      "--prompt toy --steps 1 --out x.png",
      NULL },
    { "invert", "echo mine >x.safetensors",
      "invert " MODEL ONE "../in/pictures/2.jpg --width 16 --height 8 --prompt toy --steps 1 --force --out "
      "x.safetensors",
      NULL },
    { "generate from a file of prompts", "printf '(a:1.2) BREAK <w>\\nat\\ta\\n' >p.txt",
      "generate " MODEL ONE
      "--embedding ../in/word.safetensors --prompts p.txt --prompt-syntax a1111 --steps 1 "
      "--out x.png",
      NULL },
    { "generate a picture again",
      "../ti generate " MODEL ONE "--embedding ../in/word.safetensors --prompt 'a <w>' --steps 1 --count 2 "
      "--out a.jpg >/dev/null 2>&1; echo mine >x.jpg",
      "generate --like a-2.jpg " ONE "--force --out x.jpg", "malloc open read write fopen rename" },
    { "inspect a picture", NULL, "inspect ../in/text.png", NULL },
    { "evaluate", NULL,
      "evaluate " MODEL ONE "--images ../in/pictures --embedding ../in/word.safetensors --batch 2", NULL },
    { "score pictures", NULL,
      "evaluate " ONE "--images ../in/pictures --pictures ../in/pictures --clip ../in/clip --text a", NULL },
    { "plan", NULL, "plan " MODEL ONE "--summary", NULL },
    { "train", NULL, TRAIN, NULL },
    { "train over another run",
      "mkdir run; for f in g.safetensors learned_embeds.safetensors latents.safetensors losses.csv "
      "options.json loss.png; do "
      "echo mine >run/$f; done",
      TRAIN "--force --stop auto", "write fsync rename linkat kill" },
    { "help", NULL, "help --man", NULL },
};

/* The kinds of calls. Of those that are not rare a command makes thousands, all in mem_alloc and mem_grow. */
static const struct Kind {
    const char *name;
    bool rare;
} KINDS[] = {
    { "malloc", true }, { "calloc", false },     { "realloc", false }, { "aligned_alloc", true },
    { "mmap", true },   { "open", true },        { "read", true },     { "write", true },
    { "short", true },  { "interrupted", true }, { "fsync", true },    { "close", true },
    { "rename", true }, { "linkat", true },      { "kill", true },     { "mkdir", true },
    { "fopen", true },  { "fflush", true },      { "opendir", true },
};

/* The folder with in/ (the inputs), start/ (the files before the command), done/ (the files after it without
   a failure), case/ (the folder where it runs), and the files ti, out and err. */
static char *scratch;

static char *in_scratch(const char *name) { return mem_format("%s/%s", scratch, name); }

static int shell(const char *format, ...) PRINTF_LIKE(1, 2);

static int shell(const char *format, ...) {
    char script[4000];
    va_list args;
    va_start(args, format);
    CHECK(vsnprintf(script, sizeof script, format, args) < (int)sizeof script);
    va_end(args);
    int status = system(script);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void prepare(void) {
    const char *failing = getenv("TI_FAILING"), *ti = getenv("TI");
    CHECK(failing || ti);
    scratch = folder_new();
    char *program = failing ? mem_string(failing) : mem_format("%s_failing", ti);
    CHECK(shell("set -e; cp '%s' '%s/ti'; mkdir '%s/in' '%s/in/pictures'; cp -R golden/models/narrow "
                "'%s/in/model'; cp golden/pictures/rgba.png '%s/in/pictures/1.png'; cp "
                "golden/pictures/turned6.jpg '%s/in/pictures/2.jpg'; cp golden/words/a1111.pt "
                "'%s/in/word.pt'; cp golden/words/a1111_old.pt '%s/in/old.pt'; cp golden/words/a1111.png "
                "'%s/in/word.png'; cp golden/latents.safetensors '%s/in'; cp golden/picture_text/ti.png "
                "'%s/in/text.png'; ln -s \"$PWD/weights/critters/clip\" '%s/in'; cd '%s/in'; { printf "
                "'\\100\\0\\0\\0\\0\\0\\0\\0'; printf '%%-64s' "
                "'{\"<w>\":{\"dtype\":\"F32\",\"shape\":[1,24],\"data_offsets\":[0,96]}}'; head -c 96 "
                "/dev/zero; } >word.safetensors",
                program, scratch, scratch, scratch, scratch, scratch, scratch, scratch, scratch, scratch,
                scratch, scratch, scratch, scratch) == 0);
    free(program);
}

/* Folders are copied, removed and compared in C, since starting a shell for each of thousands of runs would
   take long. */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static void remove_folder(const char *name) {
    char *path = in_scratch(name);
    if (access(path, F_OK) == 0) CHECK(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
    free(path);
}

/* The paths of the files in a folder and its subfolders, relative to the folder. */
enum { FILES_MAX = 64 };
typedef struct {
    char *names[FILES_MAX];
    int count;
} Names;

static Names names;       /* filled by collect */
static size_t names_skip; /* length of the folder's path, which the names leave out */

static int collect(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)status;
    (void)place;
    if (type != FTW_F) return 0;
    CHECK(names.count < FILES_MAX);
    names.names[names.count++] = mem_string(path + names_skip);
    return 0;
}

static Names names_of(const char *folder) {
    char *path = in_scratch(folder);
    names = (Names) { 0 };
    names_skip = strlen(path) + 1;
    CHECK(nftw(path, collect, 16, FTW_PHYS) == 0);
    free(path);
    return names;
}

static void names_free(Names *n) {
    for (int i = 0; i < n->count; i++) free(n->names[i]);
}

/* Reads FOLDER/NAME. Returns false when there is no such file. */
static bool content(const char *folder, const char *name, char **bytes, size_t *size) {
    char *path = mem_format("%s/%s/%s", scratch, folder, name);
    bool there = access(path, F_OK) == 0;
    if (there) *bytes = read_text(path, size);
    free(path);
    return there;
}

/* Makes case/ a copy of start/, which has files and at most one level of folders. */
static void copy_start(void) {
    char *folder = in_scratch("case");
    Messages errors = { 0 };
    remove_folder("case");
    CHECK(mkdir(folder, 0777) == 0);
    free(folder);
    Names start = names_of("start");
    for (int i = 0; i < start.count; i++) {
        char *bytes, *path = mem_format("%s/case/%s", scratch, start.names[i]), *slash = strrchr(path, '/');
        size_t size;
        CHECK(content("start", start.names[i], &bytes, &size));
        *slash = 0;
        CHECK(mkdir(path, 0777) == 0 || errno == EEXIST);
        *slash = '/';
        FILE *file = fopen(path, "w");
        CHECK(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
        free(bytes);
        free(path);
    }
    names_free(&start);
    messages_free(&errors);
}

static bool same(const char *a, const char *b, const char *name) {
    char *x = NULL, *y = NULL;
    size_t n = 0, m = 0;
    bool ok = content(a, name, &x, &n) && content(b, name, &y, &m) && n == m && memcmp(x, y, n) == 0;
    free(x);
    free(y);
    return ok;
}

/* Returns whether a file is complete, but of fewer steps, as a run that failed leaves it: losses.csv with the
   first lines, loss.png, or the state that --resume goes on from. */
static bool shorter(const char *name) {
    char *x = NULL, *y = NULL;
    size_t n = 0, m = 0;
    bool ok = false;
    if (strcmp(name, "run/losses.csv") == 0)
        ok = content("case", name, &x, &n) && content("done", name, &y, &m) && n && n <= m &&
             memcmp(x, y, n) == 0 && x[n - 1] == '\n';
    if (strcmp(name, "run/loss.png") == 0) {
        Messages errors = { 0 };
        Image plot = { 0 };
        ok = content("case", name, &x, &n) && image_decode(x, n, name, &plot, &errors);
        image_free(&plot);
        messages_free(&errors);
    }
    if (strcmp(name, "run/" RUN_STATE) == 0) {
        Messages errors = { 0 };
        RunState state = { 0 };
        ok = content("case", name, &x, &n) && state_parse(name, (const unsigned char *)x, n, &state, &errors);
        state_free(&state);
        messages_free(&errors);
    }
    free(x);
    free(y);
    return ok;
}

/* Returns a text that says what is wrong with the files in case/, which the caller frees, or NULL when all
   are right. `finished` tells whether the command succeeded, by its exit status. */
static char *wrong_files(bool finished) {
    char *wrong = NULL;
    Names all = names_of("case");
    for (int i = 0; i < all.count && !wrong; i++) {
        const char *name = all.names[i];
        bool fine =
            same("case", "done", name) || (!finished && (same("case", "start", name) || shorter(name)));
        if (!fine) wrong = mem_format("%s is neither unchanged nor as the command makes it", name);
    }
    names_free(&all);
    all = names_of(finished ? "done" : "start");
    for (int i = 0; i < all.count && !wrong; i++)
        if (!same("case", "case", all.names[i])) wrong = mem_format("%s is gone", all.names[i]);
    names_free(&all);
    return wrong;
}

/* Runs the command in case/ with the n-th call of a kind failing. Sets *failed to whether there was such
   a call. */
static int run(const char *command, const char *kind, long n, bool *failed) {
    char *mark = in_scratch("failed");
    unlink(mark);
    bool allocation = strstr(kind, "alloc") != NULL; /* It ends the program at once, and nothing is freed. */
    int status =
        shell("cd '%s/case'; export TI_FAIL=%s:%ld TI_FAILED=../failed; ASAN_OPTIONS=detect_leaks=%d; export "
              "ASAN_OPTIONS; exec ../ti %s >../out 2>../err </dev/null",
              scratch, kind, n, !allocation, command);
    *failed = access(mark, F_OK) == 0;
    free(mark);
    return status;
}

/* Returns a text that says what is wrong with a run, which the caller frees, or NULL when nothing is. `want`
   is what the run must print when it succeeds, and `killed` tells whether the test ended it. */
static char *wrong_run(int status, const char *want, bool killed) {
    if (killed)
        return status == 128 + SIGKILL ? wrong_files(false) : mem_format("killed, and status %d", status);
    if (status > 128) return mem_format("signal %d", status - 128);
    if (status != 0 && status != 1) return mem_format("status %d", status);
    char *path = in_scratch("err"), *err = read_text(path, NULL), *wrong = NULL;
    free(path);
    path = in_scratch("out");
    char *out = read_text(path, NULL);
    free(path);
    bool told = false;
    for (const char *line = err; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        told = told || strncmp(line, "ti: ", 4) == 0;
    if (status == 1 && !told) wrong = mem_string("no message says why");
    if (status == 0 && want && strcmp(out, want) != 0)
        wrong = mem_string("it succeeds and prints something else");
    if (!wrong) wrong = wrong_files(status == 0);
    if (wrong && *err) {
        char *longer = mem_format("%s: %s", wrong, err);
        free(wrong);
        wrong = longer;
    }
    free(err);
    free(out);
    return wrong;
}

/* Returns the number of the call to fail after the n-th. The first 16 calls of each kind fail in turn.
   After them follow, of a rare kind, every third call and later every n/8-th, and of another kind those
   whose numbers are 32, 64, 128 and so on. With QUICK, which .ci/run sets for sanitizers, the latter holds
   for all kinds and begins at 4. */
static long next_call(long n, bool rare, bool all) {
    bool quick = getenv("QUICK");
    if (all || n < (quick ? 4 : 16)) return n + 1;
    return rare && !quick ? n + (n > 24 ? n / 8 : 3) : 2 * n;
}

/* Returns whether the file system has files without a name (O_TMPFILE). Without them a killed program leaves
   its temporary file. */
static bool leaves_nothing(void) {
    int file = -1;
#ifdef O_TMPFILE
    file = open(scratch, O_WRONLY | O_TMPFILE, 0666);
    if (file >= 0) close(file);
#endif
    return file >= 0;
}

/* Tells which calls fail: whether all of them do, and from which on for kinds that are not rare. */
typedef struct {
    bool all;
    long from;
} Which;

static void test_kind(const Command *c, const struct Kind *kind, const char *out, Which which) {
    bool kill = strcmp(kind->name, "kill") == 0;
    if ((kill && !leaves_nothing()) || (c->kinds && !strstr(c->kinds, kind->name))) return;
    long tried = 0, tolerated = 0, calls = 0;
    int wrong_ones = 0;
    for (long n = kind->rare ? 1 : which.from;; n = next_call(n, kind->rare, which.all)) {
        bool failed;
        copy_start();
        int status = run(c->command, kind->name, n, &failed);
        if (!failed && !tried && n > 1) { /* --from names a call that does not come: begin with the first. */
            n = 0;
            continue;
        }
        if (!failed) break;
        char *wrong = wrong_run(status, out, kill);
        if (wrong && wrong_ones++ < 3)
            test_true(c->name, false, "ti %s with the %s number %ld failing: %s", c->command, kind->name, n,
                      wrong);
        free(wrong);
        tried++;
        tolerated += status == 0;
        calls = n;
    }
    if (!tried && !wrong_ones) return;
    char *name = mem_format("%s: %s", c->name, kind->name);
    test_true(name, wrong_ones == 0, "%ld failures up to call %ld, %ld tolerated, %d wrong", tried, calls,
              tolerated, wrong_ones);
    free(name);
}

static void test_command(const Command *c, Which which) {
    remove_folder("start");
    remove_folder("done");
    CHECK(shell("mkdir '%s/start' && cd '%s/start' && { %s; }", scratch, scratch,
                c->start ? c->start : "true") == 0);
    copy_start();
    bool failed;
    int status = run(c->command, "nothing", 1, &failed);
    char *path = in_scratch("out"), *out = read_text(path, NULL);
    test_true(c->name, status == 0 && !failed, "without a failure: status %d", status);
    free(path);
    if (status == 0) {
        CHECK(shell("cp -R '%s/case' '%s/done'", scratch, scratch) == 0);
        for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k++) test_kind(c, &KINDS[k], out, which);
    }
    free(out);
}

int main(int argc, char *argv[]) {
    Which which = { .from = 1 };
    int next = 1;
    if (next < argc && strcmp(argv[next], "--all") == 0) which.all = ++next;
    if (next + 1 < argc && strcmp(argv[next], "--from") == 0)
        which.from = strtol(argv[next + 1], NULL, 10), next += 2;
    const char *part = next < argc ? argv[next] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    setenv("LC_ALL", "C", 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    prepare();
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++)
        if (strstr(COMMANDS[i].name, part)) test_command(&COMMANDS[i], which);
    folder_remove(scratch);
    free(scratch);
    return test_finish();
}
