/* SPDX-License-Identifier: MIT */
#include "cli/help.h"

#include "cli/common.h"
#include "cli/console.h"
#include "tensor/gemm.h"
#include "tensor/threads.h"
#include "text/nearest.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    Given given;
    char *command;
    bool man;
    int completion;
} HelpOptions;

static const char *const SHELLS[] = { "none", "bash", "zsh", "fish", NULL };

#define AT(field) offsetof(HelpOptions, field)
static const Option OPTIONS[] = {
    { "command", OPTION_STRING, AT(command), "COMMAND", .positional = true,
      .help = "the command whose options are listed, as by its --help" },
    { "man", OPTION_FLAG, AT(man), .help = "print the manual page; ti help --man | man -l - shows it" },
    { "completion", OPTION_CHOICE, AT(completion), "SHELL", .choices = SHELLS, .standard = "none",
      .help = "print the completions for bash, zsh or fish; source <(ti help --completion bash) loads them" },
};

static const Command HELP_COMMAND = {
    .name = "help",
    .summary = "Lists the commands, or the options of a command.",
    .size = sizeof(HelpOptions),
    .options = OPTIONS,
    .count = sizeof OPTIONS / sizeof *OPTIONS,
};

void help_list(const Command *const commands[], FILE *out) {
    fprintf(out, "ti: Textual Inversion in plain C\n\n");
    for (int i = 0; commands[i]; i++) fprintf(out, "  ti %-12s %s\n", commands[i]->name, commands[i]->brief);
    fprintf(out, "\nti COMMAND --help explains a command and its options.\n"
                 "ti --version prints the version and the facts that a bug report needs.\n");
}

int help_version(void) {
#ifdef __clang__
    static const char compiler[] = "clang " __clang_version__;
#else
    static const char compiler[] = "gcc " __VERSION__;
#endif
#if defined(__AVX512F__)
    static const char machine[] = "x86-64 with AVX-512";
#elif defined(__AVX2__)
    static const char machine[] = "x86-64 with AVX2";
#elif defined(__x86_64__)
    static const char machine[] = "x86-64";
#elif defined(__aarch64__)
    static const char machine[] = "AArch64";
#else
    static const char machine[] = "another architecture";
#endif
    printf("ti %s\ncompiled by %s for %s\n%s, kernels %s\nphysical cores: %d\n", TI_VERSION, compiler,
           machine, blas_build(), blas_kernel(), threads_cores());
    Messages errors = { 0 };
    console_finish(&errors);
    bool ok = report(&errors, &(Messages) { 0 });
    messages_free(&errors);
    return ok ? 0 : 1;
}

int help_unknown(const Command *const commands[], const char *name) {
    int count = 0;
    while (commands[count]) count++;
    const char **names = mem_alloc((size_t)count * sizeof *names);
    for (int i = 0; i < count; i++) names[i] = commands[i]->name;
    const char *near = nearest_name(name, names, count);
    free(names);
    Messages errors = { 0 };
    if (near)
        messages_add(&errors, "there is no command '%s', did you mean %s?", name, near);
    else
        messages_add(&errors, "there is no command '%s' (ti --help lists all commands)", name);
    report(&errors, &(Messages) { 0 });
    messages_free(&errors);
    return 2;
}

static int help(const HelpOptions *o, const Command *const commands[]) {
    /* In the order of SHELLS */
    static void (*const completions[])(const Command *const commands[],
                                       FILE *out) = { NULL, help_completion_bash, help_completion_zsh,
                                                      help_completion_fish };
    if (o->man) {
        help_man(commands, stdout);
    } else if (o->completion) {
        completions[o->completion](commands, stdout);
    } else if (o->command) {
        for (int i = 0; commands[i]; i++)
            if (strcmp(o->command, commands[i]->name) == 0) {
                options_help(commands[i], false, stdout);
                return 0;
            }
        return help_unknown(commands, o->command);
    } else {
        help_list(commands, stdout);
    }
    return 0;
}

int help_command(const Command *const commands[], int argc, char *const argv[]) {
    Messages errors = { 0 };
    HelpOptions o;
    OptionsResult parsed = options_parse(&HELP_COMMAND, argc, argv, &o, &errors);
    int status = parsed == OPTIONS_WRONG ? 2 : 0;
    if (parsed == OPTIONS_HELP || parsed == OPTIONS_HELP_ALL) options_help(&HELP_COMMAND, true, stdout);
    if (parsed == OPTIONS_OK) status = help(&o, commands);
    if (!console_finish(&errors)) status = 1;
    report(&errors, &(Messages) { 0 });
    if (parsed == OPTIONS_WRONG) fprintf(stderr, "ti: see ti help --help\n");
    options_free(&HELP_COMMAND, &o);
    messages_free(&errors);
    return status;
}
