/* SPDX-License-Identifier: MIT */
/* Truncates, changes or replaces files of weights while a command reads them. The command must end with a
   message that names the file, or continue when the file was only replaced. A resumed run must end with the
   same bytes as one that was not disturbed. */
#define _XOPEN_SOURCE 700
#include "tests/command.h"
#include "tests/refusal.h"

#include <sys/wait.h>

static char *folder;

/* Runs a shell command, in which each @ stands for the folder, and returns its exit status. */
static int shell(const char *line) {
    char *with = with_folder(line, folder);
    int status = system(with);
    free(with);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define UNET "@/model/unet/diffusion_pytorch_model.fp16.safetensors"
#define TRAIN                                                                                                \
    "\"$TI\" train --model @/model --images @/pictures --token '<new>' --init a --resolution 16 --batch 2 "  \
    "--checkpoint-every 0 --grid-loss 0 --threads 2 --steps 150 "

/* Starts a command, runs the shell command `what` once the shell condition `ready` holds, and waits until the
   first command ends. Tests its exit status, and that its standard error contains the text `says`. */
static void disturb(const char *name, const char *command, const char *ready, const char *what, int status,
                    const char *says) {
    char *line = mem_format("%s >/dev/null 2>@/err & P=$!; i=0; until %s || [ $i -gt 1000 ]; do i=$((i+1)); "
                            "sleep .02; done; %s; wait $P",
                            command, ready, what);
    int got = shell(line);
    free(line);
    line = mem_format("grep -q \"%s\" @/err || { cat @/err; exit 1; }", says);
    bool said = shell(line) == 0;
    free(line);
    test_true(name, got == status && said, "exit status %d, %s", got, says);
}

/* Disturbs a training run. When the run must fail, tests that it keeps its state and can be resumed with
   intact weights. In the end its learned word and its losses must be those of the undisturbed run. */
static void disturb_run(const char *name, const char *what, int status, const char *says) {
    CHECK(shell("rm -rf @/run @/model && cp -r golden/models/narrow @/model") == 0);
    disturb(name, TRAIN "--out @/run", "[ -s @/run/run.state ]", what, status, says);
    if (status != 0) {
        test_true(name, shell("[ -s @/run/run.state ] && [ ! -e @/run/new.safetensors ]") == 0,
                  "its state stays");
        CHECK(shell("rm -r @/model && cp -r golden/models/narrow @/model") == 0);
        test_true(name, shell("\"$TI\" train --resume --out @/run >/dev/null 2>@/err") == 0, "goes on");
    }
    test_true(
        name,
        shell(
            "cmp @/run/new.safetensors @/whole/new.safetensors && cmp @/run/losses.csv @/whole/losses.csv") ==
            0,
        "and ends with the same bytes");
}

#define GENERATE                                                                                             \
    "\"$TI\" generate --model @/model --prompt a --steps 400 --width 16 --height 16 --force --out @/x.png"
/* This condition holds when the weights are mapped and the work has begun. */
#define MAPPED "{ grep -q unet /proc/$P/maps 2>/dev/null && sleep .2; }"

int main(void) {
    setenv("OMP_WAIT_POLICY", "passive", 1);
    folder = folder_new();
    CHECK(shell("cp -r tests/runs/version2/pictures @/pictures && cp -r golden/models/narrow @/model") == 0);
    test_true("undisturbed", shell(TRAIN "--out @/whole >/dev/null 2>&1") == 0, "a run");
    disturb_run("cut off", "truncate -s 100 " UNET, 1,
                "unet/diffusion_pytorch_model.fp16.safetensors: was cut off");
    disturb_run("written to", "printf x | dd of=" UNET " bs=1 seek=9000 conv=notrunc 2>/dev/null", 1,
                "fp16.safetensors: was written to while it was in use");
    disturb_run("replaced", "head -c 9000 golden/models/narrow/unet/*.safetensors >@/t && mv @/t " UNET, 0,
                "peak memory");
    CHECK(shell("rm -r @/model && cp -r golden/models/narrow @/model") == 0);
    disturb("cut off while generating", GENERATE, MAPPED, "truncate -s 100 " UNET, 1,
            "fp16.safetensors: was cut off");
    CHECK(shell("rm -r @/model && cp -r golden/models/narrow @/model") == 0);
    disturb("written to while generating", GENERATE, MAPPED,
            "printf x | dd of=" UNET " bs=1 seek=9000 conv=notrunc 2>/dev/null", 1,
            "fp16.safetensors: was written to");
    test_true("no picture is written", shell("[ ! -e @/x.png ]") == 0, "by either");
    folder_remove(folder);
    free(folder);
    return test_finish();
}
