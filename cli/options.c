/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"
#include "io/json.h"
#include "io/utf8.h"
#include "text/nearest.h"

/* Both return a pointer to an option's value in the command's struct of values. */
static void *place(const Option *o, void *values) { return (char *)values + o->offset; }
static const void *place_of(const Option *o, const void *values) { return (const char *)values + o->offset; }

/* Returns a pointer to the flag that says whether the user has given an option. */
static bool *given(const Command *c, const Option *o, const void *values) {
    return ((const Given *)values)->by_user + (o - c->options);
}

static const Option *find(const Command *c, const char *name, size_t length) {
    for (int i = 0; i < c->count; i++)
        if (strlen(c->options[i].name) == length && memcmp(c->options[i].name, name, length) == 0)
            return &c->options[i];
    return NULL;
}

bool options_given(const Command *c, const void *values, const char *name) {
    const Option *o = find(c, name, strlen(name));
    CHECK(o);
    return *given(c, o, values);
}

void options_forget(const Command *c, void *values, const char *name) {
    const Option *o = find(c, name, strlen(name));
    CHECK(o);
    *given(c, o, values) = false;
}

/* Values */

static bool fault(Messages *errors, const char *from, const Option *o, const char *text, const char *format,
                  ...) PRINTF_LIKE(5, 6);

/* Adds the message "--steps 0: must be ..." or, when the value comes from the file `from`, the message
   "defaults.json: \"steps\" 0: must be ...". Returns false. */
static bool fault(Messages *errors, const char *from, const Option *o, const char *text, const char *format,
                  ...) {
    va_list args;
    va_start(args, format);
    char why[1024];
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    if (!*text) text = "''";
    if (from) return messages_add(errors, "%s: \"%s\" %s: %s", from, o->name, text, why);
    return messages_add(errors, "%s%s %s: %s", o->positional ? "" : "--",
                        o->positional ? o->argument : o->name, text, why);
}

static bool set_int(const Option *o, const char *from, const char *text, int64_t *value, Messages *errors) {
    char *end;
    if (o->word && strcmp(text, o->word) == 0) {
        *value = -1;
        return true;
    }
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end || strchr(" \t\n", text[0]))
        return o->word ? fault(errors, from, o, text, "is neither a whole number nor %s", o->word)
                       : fault(errors, from, o, text, "is not a whole number");
    if (errno || (double)n < o->low || (double)n > o->high)
        return fault(errors, from, o, text, "must be %.0f to %.0f", o->low, o->high);
    *value = n;
    return true;
}

static bool set_real(const Option *o, const char *from, const char *text, double *value, Messages *errors) {
    double x;
    if (!text_is_number(text, &x)) return fault(errors, from, o, text, "is not a number");
    if (!(x >= o->low && x <= o->high))
        return fault(errors, from, o, text, "must be %g to %g", o->low, o->high);
    *value = x;
    return true;
}

static bool set_choice(const Option *o, const char *from, const char *text, int *value, Messages *errors) {
    char list[400] = "";
    for (int i = 0; o->choices[i]; i++) {
        if (strcmp(o->choices[i], text) == 0) {
            *value = i;
            return true;
        }
        size_t n = strlen(list);
        const char *comma = o->choices[i + 1] ? ", " : " or ";
        snprintf(list + n, sizeof list - n, "%s%s", i ? comma : "", o->choices[i]);
    }
    return fault(errors, from, o, text, "must be %s", list);
}

static void list_clear(StringList *list) {
    for (int64_t i = 0; i < list->count; i++) free(list->items[i]);
    free(list->items);
    *list = (StringList) { 0 };
}

static void list_push(StringList *list, const char *item, size_t size) {
    list->items = mem_grow(list->items, (size_t)(list->count + 1) * sizeof *list->items);
    list->items[list->count++] = mem_format("%.*s", (int)size, item);
}

static bool add_items(const Option *o, const char *from, const char *text, StringList *list,
                      Messages *errors) {
    for (const char *item = text;;) {
        size_t size = o->commas ? strcspn(item, ",") : strlen(item);
        if (!size) return fault(errors, from, o, text, "has an empty item");
        list_push(list, item, size);
        if (!item[size]) return true;
        item += size + 1;
    }
}

/* Checks that the text can be the name of a file or folder, when the argument of the option is called FILE,
   FOLDER, PATH, IN or OUT. */
static bool check_name(const Option *o, const char *from, const char *text, Messages *errors) {
    bool folder = text_ends_with(o->argument, "FOLDER");
    bool file = text_ends_with(o->argument, "FILE") || strcmp(o->argument, "IN") == 0 ||
                strcmp(o->argument, "OUT") == 0;
    bool either = strcmp(o->argument, "PATH") == 0;
    if (file && (!*text || text_ends_with(text, "/")))
        return fault(errors, from, o, text, "must be the name of a file");
    if (folder && !*text) return fault(errors, from, o, text, "must be the name of a folder");
    if (either && !*text) return fault(errors, from, o, text, "must be the name of a file or folder");
    return true;
}

/* Parses a value and stores it. `from` is the path of the file that the text comes from, or NULL when it
   comes from the command line; it is for messages. */
static bool set_value(const Option *o, const char *from, const char *text, void *values, Messages *errors) {
    void *value = place(o, values);
    double x;
    if (!utf8_valid(text, strlen(text))) return fault(errors, from, o, text, "is not UTF-8 text");
    switch (o->type) {
    case OPTION_FLAG:
        *(bool *)value = true;
        return true;
    case OPTION_INT:
        return set_int(o, from, text, value, errors);
    case OPTION_REAL:
        return set_real(o, from, text, value, errors);
    case OPTION_CHOICE:
        return set_choice(o, from, text, value, errors);
    case OPTION_LIST:
        return add_items(o, from, text, value, errors);
    case OPTION_STRING:
        if (!check_name(o, from, text, errors)) return false;
        if (o->fault && o->fault(text)) return fault(errors, from, o, text, "%s", o->fault(text));
        free(*(char **)value);
        /* A number is kept as read_item would write it, so that a record gives back the same text. */
        *(char **)value = o->number && text_is_number(text, &x) ? mem_format("%.17g", x) : mem_string(text);
        return true;
    }
    return false;
}

static void set_defaults(const Command *c, void *values) {
    Messages errors = { 0 };
    for (int i = 0; i < c->count; i++)
        if (c->options[i].standard)
            CHECK(set_value(&c->options[i], NULL, c->options[i].standard, values, &errors));
}

void options_free(const Command *c, void *values) {
    free(((Given *)values)->by_user);
    *(Given *)values = (Given) { 0 };
    for (int i = 0; i < c->count; i++) {
        void *value = place(&c->options[i], values);
        if (c->options[i].type == OPTION_LIST) list_clear(value);
        if (c->options[i].type == OPTION_STRING) {
            free(*(char **)value);
            *(char **)value = NULL;
        }
    }
}

/* The command line */

typedef struct {
    const Command *command;
    int argc, at; /* at: index of the next argument */
    char *const *argv;
    void *values;
    Messages *errors;
    int positionals; /* number of positional arguments so far */
} Parser;

static const Option *positional_option(const Command *c, int nth) {
    for (int i = 0; i < c->count; i++)
        if (c->options[i].positional && (nth-- == 0 || c->options[i].type == OPTION_LIST))
            return &c->options[i];
    return NULL;
}

static void take(Parser *p, const Option *o, const char *text) {
    bool *by_user = given(p->command, o, p->values);
    /* The first item that the user gives replaces the default of a list. */
    if (o->type == OPTION_LIST && !*by_user) list_clear(place(o, p->values));
    *by_user = true;
    set_value(o, NULL, text, p->values, p->errors);
}

static void take_positional(Parser *p, const char *word) {
    const Option *o = positional_option(p->command, p->positionals);
    p->positionals++;
    if (o)
        take(p, o, word);
    else
        messages_add(p->errors, "'%s': %s takes no such argument (is a -- or a quote missing?)", word,
                     p->command->name);
}

static bool looks_like_option(const char *word) { return word[0] == '-' && word[1] == '-'; }

static void unknown_option(Parser *p, const char *word, size_t length) {
    const char **names = mem_alloc((size_t)p->command->count * sizeof *names);
    int count = 0;
    for (int i = 0; i < p->command->count; i++)
        if (!p->command->options[i].positional) names[count++] = p->command->options[i].name;
    char *name = mem_format("%.*s", (int)min_i64((int64_t)length, 200), word);
    const char *nearest = nearest_name(name + strspn(name, "-"), names, count);
    if (nearest)
        messages_add(p->errors, "%s: unknown option, did you mean --%s?", name, nearest);
    else
        messages_add(p->errors, "%s: unknown option (ti %s --help lists all options)", name,
                     p->command->name);
    free(name);
    free(names);
    /* The next argument is most likely the value of the unknown option. It is skipped, so that one mistake
       does not give two messages. */
    const Option *meant = nearest ? find(p->command, nearest, strlen(nearest)) : NULL;
    bool valued = meant ? meant->type != OPTION_FLAG : !positional_option(p->command, 0);
    if (valued && !word[length] && p->at < p->argc && !looks_like_option(p->argv[p->at])) p->at++;
}

static void parse_word(Parser *p, const char *word) {
    if (word[0] != '-' || !word[1]) { /* "-" alone is a value, too. */
        take_positional(p, word);
        return;
    }
    size_t length = strcspn(word, "=");
    const Option *o = looks_like_option(word) ? find(p->command, word + 2, length - 2) : NULL;
    if (!o || o->positional) {
        unknown_option(p, word, length);
    } else if (o->type == OPTION_FLAG) {
        if (word[length])
            messages_add(p->errors, "--%s: takes no value", o->name);
        else
            take(p, o, "");
    } else if (word[length]) {
        take(p, o, word + length + 1);
    } else if (p->at < p->argc && !looks_like_option(p->argv[p->at])) {
        take(p, o, p->argv[p->at++]);
    } else {
        *given(p->command, o, p->values) = true; /* so that no second message calls it missing */
        messages_add(p->errors, "--%s: needs a value: --%s %s%s", o->name, o->name, o->argument,
                     p->at < p->argc ? " (write --name=value if the value begins with --)" : "");
    }
}

OptionsResult options_parse(const Command *c, int argc, char *const argv[], void *values, Messages *errors) {
    *(Given *)values = (Given) { mem_alloc((size_t)c->count * sizeof(bool)) };
    for (int i = 0; i < c->count; i++) {
        static const size_t sizes[] = { sizeof(bool),   sizeof(int64_t),    sizeof(double),
                                        sizeof(char *), sizeof(StringList), sizeof(int) };
        memset(place(&c->options[i], values), 0, sizes[c->options[i].type]);
    }
    set_defaults(c, values);
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return i + 1 < argc && strcmp(argv[i + 1], "all") == 0 ? OPTIONS_HELP_ALL : OPTIONS_HELP;

    int before = errors->count;
    Parser p = { .command = c, .argc = argc, .argv = argv, .values = values, .errors = errors };
    bool options_over = false;
    while (p.at < argc) {
        const char *word = argv[p.at++];
        if (options_over)
            take_positional(&p, word);
        else if (strcmp(word, "--") == 0)
            options_over = true;
        else
            parse_word(&p, word);
    }
    for (int i = 0; i < c->count; i++) {
        const Option *o = &c->options[i];
        if (!o->required || *given(c, o, values)) continue;
        bool other = false;
        for (int k = 0; k < 2 && o->unless[k]; k++) other = other || options_given(c, values, o->unless[k]);
        if (other) continue;
        messages_add(errors, o->positional ? "%s%s is missing: %s" : "--%s %s is missing: %s",
                     o->positional ? "" : o->name, o->argument, o->help);
    }
    if (c->check) c->check(values, errors);
    return errors->count == before ? OPTIONS_OK : OPTIONS_WRONG;
}

/* JSON */

static json_t *value_to_json(const Option *o, const void *values) {
    const void *value = place_of(o, values);
    double x;
    switch (o->type) {
    case OPTION_FLAG:
        return json_boolean(*(const bool *)value);
    case OPTION_INT:
        if (o->word && *(const int64_t *)value == -1) return json_string(o->word);
        return json_real((double)*(const int64_t *)value);
    case OPTION_REAL:
        return json_real(*(const double *)value);
    case OPTION_CHOICE:
        return json_string(o->choices[*(const int *)value]);
    case OPTION_STRING:
        if (o->number && text_is_number(*(char *const *)value, &x)) return json_real(x);
        return json_pack("s?", *(char *const *)value);
    case OPTION_LIST: {
        const StringList *list = value;
        json_t *array = json_array();
        for (int64_t i = 0; i < list->count; i++) json_array_append_new(array, json_string(list->items[i]));
        return array;
    }
    }
    return NULL;
}

/* Returns an object of the options, without those that have no value if `set` is true. */
static json_t *to_object(const Command *c, const void *values, bool set) {
    json_t *options = json_object();
    for (int i = 0; i < c->count; i++) {
        const Option *o = &c->options[i];
        if (o->once) continue;
        bool none = o->type == OPTION_INT && !o->standard && !*given(c, o, values) &&
                    *(const int64_t *)place_of(o, values) == 0;
        json_t *value = none ? json_null() : value_to_json(o, values);
        bool empty =
            json_is_null(value) || json_is_false(value) || (json_is_array(value) && !json_array_size(value));
        if (set && empty && !o->model)
            json_decref(value);
        else
            json_object_set_new(options, o->name, value);
    }
    return options;
}

json_t *options_to_object(const Command *c, const void *values) { return to_object(c, values, true); }

char *options_to_json(const Command *c, const void *values) {
    json_t *document = json_pack("{s:o}", c->name, to_object(c, values, false));
    Text text = { 0 };
    json_write(&text, document, JSON_LINES | JSON_EXACT);
    text_add(&text, "\n");
    json_decref(document);
    return text.at;
}

static bool read_list(const Option *o, const char *path, const json_t *item, void *values, Messages *errors) {
    if (!json_is_array(item)) return messages_add(errors, "%s: \"%s\" is not a list", path, o->name);
    list_clear(place(o, values));
    for (size_t i = 0; i < json_array_size(item); i++) {
        const char *text = json_string_value(json_array_get(item, i));
        if (!text || !*text) return messages_add(errors, "%s: \"%s\" is not a list of texts", path, o->name);
        list_push(place(o, values), text, strlen(text));
    }
    return true;
}

static bool read_item(const Option *o, const char *path, const json_t *item, void *values, Messages *errors) {
    bool word = o->word && json_is_string(item) && strcmp(json_string_value(item), o->word) == 0;
    bool number =
        (!word && (o->type == OPTION_INT || o->type == OPTION_REAL)) || (o->number && json_is_number(item));
    if (o->type == OPTION_LIST) return read_list(o, path, item, values, errors);
    if (o->type == OPTION_FLAG) {
        if (!json_is_boolean(item))
            return messages_add(errors, "%s: \"%s\" is neither true nor false", path, o->name);
        *(bool *)place(o, values) = json_is_true(item);
        return true;
    }
    if (!(number ? json_is_number(item) : json_is_string(item)))
        return messages_add(errors, "%s: \"%s\" is not a %s", path, o->name, number ? "number" : "text");
    if (!number) return set_value(o, path, json_string_value(item), values, errors);
    char text[40]; /* the number as it would be typed */
    snprintf(text, sizeof text, "%.17g", json_number_value(item));
    return set_value(o, path, text, values, errors);
}

/* Parses a JSON document and returns the object of this command's options in it. Returns NULL when there is
   no such object, and adds a message when the document is malformed. The caller deletes *document, which
   holds the object. */
static json_t *read_document(const Command *c, const char *path, const void *text, size_t size,
                             json_t **document, Messages *errors) {
    *document = json_parse(path, text, size, false, errors);
    if (!*document) return NULL;
    json_t *options = json_object_get(*document, c->name);
    if (!json_is_object(*document))
        messages_add(errors, "%s: is not an object of commands and their options", path);
    else if (options && !json_is_object(options))
        messages_add(errors, "%s: \"%s\" is not an object of options", path, c->name);
    return json_is_object(options) ? options : NULL;
}

bool options_model_parse(const Command *c, const char *path, const void *text, size_t size, void *values,
                         Messages *errors) {
    int before = errors->count;
    json_t *document;
    json_t *options = read_document(c, path, text, size, &document, errors), *item;
    const char *name;
    json_object_foreach (options, name, item) {
        const Option *o = find(c, name, strlen(name));
        if (!o || !o->model) {
            messages_add(errors, "%s: \"%s\" is not an option of ti %s that a model may set", path, name,
                         c->name);
            continue;
        }
        if (!*given(c, o, values)) read_item(o, path, item, values, errors);
    }
    json_decref(document);
    return errors->count == before;
}

bool options_read_model(const Command *c, const char *folder, void *values, Messages *errors) {
    char *path = mem_format("%s/defaults.json", folder);
    File file = { 0 };
    bool ok = access(path, F_OK) != 0 || (file_read(path, &file, errors) &&
                                          options_model_parse(c, path, file.data, file.size, values, errors));
    file_close(&file);
    free(path);
    return ok;
}

/* Returns the values that the command has with this model when the user gives no option. The caller frees
   them with options_free and free. */
static void *model_values(const Command *c, const char *folder, Messages *errors) {
    Messages missing = { 0 }; /* dropped, since only required options can be missing here */
    void *values = mem_alloc(c->size);
    options_parse(c, 0, NULL, values, &missing);
    messages_free(&missing);
    options_read_model(c, folder, values, errors);
    return values;
}

bool options_check_model(const Command *c, const char *folder, Messages *errors) {
    int before = errors->count;
    void *values = model_values(c, folder, errors);
    options_free(c, values);
    free(values);
    return errors->count == before;
}

int64_t options_model_default(const Command *c, const char *folder, const char *name, Messages *errors) {
    const Option *o = find(c, name, strlen(name));
    CHECK(o && o->type == OPTION_INT);
    void *values = model_values(c, folder, errors);
    int64_t value = *(const int64_t *)place_of(o, values);
    options_free(c, values);
    free(values);
    return value;
}

/* Adds an error when the value that the user gave differs from the run's. */
static void compare_item(const Option *o, const char *path, const json_t *item, const void *values,
                         Messages *errors) {
    json_t *now = value_to_json(o, values);
    if (!json_equal(now, item)) {
        char *mine = json_text(now, JSON_EXACT), *run = json_text(item, 0);
        messages_add(errors, "--%s: is %s now, and %s in %s: leave it out to resume that run", o->name, mine,
                     json_is_null(item) ? "not set" : run, path);
        free(mine);
        free(run);
    }
    json_decref(now);
}

/* Compares the options that the user gave and that the run's record lacks, since an earlier version wrote it,
   with their defaults, which are what such a run had. */
static void compare_missing(const Command *c, const char *path, const json_t *options, const void *values,
                            Messages *errors) {
    void *standard = mem_alloc(c->size);
    set_defaults(c, standard);
    for (int i = 0; i < c->count; i++) {
        const Option *o = &c->options[i];
        if (o->once || o->may_differ || !*given(c, o, values) || json_object_get(options, o->name)) continue;
        json_t *item = value_to_json(o, standard);
        compare_item(o, path, item, values, errors);
        json_decref(item);
    }
    options_free(c, standard);
    free(standard);
}

bool options_from_object(const Command *c, const char *path, json_t *options, void *values,
                         Messages *errors) {
    int before = errors->count;
    const char *name;
    json_t *item;
    json_object_foreach (options, name, item) {
        const Option *o = find(c, name, strlen(name));
        if (!o)
            messages_add(errors, "%s: \"%s\" is not an option of ti %s", path, name, c->name);
        else if (!o->once && !*given(c, o, values) && !json_is_null(item) &&
                 read_item(o, path, item, values, errors))
            *given(c, o, values) = true;
    }
    return errors->count == before;
}

static bool is_retired(const Command *c, const char *name) {
    for (const char *const *r = c->retired; r && *r; r++)
        if (strcmp(*r, name) == 0) return true;
    return false;
}

bool options_from_json(const Command *c, const char *path, const void *text, size_t size, void *values,
                       Messages *errors) {
    int before = errors->count;
    json_t *document;
    json_t *options = read_document(c, path, text, size, &document, errors), *item;
    const char *name;
    if (!options && errors->count == before)
        messages_add(errors, "%s: has no options of ti %s", path, c->name);
    json_object_foreach (options, name, item) {
        const Option *o = find(c, name, strlen(name));
        bool user = o && *given(c, o, values);
        if (o ? o->once : is_retired(c, name)) continue;
        if (!o)
            messages_add(errors, "%s: \"%s\" is not an option of ti %s", path, name, c->name);
        else if (user && !o->may_differ)
            compare_item(o, path, item, values, errors);
        else if (user || (json_is_null(item) && !o->standard))
            continue; /* null means that the run had no value for it. */
        else if (read_item(o, path, item, values, errors))
            *given(c, o, values) = true;
    }
    if (options) compare_missing(c, path, options, values, errors);
    for (int i = 0; i < c->count && errors->count == before; i++)
        if (c->options[i].required && !c->options[i].once && !*given(c, &c->options[i], values))
            messages_add(errors, "%s: \"%s\" is missing", path, c->options[i].name);
    json_decref(document);
    return errors->count == before;
}
