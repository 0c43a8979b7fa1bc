/* SPDX-License-Identifier: MIT */
/* Tests `ti train --resume`. Runs that are killed at random times, by different signals and with different
   numbers of threads, end with the same bytes as a run that was not stopped. Inputs with which a run must not
   be resumed are refused. */
#define _DEFAULT_SOURCE /* flock */
#include "tensor/rng.h"
#include "tests/command.h"
#include "tests/refusal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* FOLDER is the folder of this test. Shell commands run in the repository's root. */

static char *folder;

static int shell(const char *format, ...) PRINTF_LIKE(1, 2);
static int shell(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char line[4000];
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    CHECK(length > 0 && (size_t)length < sizeof line);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Runs `$TI ARGUMENTS` and returns its exit status. Its output goes to FOLDER/stdout and FOLDER/stderr. */
static int ti(const char *format, ...) PRINTF_LIKE(1, 2);
static int ti(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char line[2000];
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    return shell("'%s' %s >'%s/stdout' 2>'%s/stderr'", getenv("TI"), line, folder, folder);
}

/* Returns whether the output contains a text. Prints the output when it does not, unless quiet is set. */
static bool has_said(const char *stream, const char *what, bool quiet) {
    char *path = mem_format("%s/%s", folder, stream), *text = read_text(path, NULL);
    bool found = strstr(text, what) != NULL;
    if (!found && !quiet) printf("%s: %s", stream, text);
    free(text);
    free(path);
    return found;
}

static bool said(const char *stream, const char *what) { return has_said(stream, what, false); }

static bool exists(const char *run, const char *name) {
    char *path = mem_format("%s/%s/%s", folder, run, name);
    bool yes = access(path, F_OK) == 0;
    free(path);
    return yes;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void expect_same(const char *label, const char *a, const char *b) {
    char *first = mem_format("%s/%s", folder, a), *second = mem_format("%s/%s", folder, b);
    expect_same_run(label, first, second);
    free(first);
    free(second);
}

/* Runs that are killed */

typedef struct {
    const char *name, *options;
    int kills;
} Case;

/* A run that --stop auto ends at step 24, where the other losses are measured too, and in which the word of
   step 12 is the best. */
#define EARLY                                                                                                \
    "--batch 8 --steps 30 --lr 0.1 --grid-loss 8 --validation-prompt 'a <grum>' --validation-every 8 "       \
    "--sampling-steps 2 "
#define STOP "--stop auto --stop-window 4 "

/* The tiny model takes a quarter of the embedded model's time. */
#define TINY     "--model golden/models/narrow --init a "
#define EMBEDDED "--init critter --resolution 64 "

static const Case CASES[] = {
    { "plain",
      TINY "--images weights/critters/concepts/grum --batch 2 --steps 20 --checkpoint-every 1 --grid-loss 0",
      5 },
    { "accumulated",
      TINY "--images weights/critters/concepts/grum --batch 3 --repeats 2 --accumulate 3 --steps 8 "
           "--checkpoint-every 3 --vectors 2 --schedule cosine --warmup 2 --grid-loss 0 "
           "--regularise 2 --min-snr 5 --norm median --progressive 4 "
           "--validation-prompt 'a <grum>' --validation-every 3 --sampling-steps 2",
      5 },
    { "grid", TINY "--images FOLDER/marked --batch 4 --repeats 7 --steps 12 --captions --masks --grid-loss 5",
      3 },
    { "bf16",
      EMBEDDED
      "--images FOLDER/one --precision bf16 --height 72 --batch 2 --repeats 3 --steps 4 --grid-loss 0 "
      "--validation-prompt 'a <grum>' "
      "--validation-every 2 --sampling-steps 1",
      2 },
    { "one by one",
      TINY "--images FOLDER/marked --one-by-one --batch 3 --repeats 4 --accumulate 2 --steps 12 --masks "
           "--min-snr 5 --checkpoint-every 0 --grid-loss 4",
      3 },
    { "no early stop",
      TINY "--images FOLDER/marked --batch 3 --repeats 5 --accumulate 2 --steps 11 --vectors 2 --stop auto "
           "--stop-threshold 1e-6 --norm sphere --per-image 0.5",
      2 },
};

/* Returns the options of a case, in which the path of this test's folder replaces FOLDER. */
static char *options_of(const Case *c) {
    char *options = mem_string(c->options), *at = strstr(options, "FOLDER");
    if (at) {
        char *full = mem_format("%.*s%s%s", (int)(at - options), options, folder, at + 6);
        free(options);
        options = full;
    }
    char *all = mem_format("--schedule constant %s --token '<grum>'", options);
    free(options);
    return all;
}

static pid_t start_training(const char *options) {
    char *line = mem_format("exec '%s' train %s >/dev/null 2>'%s/stderr'", getenv("TI"), options, folder);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGINT, SIG_DFL); /* It is ignored in a background job of a shell. */
        signal(SIGTERM, SIG_DFL);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    free(line);
    return child;
}

typedef struct {
    Generator random;
    double whole; /* the seconds that the run takes when nothing stops it */
    int kills, stops, finished, wrong;
} Killer;

static double uniform(Generator *g) {
    float u;
    generator_rand(g, &u, 1);
    return (double)u;
}

/* Starts or resumes the run, and then kills it at a random time or lets it end. Returns whether the run is
   finished. */
static bool run_a_while(Killer *k, const char *options, bool to_its_end) {
    static const int signals[] = { SIGKILL, SIGTERM, SIGKILL, SIGINT, SIGKILL };
    int threads = 1 + (int)generator_randint(&k->random, 0, 3);
    int chosen = signals[k->kills % 5];
    bool begun = exists("run", "options.json");
    char *line = begun ? mem_format("--resume --out %s/run --threads %d", folder, threads)
                       : mem_format("%s --force --out %s/run --threads %d", options, folder, threads);
    double delay = 0.7 * uniform(&k->random) * k->whole;
    pid_t child = start_training(line);
    free(line);
    int status;
    if (!to_its_end) {
        usleep((useconds_t)(1e6 * delay));
        kill(child, chosen);
        if (chosen == SIGINT && k->kills % 2) { /* A second signal ends the program within the step. */
            usleep(2000);
            kill(child, chosen);
        }
    }
    CHECK(waitpid(child, &status, 0) == child);
    bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == chosen;
    bool stopped = chosen != SIGKILL && WIFEXITED(status) && WEXITSTATUS(status) == 128 + chosen;
    k->kills += killed || stopped;
    k->stops += stopped;
    if (!ended &&
        (to_its_end || (!killed && !stopped) || (stopped && !said("stderr", "ti train --resume")))) {
        printf("wait status %x after signal %d\n", (unsigned)status, chosen);
        said("stderr", "?");
        k->wrong++;
    }
    return ended;
}

/* Trains FOLDER/whole with the options of a case. Returns how many seconds that takes. */
static double train_whole(const Case *c) {
    char *options = options_of(c), *label = mem_format("%s.runs", c->name);
    double start = seconds();
    int status = ti("train %s --out %s/whole --threads 2", options, folder);
    test_true(label, status == 0, "exit status %d", status);
    free(label);
    free(options);
    return seconds() - start;
}

/* Trains FOLDER/run, which is killed and resumed, until it was killed as often as the case says. Its files
   must be those of FOLDER/whole, whose training took this many seconds. */
static void test_killed(const Case *c, double whole, uint64_t seed) {
    char *options = options_of(c), *label;
    int kills = getenv("QUICK") ? (c->kills + 4) / 5 : c->kills; /* .ci/run sets it for sanitizers. */
    Killer k = { .whole = whole };
    generator_seed(&k.random, seed);
    while (k.kills < kills && k.wrong == 0) {
        bool ended = run_a_while(&k, options, false);
        if (k.kills == kills && !ended) ended = run_a_while(&k, options, true);
        if (!ended) continue;
        label = mem_format("%s.run %d, after %d kills", c->name, ++k.finished, k.kills);
        expect_same(label, "whole", "run");
        free(label);
        shell("rm -r '%s/run'", folder);
    }
    label = mem_format("%s.kills", c->name);
    test_true(label, k.wrong == 0 && k.finished > 0, "%d, %d of them after the step was finished, %d runs",
              k.kills, k.stops, k.finished);
    free(label);
    free(options);
}

/* Finished runs, and runs that are extended by more steps */

#define TRAIN "train --token '<grum>' --init critter --resolution 64 --threads 2 --schedule constant "

static void test_finished(void) {
    int status = ti(TRAIN "--images %s/one --steps 4 --schedule constant_with_warmup --warmup 2 --out %s/run",
                    folder, folder);
    test_true("a run of 4 steps", status == 0 && said("stderr", "ti train --resume"), "exit status %d",
              status);
    shell("cp -r '%s/run' '%s/before'", folder, folder);
    status = ti("train --resume --out %s/run", folder);
    test_true("it is finished", status == 0 && said("stderr", "is finished: all its 4 steps are done"),
              "exit status %d", status);
    expect_same("nothing changed", "before", "run");
    status = ti("train --resume --dry-run --out %s/run --steps 9", folder);
    test_true("--dry-run counts what is left", status == 0 && said("stdout", "  5 steps of 4 pictures"),
              "exit status %d", status);
    expect_same("--dry-run changed nothing", "before", "run");
    status = ti("train --resume --out %s/run --steps 9", folder);
    test_true("5 steps more", status == 0 && said("stderr", "continues at step 4 of 9"), "exit status %d",
              status);
    status = ti(TRAIN "--images %s/one --steps 9 --schedule constant_with_warmup --warmup 2 --out %s/whole",
                folder, folder);
    expect_same("the same as 9 steps", "whole", "run");
    status = ti("train --resume --out %s/run", folder);
    test_true("they are finished", status == 0 && said("stderr", "all its 9 steps are done"),
              "exit status %d", status);
    shell("rm -r '%s/run' '%s/before' '%s/whole'", folder, folder, folder);
}

/* --stop auto, and --for */

/* A run that --stop auto has ended is finished, keeps the best word, and goes on to all steps where that is
   asked for, as if there had been no --stop auto. */
static void test_early_stop(void) {
    static const Case stops = { "early stop", EMBEDDED "--images FOLDER/one " EARLY STOP, 1 };
    double time = train_whole(&stops);
    test_true("--stop auto",
              said("stderr", "ti: --stop auto ends the run at step 24 of 30: ") &&
                  said("stderr", "; the word of step 12 is kept"),
              "%s", "ends it at step 24");
    test_true("its last line", said("stderr", "ti: the fixed-grid loss came within 1 % of its end at step "),
              "%s", "is about the fixed-grid loss");
    test_killed(&stops, time, 5);
    shell("mv '%s/whole' '%s/early'", folder, folder);
    int status = ti(TRAIN EARLY "--images %s/one --out %s/whole", folder, folder);
    test_true("off", status == 0, "exit status %d", status);
    shell("cp -r '%s/early' '%s/run'; rm '%s/run/grum.safetensors'", folder, folder, folder);
    status = ti("train --resume --out %s/run", folder);
    test_true("it is finished", status == 0 && said("stderr", "is finished: --stop auto ended it at step 24"),
              "exit status %d", status);
    expect_same("and has its word", "early", "run");
    static const char *const more[] = { "--stop off", "--steps 30" };
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        shell("rm -r '%s/run'; cp -r '%s/early' '%s/run'", folder, folder, folder);
        status = ti("train --resume --out %s/run %s", folder, more[i]);
        test_true(more[i], status == 0 && said("stderr", "continues at step 24 of 30"), "exit status %d",
                  status);
        expect_same("is the same as no --stop auto", "whole", "run");
    }
    status = ti("train --resume --out %s/run --stop auto", folder);
    test_true("--stop auto later on", status == 1 && said("stderr", "--stop: is auto now, and off in "),
              "exit status %d", status);
    status = ti("train --resume --out %s/early --stop-threshold 0.5", folder);
    test_true("another threshold",
              status == 1 && said("stderr", "--stop-threshold: is 0.5 now, and 0.15 in "), "exit status %d",
              status);
    shell("rm -r '%s/run' '%s/early' '%s/whole'", folder, folder, folder);
}

/* A run in pieces, each of which has about half the time that the whole run takes, ends as one that nothing
   stopped. */
static void test_for(void) {
    static const char options[] = "--images weights/critters/concepts/grum --batch 4 --steps 40 --stop auto "
                                  "--stop-threshold 1e-6";
    double start = seconds();
    int status = ti(TRAIN "%s --out %s/whole", options, folder), pieces = 1;
    int piece = (int)((seconds() - start) / 2);
    if (piece < 1) piece = 1; /* --for takes whole seconds */
    status += ti(TRAIN "%s --out %s/run --for %ds", options, folder, piece);
    for (;
         status == 0 && pieces < 100 && has_said("stderr", "; continue with: ti train --resume --out ", true);
         pieces++)
        status = ti("train --resume --out %s/run --for %ds", folder, piece);
    test_true("--for", status == 0 && pieces > 1 && pieces < 100, "exit status %d, %d pieces", status,
              pieces);
    expect_same("in pieces", "whole", "run");
    status = ti("train --resume --out %s/run --steps 1000000 --for %ds", folder, piece);
    test_true("--for and more steps", status == 0 && said("stderr", "of 1000000; continue with: "),
              "exit status %d", status);
    status = ti(TRAIN "%s --dry-run --for 20m --out %s/none", options, folder);
    test_true("--dry-run says", status == 0 && said("stdout", "of the 40 steps are done after 20m (--for)"),
              "exit status %d", status);
    shell("rm -r '%s/run' '%s/whole'", folder, folder);
}

/* Refusals */

/* Copies the run FOLDER/base, which has 2 steps, and damages the copy by a shell command, in which $R is its
   name. Tests that resuming it is then refused with this message. */
static void refuse(const char *name, const char *spoil, const char *options, const char *says) {
    shell("rm -rf '%s/run'; cp -r '%s/base' '%s/run'; cd '%s'; R=run; %s", folder, folder, folder, folder,
          spoil);
    int status = ti("train --resume --out %s/run %s", folder, options);
    test_true(name, status == 1 && said("stderr", says), "exit status %d, %s", status, says);
}

#define AT_BYTE(n) "printf '\\377\\376' | dd of=$R/run.state bs=1 seek=" #n " conv=notrunc 2>/dev/null"
#define MORE       "--steps 4"

static void test_state_refused(void) {
    static const char damaged[] = "run.state: is damaged, so the run cannot be resumed";
    refuse("state: a byte of its middle", AT_BYTE(3000), MORE, damaged);
    refuse("state: a byte of its sum",
           "S=$(wc -c <$R/run.state); printf '\\377\\376' | "
           "dd of=$R/run.state bs=1 seek=$((S-2)) conv=notrunc 2>/dev/null",
           MORE, damaged);
    refuse("state: cut off", "head -c 1000 $R/run.state >t; mv t $R/run.state", MORE, damaged);
    refuse("state: empty", ": >$R/run.state", MORE, damaged);
    refuse("state: longer", "echo >>$R/run.state", MORE, damaged);
    refuse("state: of another version",
           "{ printf 'ti run state 7\\n'; tail -c +16 $R/run.state; } >t; mv t $R/run.state", MORE,
           "run.state: was written by another version of ti");
    refuse("state: a folder", "rm $R/run.state; mkdir $R/run.state", MORE, "run.state: is a folder");
    refuse("losses: a line less", "sed -i 2d $R/losses.csv", MORE, "losses.csv: was changed");
    refuse("losses: another line", "sed -i 's/^1,0/1,x/' $R/losses.csv", MORE, "losses.csv: was changed");
    refuse("losses: none", "rm $R/losses.csv", MORE, "losses.csv: cannot be opened");
    refuse("no options", "rm $R/options.json", MORE, "holds no run to resume");
    refuse("options: cut off", "head -c 100 $R/options.json >t; mv t $R/options.json", MORE,
           "options.json: line");
    refuse("options: changed", "sed -i 's/\"seed\":\t0/\"seed\":\t1/' $R/options.json", MORE,
           "options.json: has other options than the run began with");
    refuse("options: one missing", "sed -i '/\"images\"/d' $R/options.json", MORE,
           "options.json: \"images\" is missing");
    refuse("no such run", "rm -r $R", MORE, "holds no run to resume");
}

static void test_options_refused(void) {
    refuse("another --lr", ":", MORE " --lr 0.25", "--lr: is 0.25 now, and 0.02 in");
    refuse("another --token", ":", MORE " --token '<x>'", "--token: is \"<x>\" now, and \"<grum>\" in");
    refuse("another --validation-prompt", ":", MORE " --validation-prompt a",
           "--validation-prompt: is \"a\" now, and not set in");
    refuse("another --precision", ":", MORE " --precision bf16",
           "--precision: is \"bf16\" now, and \"f32\" in");
    refuse("another --precision than before there was one", "sed -i '/\"precision\"/d' $R/options.json",
           MORE " --precision bf16", "--precision: is \"bf16\" now, and \"f32\" in");
    refuse("fewer --steps", ":", "--steps 1", "--steps: is 1 now, and 2 in");
    refuse("more --steps of a cosine",
           "sed -i 's/\"constant\"/\"cosine\"/; s/\"warmup\":\t500/\"warmup\":\t1/' "
           "$R/options.json",
           MORE, "--schedule cosine depends on this number");
    int status = ti("train --resume --steps 4");
    test_true("no --out", status == 2 && said("stderr", "--resume: needs --out FOLDER"), "exit status %d",
              status);
    status = ti(TRAIN "--images %s/one --steps 1 --out %s/base", folder, folder);
    test_true("a run is there", status == 1 && said("stderr", "--resume continues a run"), "exit status %d",
              status);
}

static void test_inputs_refused(void) {
    refuse("a picture changed", "cp pictures/b.png kept; cp other.png pictures/b.png", MORE,
           "pictures/b.png: is not one of the pictures that the run began with");
    refuse("a picture more", "cp kept pictures/b.png; cp other.png pictures/c.png", MORE,
           "pictures/c.png: is not one of the pictures");
    refuse("a picture less", "rm pictures/c.png pictures/b.png", MORE,
           "pictures: lacks 1 of the 2 pictures that the run began with");
    refuse("a picture twice", "cp kept pictures/b.png; cp kept pictures/c.png", MORE,
           "pictures: has the pictures in another order or number");
    refuse("two pictures exchanged",
           "rm pictures/c.png; mv pictures/a.png t; mv pictures/b.png pictures/a.png; "
           "mv t pictures/b.png",
           MORE, "pictures: has the pictures in another order or number");
    refuse("a template changed",
           "mv pictures/a.png t; mv pictures/b.png pictures/a.png; mv t pictures/b.png; "
           "echo 'more {}' >>templates",
           MORE, "templates: has other templates than the run began with");
    refuse("weights changed",
           "echo 'a {}' >templates; rm model/vae; cp -r real/vae model/vae; "
           "W=model/vae/diffusion_pytorch_model.safetensors; S=$(wc -c <$W); "
           "printf '\\1' | dd of=$W bs=1 seek=$((S-1)) conv=notrunc 2>/dev/null",
           MORE, "vae/diffusion_pytorch_model.safetensors: has other weights than the run began with");
    refuse("weights gone", "rm -r model/vae; ln -s ../real/vae model/vae; rm model/unet", MORE, "model/unet");
    shell("ln -s ../real/unet '%s/model/unet'", folder);
}

/* While a run is in progress, its folder is locked. */
static void test_locked(void) {
    shell("rm -rf '%s/run'; cp -r '%s/base' '%s/run'", folder, folder, folder);
    char *path = mem_format("%s/run", folder);
    int run = open(path, O_RDONLY);
    CHECK(run >= 0 && flock(run, LOCK_EX) == 0);
    int status = ti("train --resume --out %s/run --steps 4", folder);
    test_true("two at once", status == 1 && said("stderr", "another ti is training in this folder"),
              "exit status %d", status);
    close(run);
    free(path);
}

/* A run is resumed from its beginning when it has no state, and also when its inputs have been moved, and
   after a process that left a half-written file. */
static void test_accepted(void) {
    shell("cd '%s'; rm -rf run; cp -r base run; rm run/run.state; echo x >run/run.state.tmp-123; echo x "
          ">run/my.tmp-1",
          folder);
    int status = ti("train --resume --out %s/run", folder);
    test_true("without a state", status == 0 && said("stderr", "it begins with its first step"),
              "exit status %d", status);
    test_true("the half-written file is gone",
              !exists("run", "run.state.tmp-123") && exists("run", "my.tmp-1"), "and no other file");
    shell("rm '%s/run/my.tmp-1'", folder);
    expect_same("the same as before", "base", "run");
    shell("cd '%s'; rm -rf run; cp -r base run; mv pictures elsewhere; sed -i 's/pictures/elsewhere/' "
          "run/options.json",
          folder);
    status = ti("train --resume --out %s/run --steps 3", folder);
    static const char warning[] = "the model computes other numbers now than when the run began";
    test_true("pictures that were moved", status == 0 && !has_said("stderr", warning, true), "exit status %d",
              status);
    shell("cd '%s'; rm -rf run; cp -r base run; mv elsewhere pictures; rm model/scheduler; mkdir "
          "model/scheduler; sed 's/\"beta_end\": 0.012/\"beta_end\": 0.0121/' "
          "real/scheduler/scheduler_config.json >model/scheduler/scheduler_config.json",
          folder);
    status = ti("train --resume --out %s/run --steps 3", folder);
    test_true("another noise schedule", status == 0 && said("stderr", warning), "exit status %d", status);
    shell("cd '%s'; rm -r model/scheduler; ln -s ../real/scheduler model/", folder);
}

/* Makes a model folder of links, two pictures and a file of templates, and trains 2 steps with them. */
static void make_base(void) {
    shell("cd '%s'; mkdir model pictures one; ln -s \"$OLDPWD/weights/critters\" real; "
          "for i in real/*; do ln -s ../$i model/; done; cp real/concepts/grum/1.png one/; "
          "cp -r \"$OLDPWD/golden/masked_pictures\" marked; echo 'a {} here' >marked/a.txt; "
          "echo 'my {}' >marked/b.txt; "
          "set -- real/concepts/grum/*.png; cp $1 pictures/a.png; cp $2 pictures/b.png; cp $3 other.png; "
          "echo 'a {}' >templates",
          folder);
    int status =
        ti(TRAIN "--model %s/model --images %s/pictures --templates %s/templates --steps 2 --batch 1 "
                 "--grid-loss 0 --out %s/base",
           folder, folder, folder, folder);
    test_true("a run to go on with", status == 0, "exit status %d", status);
}

/* Sizes of pictures, and a standard output that cannot be written */

static void full(const char *name, const char *arguments) {
    int status = shell("'%s' %s >/dev/full 2>'%s/stderr'", getenv("TI"), arguments, folder);
    test_true(name, status == 1 && said("stderr", "standard output: cannot be written"), "exit status %d",
              status);
}

static void test_sizes_and_output(void) {
    int status = ti(TRAIN "--images %s/one --steps 1 --resolution 36 --out %s/run2", folder, folder);
    test_true("no multiple of 8", status == 1 && said("stderr", "--resolution 36: must be a multiple of 8"),
              "exit status %d", status);
    shell("cd '%s'; mkdir small; for i in model/*; do ln -s ../$i small/; done; rm small/unet; mkdir "
          "small/unet; ln -s ../../real/unet/diffusion_pytorch_model.safetensors small/unet/; sed "
          "'s/\"sample_size\": [0-9]*/\"sample_size\": 8/' real/unet/config.json >small/unet/config.json",
          folder);
    status =
        ti("train --token '<grum>' --init critter --images %s/one --steps 1 --model %s/small --out %s/run2",
           folder, folder, folder);
    test_true("a model of 32 x 32 pixels", status == 0, "exit status %d", status);
    char *line = mem_format("train --resume --out %s/run2", folder);
    full("train to a full disk", line);
    free(line);
    line = mem_format("generate --prompt a --steps 1 --width 64 --height 64 --out %s/p.png", folder);
    full("generate to a full disk", line);
    free(line);
    line = mem_format("evaluate --init critter --resolution 64 --images %s/one", folder);
    full("evaluate to a full disk", line);
    free(line);
    full("help to a full disk", "sheet --help");
}

int main(void) {
    setenv("OMP_WAIT_POLICY", "passive", 1); /* Threads should not spin, since they outnumber the cores. */
    setenv("OMP_DYNAMIC", "false", 1);
    CHECK(getenv("TI"));
    folder = folder_new();
    make_base();
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        test_killed(&CASES[i], train_whole(&CASES[i]), 7 + i);
        shell("rm -rf '%s/whole'", folder);
    }
    test_finished();
    if (!getenv("QUICK")) { /* which .ci/run sets for sanitizers, with which these take ten minutes */
        test_early_stop();
        test_for();
    }
    test_state_refused();
    test_options_refused();
    test_locked();
    test_inputs_refused();
    test_sizes_and_output();
    test_accepted();
    folder_remove(folder);
    free(folder);
    return test_finish();
}
