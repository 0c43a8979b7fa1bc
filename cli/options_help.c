/* SPDX-License-Identifier: MIT */
/* `ti COMMAND --help`: prints a command's table of options. */
#include "cli/options.h"

#include "io/text.h"

#include <stdlib.h>
#include <string.h>

/* Prints a text with line breaks between its words. The cursor must be at the column `indent`, to which all
   lines after the first are indented. */
static void print_wrapped(FILE *out, const char *text, int indent) {
    enum { WIDTH = 80 };
    int column = indent;
    for (const char *word = text; *word; word += strspn(word, " ")) {
        int size = (int)strcspn(word, " ");
        if (column > indent && column + 1 + size > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(out, "%s%.*s", column > indent ? " " : "", size, word);
        word += size;
    }
    fputc('\n', out);
}

enum { COLUMN = 26 }; /* where the texts about options begin */

/* Prints the option's name, and goes on to the column. */
static void print_name(FILE *out, const Option *o) {
    char *name = mem_format("  %s%s%s%s", o->positional ? "" : "--", o->positional ? o->argument : o->name,
                            o->argument && !o->positional ? " " : "",
                            o->argument && !o->positional ? o->argument : "");
    fputs(name, out);
    int column = (int)strlen(name);
    if (column + 2 > COLUMN) {
        fputc('\n', out);
        column = 0;
    }
    free(name);
    fprintf(out, "%*s", COLUMN - column, "");
}

static const char *default_of(const Option *o) { return o->shown ? o->shown : o->standard; }

/* Prints an option with its default and the reason for that. */
static void print_whole(FILE *out, const Option *o) {
    print_name(out, o);
    char *help = mem_format("%s%s", o->help, o->required ? " (required)" : "");
    print_wrapped(out, help, COLUMN);
    free(help);
    if (!default_of(o)) return;
    char *text = mem_format("default%s %s%s%s", o->model ? "*" : "", default_of(o), o->reason ? ": " : "",
                            o->reason ? o->reason : "");
    fprintf(out, "%*s", COLUMN, "");
    print_wrapped(out, text, COLUMN);
    free(text);
}

/* Prints an option with its default and the first part of its text, which ends before a semicolon or with a
   sentence. */
static void print_brief(FILE *out, const Option *o) {
    print_name(out, o);
    size_t size = strcspn(o->help, ";");
    const char *sentence = strstr(o->help, ". ");
    if (sentence && (size_t)(sentence - o->help) < size) size = (size_t)(sentence - o->help);
    bool shows = default_of(o) && strcmp(default_of(o), "none") != 0 && !o->required;
    char *text = mem_format("%.*s%s%s%s%s%s", (int)size, o->help, o->required ? " (required)" : "",
                            shows ? " (default" : "",
                            shows && o->model ? "* "
                            : shows           ? " "
                                              : "",
                            shows ? default_of(o) : "", shows ? ")" : "");
    print_wrapped(out, text, COLUMN);
    free(text);
}

static bool is_basic(const Command *c, const Option *o) {
    bool basic = false;
    for (int i = 0; c->basic[i]; i++) basic = basic || strcmp(c->basic[i], o->name) == 0;
    return basic;
}

/* Prints the names of the options that are not basic. */
static void print_others(FILE *out, const Command *c) {
    Text text = { 0 };
    text_format(&text, "ti %s --help all explains every option, also", c->name);
    for (int i = 0; i < c->count; i++)
        if (!is_basic(c, &c->options[i])) text_format(&text, " --%s", c->options[i].name);
    fputc('\n', out);
    print_wrapped(out, text.at, 0);
    free(text.at);
}

void options_help(const Command *c, bool all, FILE *out) {
    all = all || !c->basic;
    fprintf(out, "usage: ti %s", c->name);
    for (int i = 0; i < c->count; i++) {
        const Option *o = &c->options[i];
        if (o->positional)
            fprintf(out, o->required ? " %s" : " [%s]", o->argument);
        else if (o->required)
            fprintf(out, " --%s %s", o->name, o->argument);
    }
    fprintf(out, " [options]\n\n");
    print_wrapped(out, c->summary, 0);
    if (!all) fputc('\n', out);
    bool starred = false;
    for (int i = 0; i < c->count; i++) {
        const Option *o = &c->options[i];
        if (!all && !is_basic(c, o)) continue;
        if (all && o->heading) fprintf(out, "\n%s\n", o->heading);
        (all ? print_whole : print_brief)(out, o);
        starred = starred || o->model;
    }
    if (all)
        fprintf(out, "  --help%-17s print %s\n", c->basic ? " [all]" : "",
                c->basic ? "the most important options, or all" : "this text");
    else
        print_others(out, c);
    if (starred) fprintf(out, "\n* unless the defaults.json in the model's folder sets another value\n");
    if (c->examples) fprintf(out, "\nexamples\n%s", c->examples);
}
