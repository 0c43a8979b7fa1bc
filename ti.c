/* ti: Textual Inversion in plain C. The commands are in cli/, one file each. */
#define _XOPEN_SOURCE 700
#include "cli/console.h"
#include "cli/evaluate.h"
#include "cli/generate.h"
#include "cli/generate_options.h"
#include "cli/gradcheck.h"
#include "cli/help.h"
#include "cli/inspect.h"
#include "cli/plan_command.h"
#include "cli/reconstruct.h"
#include "cli/sheet_command.h"
#include "cli/tokens.h"
#include "cli/train.h"
#include "cli/train_options.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const CommandEntry COMMANDS[] = {
    { &TRAIN_COMMAND, "learn a word from a few pictures", train_command },
    { &GENERATE_COMMAND, "draw pictures from a prompt", generate_command },
    { &EVALUATE_COMMAND, "how well a word fits pictures", evaluate_command },
    { &SHEET_COMMAND, "lay pictures out on one sheet", sheet_command },
    { &INSPECT_COMMAND, "what a model folder, a weights file or a learned word holds", inspect_command },
    { &PLAN_COMMAND, "what a training step and a drawing do and need", plan_command },
    { &TOKENS_COMMAND, "the tokens of a prompt", tokens_command },
    { &RECONSTRUCT_COMMAND, "a picture through the VAE and back", reconstruct_command },
    { &GRADCHECK_COMMAND, "the gradient against finite differences", gradcheck_command },
};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

int main(int argc, char *argv[]) {
    signal(SIGXFSZ, SIG_IGN); /* a file larger than the limit is a failed write, which is told, not the end */
    cJSON_InitHooks(
        &(cJSON_Hooks) { mem_alloc, free }); /* no JSON silently short of what there was no memory for */
    if (argc < 2) {
        help_list(COMMANDS, COMMAND_COUNT, stderr);
        return 2;
    }
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], COMMANDS[i].command->name) == 0) return COMMANDS[i].run(argc - 2, argv + 2);
    if (strcmp(argv[1], "help") == 0) return help_command(COMMANDS, COMMAND_COUNT, argc - 2, argv + 2);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help_command(COMMANDS, COMMAND_COUNT, 0, NULL);
    return help_unknown(COMMANDS, COMMAND_COUNT, argv[1]);
}
