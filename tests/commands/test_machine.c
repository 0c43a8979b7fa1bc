/* SPDX-License-Identifier: MIT */
/* Tests the program in unusual conditions: with signals during long work, with closed descriptors and with
   little memory. A run that is stopped and resumed must end with the same bytes as one that nothing stops. */
#define _DEFAULT_SOURCE /* usleep */
#include "tests/command.h"
#include "tests/refusal.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *folder;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Returns the text of a file in FOLDER, or "" when it does not exist. The caller frees it. */
static char *text_at(const char *name) {
    char *path = mem_format("%s/%s", folder, name);
    char *text = access(path, F_OK) == 0 ? read_text(path, NULL) : mem_string("");
    free(path);
    return text;
}

static bool has(const char *name, const char *what) {
    char *text = text_at(name);
    bool found = strstr(text, what) != NULL;
    free(text);
    return found;
}

static bool exists(const char *name) {
    char *path = mem_format("%s/%s", folder, name);
    bool yes = access(path, F_OK) == 0;
    free(path);
    return yes;
}

/* Runs a shell command in FOLDER and returns its exit status. $TI is the program and $ROOT the repository. */
static int shell(const char *format, ...) PRINTF_LIKE(1, 2);
static int shell(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char line[2000];
    int length = snprintf(line, sizeof line, "cd '%s' && ", folder);
    vsnprintf(line + length, sizeof line - (size_t)length, format, args);
    va_end(args);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Signals */

/* Starts `ti train OPTIONS` in the background. Its standard output is appended to FOLDER/stdout, and its
   standard error replaces FOLDER/stderr. */
static pid_t start_training(const char *options, bool nohup) {
    char *line = mem_format("cd '%s' && exec \"$TI\" train %s >>stdout 2>stderr", folder, options);
    fflush(stdout);
    shell("rm -f stderr");
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGINT, SIG_DFL); /* It is ignored in a background job of a shell. */
        signal(SIGHUP, nohup ? SIG_IGN : SIG_DFL);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    free(line);
    return child;
}

/* Waits until a file contains a text and returns true. After a minute kills the child and returns false. */
static bool wait_for(pid_t child, const char *name, const char *text) {
    for (double start = seconds(); seconds() - start < 60; usleep(2000))
        if (exists(name) && has(name, text)) return true;
    kill(child, SIGKILL);
    return false;
}

/* Waits for the end of the child, and sets *took to the seconds until then. Returns the exit status, or 1000
   plus the number of the signal that ended it. */
static int wait_end(pid_t child, double *took) {
    double start = seconds();
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    *took = seconds() - start;
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

#define TRAIN "--token '<grum>' --init critter --images pictures --resolution 64 --batch 1 "
#define LONG                                                                                                 \
    TRAIN "--steps 3 --repeats 1 --grid-loss 2 --validation-prompt 'a <grum>' --validation-every 2 "         \
          "--sampling-steps 20 --guidance 1 "

/* The places where one run is stopped and resumed: in the validation picture of step 2, in the fixed-grid
   loss of step 2, and in the fixed-grid loss at the end. Each signal is sent when a file contains a text that
   the run writes just before. */
typedef struct {
    const char *name, *file, *text; /* the signal is sent when the file contains the text */
    int signal_number;
    const char *stopped;     /* what the run prints on stderr */
    const char *not_made;    /* a file that must not exist afterwards */
    const char *not_printed; /* a text that must not have been printed */
} Stop;

static const Stop STOPS[] = {
    { "in a picture", "run/losses.csv", "\n2,", SIGTERM, "stopped at step 2 of 3", "run/validation-2.png",
      "fixed-grid" },
    { "in the fixed-grid loss of a step", "run/validation-2.png", "", SIGHUP, "stopped at step 2 of 3",
      "run/validation-3.png", "step 2: fixed-grid" },
    { "in the fixed-grid loss of the end", "run/validation-3.png", "", SIGINT, "stopped at step 3 of 3",
      "run/grum.safetensors", " before, " },
};

static void test_stops(void) {
    double took;
    int status = shell("\"$TI\" train " LONG "--out whole >whole.txt 2>stderr");
    test_true("a run that nothing stops", status == 0, "exit status %d", status);
    for (size_t i = 0; i < sizeof STOPS / sizeof *STOPS; i++) {
        const Stop *s = &STOPS[i];
        pid_t child = start_training(i == 0 ? LONG "--out run" : "--resume --out run", false);
        bool reached = wait_for(child, s->file, s->text);
        kill(child, s->signal_number);
        if (s->signal_number == SIGHUP) kill(child, SIGHUP); /* A closed terminal may send it twice. */
        status = wait_end(child, &took);
        test_true(s->name,
                  reached && status == 128 + s->signal_number && has("stderr", s->stopped) &&
                      !exists(s->not_made) && !has("stdout", s->not_printed),
                  "exit status %d after %.1f s", status, took);
    }
    pid_t child = start_training("--resume --out run", true);
    bool reached = wait_for(child, "stderr", "steps of");
    kill(child, SIGHUP);
    status = wait_end(child, &took);
    test_true("nohup", reached && status == 0, "exit status %d", status);
    char *root[2] = { mem_format("%s/whole", folder), mem_format("%s/run", folder) };
    expect_same_run("the files of one run", root[0], root[1]);
    shell("grep fixed-grid whole.txt >a; grep fixed-grid stdout >b");
    status = shell("cmp a b && [ $(wc -l <a) = 2 ]");
    test_true("the lines of one run", status == 0, "two fixed-grid losses");
    for (int i = 0; i < 2; i++) free(root[i]);
}

/* A second signal during a long step ends the run at once. */
static void test_second_signal(void) {
    double took;
    pid_t child =
        start_training("--token '<grum>' --init critter --images pictures --resolution 256 --batch 2 "
                       "--steps 3 --grid-loss 0 --no-flip --out long",
                       false);
    bool reached = wait_for(child, "stderr", "steps of");
    usleep(100000);
    kill(child, SIGTERM);
    reached = reached && wait_for(child, "stderr", "a second signal stops at once");
    kill(child, SIGTERM);
    int status = wait_end(child, &took);
    test_true("a second signal", reached && status == 1000 + SIGTERM && took < 10, "exit status %d, %.1f s",
              status, took);
}

/* A run that replaces another and is stopped in its first validation picture does not leave the other run's
   picture. */
static void test_old_picture(void) {
    double took;
    shell("rm -r run; cp -r whole run; echo old >run/validation-2.png; rm stdout");
    pid_t child = start_training(LONG "--force --out run", false);
    bool reached = wait_for(child, "stderr", "steps of") && wait_for(child, "run/losses.csv", "\n2,");
    kill(child, SIGTERM);
    int status = wait_end(child, &took);
    test_true("stopped in a picture over another", reached && status == 128 + SIGTERM, "exit status %d",
              status);
    test_true("the other picture", !exists("run/validation-2.png"), "is gone");
}

/* The environment */

/* The environment of the process has the variables that threads_restart sets before OpenBLAS and OpenMP
   start. */
static void test_environment(void) {
    double took;
    setenv("OPENBLAS_NUM_THREADS", "3", 1);
    pid_t child = start_training(TRAIN "--steps 1 --grid-loss 0 --out env", false);
    bool reached = wait_for(child, "stderr", "model");
    shell("tr '\\0' '\\n' </proc/%d/environ >environ; cat /proc/%d/comm >comm", (int)child, (int)child);
    kill(child, SIGKILL);
    wait_end(child, &took);
    test_true("OpenBLAS makes no threads", reached && has("environ", "OPENBLAS_NUM_THREADS=1\n"),
              "whatever the user sets");
    test_true("OpenMP's threads spin for a short time", has("environ", "GOMP_SPINCOUNT=1000\n"),
              "when the user sets nothing");
    unsetenv("OPENBLAS_NUM_THREADS");
    setenv("OMP_WAIT_POLICY", "passive", 1);
    child = start_training(TRAIN "--steps 1 --grid-loss 0 --out env --force", false);
    reached = wait_for(child, "stderr", "model");
    shell("tr '\\0' '\\n' </proc/%d/environ >environ", (int)child);
    kill(child, SIGKILL);
    wait_end(child, &took);
    test_true("or as the user sets it",
              reached && has("environ", "OMP_WAIT_POLICY=passive\n") && !has("environ", "GOMP_SPINCOUNT"),
              "OMP_WAIT_POLICY alone");
}

static void test_closed_descriptors(void) {
    static const char options[] = TRAIN "--steps 2 --grid-loss 0 --out";
    static const char *const closed[] = { ">&- 2>&-", "<&- >&- 2>&-", "2>&-", "<&- 2>&-" };
    int status = shell("\"$TI\" train %s open >/dev/null 2>&1", options);
    test_true("nothing closed", status == 0, "exit status %d", status);
    for (int i = 0; i < 2; i++) {
        status = shell("\"$TI\" train %s closed --force %s", options, closed[i]);
        char *a = mem_format("%s/open", folder), *b = mem_format("%s/closed", folder);
        test_true(closed[i], status == 0, "exit status %d", status);
        expect_same_run(closed[i], a, b);
        free(a);
        free(b);
    }
    for (int i = 0; i < 4; i++) {
        status = shell("\"$TI\" inspect closed/grum.safetensors %s", closed[i]);
        test_true("inspect", status == 0, "%s: exit status %d", closed[i], status);
        status = shell("\"$TI\" inspect missing %s", closed[i]);
        test_true("an error", status == 1, "%s: exit status %d", closed[i], status);
    }
}

/* Returns whether the program is built with AddressSanitizer, which reserves most of the address space and so
   cannot run with a limit on it. */
static bool sanitized(void) {
#ifdef __SANITIZE_ADDRESS__
    return true;
#else
    return false;
#endif
}

/* Tests commands with so little address space that OpenBLAS can neither create threads nor allocate its
   buffers. Its newer versions cannot even start then, and every command ends with a message about that. */
static void test_little_memory(void) {
    static const struct {
        const char *command, *says;
        int status;
    } cases[] = {
        { "--help", "", 0 },
        { "help train", "", 0 },
        { "tokens 'a cat'", "embedded model", 0 },
        { "inspect \"$ROOT\"/weights/critters", "", 0 },
        { "plan --summary", "embedded model", 0 },
        { "train " TRAIN "--dry-run --out little",
          "ti: out of memory: OpenBLAS needs 134 MB of address space", 1 },
        { "train " TRAIN "--out little", "ti: out of memory: OpenBLAS needs 134 MB of address space", 1 },
        { "generate --prompt a --out little.png", "ti: out of memory: OpenBLAS needs 134 MB of address space",
          1 },
        { "evaluate --images pictures --init critter", "ti: out of memory: ", 1 },
        { "reconstruct pictures/1.png little.png", "ti: out of memory: ", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status =
            shell("(ulimit -v 150000; exec timeout -k 1 20 \"$TI\" %s) >stdout 2>stderr", cases[i].command);
        bool started = !has("stderr", "OpenBLAS needs 134 MB of address space to start");
        test_true(cases[i].command,
                  started ? status == cases[i].status && has("stderr", cases[i].says) : status == 1,
                  "exit status %d%s", status, started ? "" : ", not started");
    }
    test_true("no output", !exists("little") && !exists("little.png"), "no folder and no picture");
}

/* A model that predicts noise and whose noise schedule ends in pure noise cannot generate pictures with
   DDIM, but can be trained on. */
static void test_no_sampling(void) {
    shell(
        "mkdir model; for i in \"$ROOT\"/weights/critters/*; do ln -s \"$i\" model/; done; rm "
        "model/scheduler; "
        "mkdir model/scheduler; sed 's/\"leading\"/\"trailing\"/; s/\"beta_end\"/\"rescale_betas_zero_snr\": "
        "true, &/' \"$ROOT\"/weights/critters/scheduler/*.json >model/scheduler/scheduler_config.json");
    int status = shell("\"$TI\" plan --summary --model model >stdout 2>stderr");
    test_true("the plan of a model that cannot generate", status == 0, "exit status %d", status);
    status = shell("\"$TI\" train " TRAIN "--model model --dry-run >stdout 2>stderr");
    test_true("a run on it without pictures", status == 0, "exit status %d", status);
    status = shell("\"$TI\" train " TRAIN
                   "--model model --validation-prompt a --sampler ddim --dry-run >stdout 2>stderr");
    test_true("a run on it with pictures",
              status == 1 && has("stderr", "ti: --sampler ddim --sampling-steps 30: timestep 999 of this"),
              "exit status %d", status);
}

int main(void) {
    CHECK(getenv("TI"));
    char *program = realpath(getenv("TI"), NULL), *root = realpath(".", NULL);
    CHECK(program && root);
    setenv("TI", program, 1);
    setenv("ROOT", root, 1);
    unsetenv("OMP_WAIT_POLICY");
    unsetenv("GOMP_SPINCOUNT");
    folder = folder_new();
    shell("mkdir pictures; set -- \"$ROOT\"/weights/critters/concepts/grum/*.png; cp \"$1\" pictures/1.png");
    test_environment();
    unsetenv("OMP_WAIT_POLICY");
    test_stops();
    test_old_picture();
    test_second_signal();
    test_closed_descriptors();
    if (!sanitized()) test_little_memory();
    test_no_sampling();
    folder_remove(folder);
    free(folder);
    free(program);
    free(root);
    return test_finish();
}
