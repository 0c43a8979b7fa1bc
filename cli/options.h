/* Command lines by table: one table a command is the source of its parsing, of --help, and of the JSON that
   records what a run used. */
#ifndef TI_OPTIONS_H
#define TI_OPTIONS_H

#include <stdio.h>

#include "io/base.h"

typedef enum {
    OPTION_FLAG,   /* bool; takes no value */
    OPTION_INT,    /* int64_t, low..high */
    OPTION_REAL,   /* double, low..high */
    OPTION_STRING, /* char *, NULL: not given */
    OPTION_LIST,   /* StringList: given several times, or items with commas between (if commas) */
    OPTION_CHOICE  /* int: the index in choices */
} OptionType;

typedef struct {
    char **items;
    int64_t count;
} StringList;

typedef struct {
    const char *name; /* without its dashes */
    OptionType type;
    size_t offset;        /* of the value in the command's struct */
    const char *argument; /* what --help calls the value: "N", "FILE" */
    double low, high;
    const char *const *choices; /* closed by NULL */
    const char *standard;       /* the default, as one would type it; NULL: zero, NULL or empty */
    const char *shown;  /* what --help says of the default where standard doesn't: "the model's own" */
    const char *reason; /* why this default */
    const char *help;
    const char *heading; /* opens a group in --help */
    bool required;
    const char *unless; /* required: but not where this flag is given */
    bool commas;
    bool positional; /* a value without a name, in the table's order; STRING, or LIST for all the rest */
    bool model;      /* a model folder's defaults.json may set it */
    bool may_differ; /* when a run goes on: it changes nothing in the results, or says where an input lies */
    bool once;       /* of this call and not of the run: a run's record neither holds it nor sets it */
} Option;

/* Which options somebody has set, and who: a byte each, by their place in the table. */
enum { GIVEN_BY_USER = 1, GIVEN_BY_MODEL = 2 };
typedef struct {
    unsigned char *by; /* [options of the command] */
} Given;

/* A command. Its struct of values begins with a Given. */
typedef struct {
    const char *name, *brief; /* brief: for the list of commands */
    const char *summary;
    const Option *options;
    int count;
    size_t size;          /* of the struct of values */
    const char *examples; /* lines for --help; NULL: none */
    /* Options that went away, closed by NULL: the record of a run that had them is read without; or NULL. */
    const char *const *retired;
    /* After parsing: what has to fit together, a line for each fault. NULL: nothing. */
    void (*check)(void *values, Messages *errors);
    /* Does it; the exit status where there are no errors. */
    int (*run)(void *values, Messages *errors, Messages *warnings);
} Command;

typedef enum { OPTIONS_OK, OPTIONS_HELP, OPTIONS_WRONG } OptionsResult;

/* Sets all values: the defaults, then argv[0..argc) (the words after the command's name), and checks them.
   `--name value` or `--name=value`, the last one counts; `--` ends the options. HELP if --help or -h is among
   them. WRONG: a line for each fault. values is zeroed first; options_free it in every case. */
OptionsResult options_parse(const Command *c, int argc, char *const argv[], void *values, Messages *errors);
void options_free(const Command *c, void *values);

/* Was it on the command line (or in the run's options.json)? CHECK: the name exists. */
bool options_given(const Command *c, const void *values, const char *name);

/* As if it had not been on the command line; its value stays. */
void options_forget(const Command *c, void *values, const char *name);

/* What --help prints. */
void options_help(const Command *c, FILE *out);

/* FOLDER/defaults.json, if there is one: {"train": {"steps": 600, ...}, "generate": {...}}; the options of
   this command that the user has not given and that a model may set. Errors: broken, an option that no model
   may set, bad values. */
bool options_read_model(const Command *c, const char *folder, void *values, Messages *errors);
/* Whether the file, if there is one, can be read so. */
bool options_check_model(const Command *c, const char *folder, Messages *errors);
/* What the command takes for a whole number that nobody gives: the model's default, or its own. */
int64_t options_model_default(const Command *c, const char *folder, const char *name, Messages *errors);
/* The same from the file's text; path is for messages. */
bool options_model_parse(const Command *c, const char *path, const void *text, size_t size, void *values,
                         Messages *errors);

/* All options that are not `once` as {"train": {"steps": 600, ...}}; null where there is no value (also of a
   number that has no default and was not given). free() it. */
char *options_to_json(const Command *c, const void *values);

/* Takes a run's options back from such a text (path is for messages): all that the user has not given now,
   but for those that are `once` or retired. One that was given and differs is an error that names both
   values, unless it may differ. */
bool options_from_json(const Command *c, const char *path, const void *text, size_t size, void *values,
                       Messages *errors);

#endif
