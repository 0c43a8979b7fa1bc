/* SPDX-License-Identifier: MIT */
/* Command lines, described by tables. A command's table of options is used to parse its arguments, to print
   its --help, and to write and read the JSON that records the options of a run. */
#ifndef TI_OPTIONS_H
#define TI_OPTIONS_H

#include <stdio.h>

#include "io/json.h"

typedef enum {
    OPTION_FLAG,   /* bool; the option takes no value */
    OPTION_INT,    /* int64_t from low to high, or -1 for `word` */
    OPTION_REAL,   /* double from low to high */
    OPTION_STRING, /* char *, NULL when it was not given */
    OPTION_LIST,   /* StringList; the option may be repeated, and its items may be separated by commas */
    OPTION_CHOICE  /* int, the index into choices */
} OptionType;

typedef struct {
    char **items;
    int64_t count;
} StringList;

typedef struct {
    const char *name; /* without its dashes */
    OptionType type;
    size_t offset;        /* of the value in the command's struct of values */
    const char *argument; /* the value's name in --help: "N", "FILE"; a FILE or FOLDER must not be empty */
    double low, high;
    const char *word;           /* of an INT: a word that may be given instead and stands for -1, or NULL */
    const char *const *choices; /* ends with NULL */
    const char *standard;       /* the default as it would be typed; NULL for zero, NULL or an empty list */
    const char *shown;          /* what --help shows as the default instead of standard, or NULL */
    const char *reason;         /* why this is the default, shown by --help after it */
    const char *help;
    const char *heading; /* the heading in --help of the group that begins with this option, or NULL */
    bool required;
    const char *unless[2]; /* the options with which a required one may be left out, or NULL */
    bool commas;           /* whether the items of a LIST may be separated by commas */
    bool number;           /* whether a STRING that is a number is written as one in JSON */
    /* Returns NULL if a STRING is a value that the option can have, and otherwise what is wrong, as the end
       of a message: "must be ...". NULL for an option that can have any text. */
    const char *(*fault)(const char *text);
    bool positional; /* whether it is an argument without a name: a STRING, or a LIST of all that remain */
    bool model;      /* whether a model folder's defaults.json may set it */
    bool may_differ; /* whether a resumed run may change it, as when results do not depend on it */
    bool once;       /* whether it belongs to the call and not to the run, whose record leaves it out */
} Option;

/* Which options the user has given. */
typedef struct {
    bool *by_user; /* [options of the command], in the order of the table */
} Given;

/* A command. Its struct of values begins with a Given. */
typedef struct {
    const char *name;
    const char *brief;   /* the description in the list of commands */
    const char *summary; /* the beginning of --help */
    const Option *options;
    int count;
    size_t size;          /* of the struct of values */
    const char *examples; /* lines for --help, or NULL */
    /* The names of the options that --help shows, ending with NULL; --help all shows all options. NULL when
       --help shows them all. */
    const char *const *basic;
    /* The names of options of earlier versions, ending with NULL, which are skipped in the record of a run.
       NULL when there are none. */
    const char *const *retired;
    /* Adds a message for each option that does not fit the others. It is called after parsing, and
       may be NULL. */
    void (*check)(void *values, Messages *errors);
    bool ranks; /* whether mpirun may start it as several ranks (inversion/ranks.h) */
    /* Runs the command. Returns the exit status for the case that it has added no error. */
    int (*run)(void *values, Messages *errors, Messages *warnings);
} Command;

typedef enum { OPTIONS_OK, OPTIONS_HELP, OPTIONS_HELP_ALL, OPTIONS_WRONG } OptionsResult;

/* Sets all values, first to the defaults and then from the arguments argv[0..argc) that follow the command's
   name, and checks them. An option is `--name value` or `--name=value`, and `--` ends the options. When an
   option other than a LIST is repeated the last value counts. Returns OPTIONS_HELP when --help or -h is
   among the arguments, OPTIONS_HELP_ALL when the word all follows it, and OPTIONS_WRONG after adding a
   message for each fault. values need not be initialised; the caller calls options_free on them in every
   case. */
OptionsResult options_parse(const Command *c, int argc, char *const argv[], void *values, Messages *errors);
void options_free(const Command *c, void *values);

/* Whether the option was on the command line, or in the options.json of a resumed run. An option of that name
   must exist. */
bool options_given(const Command *c, const void *values, const char *name);

/* Makes options_given false for an option and keeps its value. */
void options_forget(const Command *c, void *values, const char *name);

/* Prints the command's --help: with `all` every option and the reason for its default, else the basic
   options in brief and the names of the others. A command without a list of basic options prints every
   option. */
void options_help(const Command *c, bool all, FILE *out);

/* Reads FOLDER/defaults.json, if it exists: {"train": {"steps": 600, ...}, "generate": {...}}. Sets the
   options of this command that the user has not given. Returns false and adds messages when the file is
   malformed, sets an option that a model may not set, or has a value that the option cannot have. */
bool options_read_model(const Command *c, const char *folder, void *values, Messages *errors);
/* Checks the file in the same way and sets nothing. */
bool options_check_model(const Command *c, const char *folder, Messages *errors);
/* Returns the value that an OPTION_INT has when the user does not give it: the model's default, or else the
   command's own. */
int64_t options_model_default(const Command *c, const char *folder, const char *name, Messages *errors);
/* Does as options_read_model with the file's text; path is for messages. */
bool options_model_parse(const Command *c, const char *path, const void *text, size_t size, void *values,
                         Messages *errors);

/* Returns the options that are not `once` as the JSON text {"train": {"steps": 600, ...}}, which the caller
   frees. An option without a value is null, and so is a number that has no default and was not given. */
char *options_to_json(const Command *c, const void *values);

/* Returns the same options as an object, without those that have no value (null, false, an empty list) and
   that no model can set either. The caller owns it. */
json_t *options_to_object(const Command *c, const void *values);
/* Sets the options that the user has not given to the values in such an object, and makes options_given true
   for them; path is for messages. Options that are `once` are skipped. Returns false and adds a message for
   each fault. */
bool options_from_object(const Command *c, const char *path, json_t *options, void *values, Messages *errors);

/* Sets the options that the user has not given to the values in such a text, which records those of a run;
   path is for messages. Options that are `once` or retired are skipped. Returns false and adds a message with
   both values when an option that the user gave differs from the run's and is not may_differ, and adds one
   for each other fault. */
bool options_from_json(const Command *c, const char *path, const void *text, size_t size, void *values,
                       Messages *errors);

#endif
