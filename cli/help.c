#include "cli/help.h"

#include "cli/common.h"
#include "cli/console.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    Given given;
    char *command;
    bool man;
    int completion;
} HelpOptions;

static const char *const SHELLS[] = { "none", "bash", "zsh", NULL };

#define AT(field) offsetof(HelpOptions, field)
static const Option OPTIONS[] = {
    { "command", OPTION_STRING, AT(command), "COMMAND", .positional = true,
      .help = "the command whose options to list, as its --help does" },
    { "man", OPTION_FLAG, AT(man), .help = "print the manual page: ti help --man | man -l -" },
    { "completion", OPTION_CHOICE, AT(completion), "SHELL", .choices = SHELLS, .standard = "none",
      .help = "print the completion for a shell, bash or zsh: source <(ti help --completion bash)" },
};

static const Command HELP_COMMAND = {
    .name = "help",
    .summary = "Lists the commands, or a command's options.",
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
};

void help_list(const CommandEntry *commands, int count, FILE *out) {
    fprintf(out, "ti: Textual Inversion in plain C\n\n");
    for (int i = 0; i < count; i++)
        fprintf(out, "  ti %-12s %s\n", commands[i].command->name, commands[i].summary);
    fprintf(out, "\nti COMMAND --help says more.\n");
}

int help_unknown(const CommandEntry *commands, int count, const char *word) {
    enum { COMMANDS_MAX = 64 };
    const char *names[COMMANDS_MAX];
    CHECK(count <= COMMANDS_MAX);
    for (int i = 0; i < count; i++) names[i] = commands[i].command->name;
    const char *near = nearest_name(word, names, count);
    Messages errors = { 0 };
    if (near)
        messages_add(&errors, "there is no command '%s', did you mean %s?", word, near);
    else
        messages_add(&errors, "there is no command '%s' (ti --help names them)", word);
    report(&errors, NULL);
    messages_free(&errors);
    return 2;
}

static int help(const HelpOptions *o, const CommandEntry *commands, int count) {
    if (o->man) {
        help_man(commands, count, stdout);
    } else if (o->completion) {
        (o->completion == 1 ? help_completion_bash : help_completion_zsh)(commands, count, stdout);
    } else if (o->command) {
        for (int i = 0; i < count; i++)
            if (strcmp(o->command, commands[i].command->name) == 0) {
                options_help(commands[i].command, stdout);
                return 0;
            }
        return help_unknown(commands, count, o->command);
    } else {
        help_list(commands, count, stdout);
    }
    return 0;
}

int help_command(const CommandEntry *commands, int count, int argc, char *const argv[]) {
    Messages errors = { 0 };
    HelpOptions o;
    int status;
    if (usage_ok(&HELP_COMMAND, options_parse(&HELP_COMMAND, argc, argv, &o, &errors), &errors, &status)) {
        status = help(&o, commands, count);
        if (!console_finish(&errors)) status = 1;
        report(&errors, NULL);
    }
    options_free(&HELP_COMMAND, &o);
    messages_free(&errors);
    return status;
}
