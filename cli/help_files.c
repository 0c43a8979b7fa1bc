/* SPDX-License-Identifier: MIT */
/* The manual page, in the macros of man(7), and the completions for bash, zsh and fish. All are made from
   the option tables. */
#include "cli/help.h"

#include <stdlib.h>
#include <string.h>

/* The manual page */

/* Writes a text in troff's notation. No line begins with a control character, and hyphens are written as
   minus signs, so that options can be copied from the page. */
static void troff(FILE *out, const char *text) {
    bool start = true;
    for (const char *c = text; *c; c++) {
        if (start && (*c == '.' || *c == '\'')) fputs("\\&", out);
        start = *c == '\n';
        if (*c == '\\')
            fputs("\\e", out);
        else if (*c == '-')
            fputs("\\-", out);
        else
            fputc(*c, out);
    }
}

static void man_option(FILE *out, const Option *o) {
    fputs(".TP\n", out);
    if (!o->positional) {
        fputs("\\fB\\-\\-", out);
        troff(out, o->name);
        fputs("\\fR ", out);
    }
    if (o->argument) {
        fputs("\\fI", out);
        troff(out, o->argument);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    troff(out, o->help);
    if (o->required) fputs(" (required)", out);
    fputs(".\n", out);
    const char *standard = o->shown ? o->shown : o->standard;
    if (!standard) return;
    fputs("Default: ", out);
    troff(out, standard);
    if (o->model) fputs(", or what the model's folder sets", out);
    if (o->reason) fputs(" (", out);
    if (o->reason) troff(out, o->reason);
    fputs(o->reason ? ").\n" : ".\n", out);
}

static void man_command(FILE *out, const Command *c) {
    fprintf(out, ".SS ti %s", c->name);
    for (int i = 0; i < c->count; i++)
        if (c->options[i].positional) fprintf(out, " %s", c->options[i].argument);
    fputs(" [options]\n", out);
    troff(out, c->summary);
    fputc('\n', out);
    for (int i = 0; i < c->count; i++) man_option(out, &c->options[i]);
    if (!c->examples) return;
    fputs(".PP\nExamples:\n.PP\n.nf\n", out);
    troff(out, c->examples);
    fputs(".fi\n", out);
}

void help_man(const Command *const commands[], FILE *out) {
    fputs(".TH TI 1 \"\" \"ti " TI_VERSION "\" \"User commands\"\n"
          ".SH NAME\nti \\- Textual Inversion in plain C\n"
          ".SH SYNOPSIS\n.B ti\n.I COMMAND\n[\\fIoptions\\fR]\n"
          ".SH DESCRIPTION\n"
          "Learns a word for what a few pictures show (Gal et al. 2022), on a Stable Diffusion 1.x or 2.x "
          "model,\n"
          "and generates pictures with it. A small model is embedded.\n"
          ".PP\nThe value of an option is the next argument, or follows the option after \\(aq=\\(aq. If an "
          "option is given "
          "twice,\n"
          "its last value counts, unless it takes several. \\(aq\\-\\-\\(aq ends the options.\n"
          ".SH OPTIONS\n"
          ".TP\n\\fB\\-\\-help\\fR\nList the commands; after a command, list its options.\n"
          ".TP\n\\fB\\-\\-version\\fR\nPrint the version, the versions of the compiler and of OpenBLAS, and "
          "the number of cores.\n"
          ".SH COMMANDS\n",
          out);
    for (int i = 0; commands[i]; i++) man_command(out, commands[i]);
    fputs(".SH EXIT STATUS\n"
          ".TP\n0\nThe command succeeded.\n"
          ".TP\n1\nThere were errors. Standard error has a message for each of them.\n"
          ".TP\n2\nWrong usage.\n"
          ".TP\n128 + N\nStopped by signal N, such as 130 after Ctrl\\-C. What was learned is saved.\n",
          out);
}

/* Completions */

/* The kinds of values that a shell can complete after an option. */
typedef enum { NOTHING, ANYTHING, A_FILE, A_FOLDER, A_CHOICE } Values;

static Values values_of(const Option *o) {
    if (o->type == OPTION_FLAG) return NOTHING;
    if (o->type == OPTION_CHOICE) return A_CHOICE;
    if (o->type == OPTION_INT || o->type == OPTION_REAL) return ANYTHING;
    static const char *const files[] = { "FILE", "FILE|FOLDER", "PATH", "PICTURE", "IN", "OUT" };
    if (strcmp(o->argument, "FOLDER") == 0) return A_FOLDER;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (text_ends_with(o->argument, files[i])) return A_FILE;
    }
    return ANYTHING;
}

static void bash_command(FILE *out, const Command *c) {
    fprintf(out, "    %s)\n        case $prev in\n", c->name);
    for (int i = 0; i < c->count; i++) {
        const Option *o = &c->options[i];
        Values values = values_of(o);
        if (o->positional || values == NOTHING) continue;
        fprintf(out, "        --%s) ", o->name);
        if (values == A_CHOICE) {
            fputs("COMPREPLY=($(compgen -W \"", out);
            for (int k = 0; o->choices[k]; k++) fprintf(out, "%s%s", k ? " " : "", o->choices[k]);
            fputs("\" -- \"$cur\"));", out);
        } else if (values != ANYTHING) {
            fprintf(out, "_ti_names -%c;", values == A_FILE ? 'f' : 'd');
        }
        fputs(" return ;;\n", out);
    }
    fputs("        esac\n        options=\"", out);
    for (int i = 0; i < c->count; i++)
        if (!c->options[i].positional) fprintf(out, "--%s ", c->options[i].name);
    fputs("--help\" ;;\n", out);
}

void help_completion_bash(const Command *const commands[], FILE *out) {
    fputs("# bash completion for ti, made by: ti help --completion bash\n"
          "_ti_names() {\n"
          "    local IFS=$'\\n'\n"
          "    compopt -o filenames 2>/dev/null\n"
          "    COMPREPLY=($(compgen \"$1\" -- \"$cur\"))\n"
          "}\n"
          "_ti() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} options=\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W \"",
          out);
    for (int i = 0; commands[i]; i++) fprintf(out, "%s ", commands[i]->name);
    fputs("help --help --version\" -- \"$cur\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n",
          out);
    for (int i = 0; commands[i]; i++) bash_command(out, commands[i]);
    fputs("    esac\n"
          "    case $cur in\n"
          "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$cur\")) ;;\n"
          "    *) _ti_names -f ;;\n"
          "    esac\n"
          "}\n"
          "complete -F _ti ti\n",
          out);
}

/* Writes a text that becomes part of a specification for _arguments, within [...] or after a ':'. The script
   quotes the specification in '...'. */
static void zsh(FILE *out, const char *text) {
    for (const char *c = text; *c; c++) {
        if (*c == '\'')
            fputs("'\\''", out);
        else if (strchr("[]:\\", *c))
            fprintf(out, "\\%c", *c);
        else
            fputc(*c, out);
    }
}

static void zsh_option(FILE *out, const Option *o) {
    Values values = values_of(o);
    fputs(" \\\n            '", out);
    if (o->type == OPTION_LIST) fputc('*', out);
    if (!o->positional) {
        fprintf(out, "--%s[", o->name);
        zsh(out, o->help);
        fputc(']', out);
    }
    if (values != NOTHING) {
        fputc(':', out);
        zsh(out, o->argument);
        fputc(':', out);
    }
    if (values == A_CHOICE) {
        fputc('(', out);
        for (int k = 0; o->choices[k]; k++) fprintf(out, "%s%s", k ? " " : "", o->choices[k]);
        fputc(')', out);
    } else if (values == A_FILE || values == A_FOLDER) {
        fputs(values == A_FILE ? "_files" : "_files -/", out);
    }
    fputc('\'', out);
}

void help_completion_zsh(const Command *const commands[], FILE *out) {
    fputs("#compdef ti\n# zsh completion for ti, made by: ti help --completion zsh\n"
          "_ti() {\n    local -a commands\n    commands=(\n",
          out);
    for (int i = 0; commands[i]; i++) {
        fprintf(out, "        '%s:", commands[i]->name);
        zsh(out, commands[i]->brief);
        fputs("'\n", out);
    }
    fputs("        'help:list the commands'\n        '--help:list the commands'\n"
          "        '--version:print the version'\n    )\n"
          "    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n"
          "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n",
          out);
    for (int i = 0; commands[i]; i++) {
        const Command *c = commands[i];
        fprintf(out, "    %s)\n        _arguments", c->name);
        for (int k = 0; k < c->count; k++) zsh_option(out, &c->options[k]);
        fputs(" \\\n            '--help[list the options]' ;;\n", out);
    }
    fputs("    esac\n}\n_ti \"$@\"\n", out);
}

/* Writes a text within '...', where fish reads only \\ and \' as something else. */
static void fish(FILE *out, const char *text) {
    fputc('\'', out);
    for (const char *c = text; *c; c++) {
        if (*c == '\'' || *c == '\\') fputc('\\', out);
        fputc(*c, out);
    }
    fputc('\'', out);
}

/* After an option with -r fish asks for a value and completes files, after one with -x it does not complete
   them. */
static void fish_option(FILE *out, const char *command, const Option *o) {
    Values values = values_of(o);
    fprintf(out, "complete -c ti -n '__fish_seen_subcommand_from %s' -l %s -d ", command, o->name);
    fish(out, o->help);
    if (values == A_CHOICE) {
        fputs(" -x -a '", out);
        for (int k = 0; o->choices[k]; k++) fprintf(out, "%s%s", k ? " " : "", o->choices[k]);
        fputc('\'', out);
    } else if (values == A_FOLDER) {
        fputs(" -x -a '(__fish_complete_directories)'", out);
    } else if (values != NOTHING) {
        fputs(values == A_FILE ? " -r" : " -x", out);
    }
    fputc('\n', out);
}

void help_completion_fish(const Command *const commands[], FILE *out) {
    fputs("# fish completion for ti, made by: ti help --completion fish\n", out);
    for (int i = 0; commands[i]; i++) {
        const Command *c = commands[i];
        fprintf(out, "complete -c ti -f -n __fish_use_subcommand -a %s -d ", c->name);
        fish(out, c->brief);
        fputc('\n', out);
        for (int k = 0; k < c->count; k++)
            if (!c->options[k].positional) fish_option(out, c->name, &c->options[k]);
    }
    fputs("complete -c ti -f -n __fish_use_subcommand -a help -d 'list the commands'\n"
          "complete -c ti -l help -d 'list the commands, or the options of a command'\n"
          "complete -c ti -n __fish_use_subcommand -l version -d 'print the version'\n",
          out);
}
