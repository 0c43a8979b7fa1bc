/* SPDX-License-Identifier: MIT */
#include "io/json.h"

#include "io/utf8.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, VALUES_MAX = 4000000 };

/* ---- reading ---- */

/* Checks limits that Jansson does not have: the depth, since our own functions recurse; the number of values,
   since each takes Jansson up to 100 times the memory of its text; and, with whole_numbers, that all numbers
   are whole. The scan is exact for valid JSON; Jansson refuses any other text later. Returns NULL, or the
   fault, with *line set to its line. */
static const char *limit_fault(const char *text, size_t size, bool whole_numbers, long *line) {
    int64_t values = 1;
    int depth = 0;
    bool string = false;
    char before = 0; /* the last character that was not white space */
    *line = 1;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        *line += c == '\n';
        if (string && c == '\\')
            i++;
        else if (c == '"')
            string = !string;
        if ((string && c != '"') || c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
        bool opened = before == '{' || before == '[', closes = c == '}' || c == ']';
        bool exponent = (c == 'e' || c == 'E') && '0' <= before && before <= '9';
        before = c;
        depth += (c == '{' || c == '[') - closes;
        values += c == ',' || (opened && !closes);
        if (depth > DEPTH_MAX) return "nested deeper than 64";
        if (values > VALUES_MAX) return "more than 4 million values";
        if (whole_numbers && (c == '-' || c == '.' || exponent))
            return "a number that is not a whole number >= 0";
    }
    return NULL;
}

/* Returns the key whose closing quote is at text[end - 1], decoded, or NULL when there is none. */
static json_t *key_before(const char *text, size_t end) {
    size_t from = end;
    if (end < 2 || text[--from] != '"') return NULL;
    for (bool escaped = true; from > 0 && escaped;) {
        for (from--; from > 0 && text[from] != '"';) from--;
        escaped = false;
        for (size_t i = from; i > 0 && text[i - 1] == '\\'; i--) escaped = !escaped;
    }
    return json_loadb(text + from, end - from, JSON_DECODE_ANY, NULL);
}

static void report_fault(const char *path, const char *text, const json_error_t *e, Messages *errors) {
    const char *what = e->text;
    json_t *key = NULL;
    switch (json_error_code(e)) {
    case json_error_numeric_overflow:
        messages_add(errors, "%s: a number is larger than a double can be", path);
        return;
    case json_error_duplicate_key:
        key = key_before(text, (size_t)e->position);
        break;
    case json_error_invalid_utf8:
        what = "invalid UTF-8";
        break;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        what = "the character U+0000 in a string";
        break;
    default:
        break;
    }
    if (key)
        messages_add(errors, "%s: the key \"%s\" appears twice", path, json_string_value(key));
    else
        messages_add(errors, "%s: line %d: %s", path, e->line, what);
    json_decref(key);
}

json_t *json_parse(const char *path, const void *text, size_t size, bool whole_numbers, Messages *errors) {
    long line;
    const char *fault = limit_fault(text, size, whole_numbers, &line);
    if (fault) {
        messages_add(errors, "%s: line %ld: %s", path, line, fault);
        return NULL;
    }
    json_error_t error;
    json_t *root =
        json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &error);
    if (!root) report_fault(path, text, &error, errors);
    return root;
}

int64_t json_whole(const json_t *item) {
    double v = json_is_number(item) ? json_number_value(item) : -1;
    return v >= 0 && v < JSON_WHOLE_MAX && v == floor(v) ? (int64_t)v : -1;
}

/* ---- writing ---- */

json_t *json_double(double x) { return isfinite(x) ? json_real(x) : json_null(); }

json_t *json_integers(const int64_t *values, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(list, json_integer(values[i]));
    return list;
}

json_t *json_messages(const Messages *messages) {
    json_t *list = json_array();
    for (const char *line = messages->text, *end; line && *line; line = end + 1) {
        end = strchr(line, '\n');
        json_array_append_new(list, json_stringn(line, (size_t)(end - line)));
    }
    return list;
}

/* If exact, writes x with the fewest digits that are read back as x. Otherwise writes 15 digits if they are
   within DBL_EPSILON of x (relative), else 17. */
static void add_number(Text *t, double x, bool exact) {
    char text[40];
    for (int digits = 15; digits <= 17; digits += exact ? 1 : 2) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        double read = strtod(text, NULL), near = exact ? 0 : fmax(fabs(read), fabs(x)) * DBL_EPSILON;
        if (fabs(read - x) <= near) break;
    }
    text_add(t, text);
}

void json_quote(Text *t, const char *s) {
    static const char names[] = "\bb\tt\nn\ff\rr\"\"\\\\"; /* pairs of a character and its escape's letter */
    text_add(t, "\"");
    for (size_t left = strlen(s), size; left > 0; s += size, left -= size) {
        const char *name = names;
        int32_t c;
        int n = utf8_next(s, left, &c);
        size = n ? (size_t)n : 1;
        while (*name && *name != *s) name += 2;
        if (*name)
            text_format(t, "\\%c", name[1]);
        else if (n && text_is_control(c))
            text_format(t, "\\u%04x", (unsigned)c);
        else
            text_add_part(t, s, size);
    }
    text_add(t, "\"");
}

static void add_line(Text *t, int depth, unsigned flags) {
    if (!(flags & JSON_LINES)) return;
    text_add(t, "\n");
    while (depth-- > 0) text_add(t, "\t");
}

static void add_value(Text *t, const json_t *value, unsigned flags, int depth);

static void add_object(Text *t, json_t *object, unsigned flags, int depth) {
    const char *key;
    json_t *member;
    bool first = true;
    text_add(t, "{");
    json_object_foreach (object, key, member) {
        if (!first) text_add(t, ",");
        first = false;
        add_line(t, depth + 1, flags);
        json_quote(t, key);
        text_add(t, flags & JSON_LINES ? ":\t" : ":");
        add_value(t, member, flags, depth + 1);
    }
    add_line(t, depth, flags);
    text_add(t, "}");
}

static void add_value(Text *t, const json_t *value, unsigned flags, int depth) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        /* The cast is needed, since Jansson has no iterator for a const object. Nothing is changed. */
        add_object(t, (json_t *)(uintptr_t)value, flags, depth);
        return;
    case JSON_ARRAY:
        text_add(t, "[");
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i) text_add(t, flags & JSON_LINES ? ", " : ",");
            add_value(t, json_array_get(value, i), flags, depth + 1);
        }
        text_add(t, "]");
        return;
    case JSON_STRING:
        json_quote(t, json_string_value(value));
        return;
    case JSON_INTEGER:
    case JSON_REAL:
        add_number(t, json_number_value(value), flags & JSON_EXACT);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        text_add(t, json_is_true(value) ? "true" : "false");
        return;
    case JSON_NULL:
        text_add(t, "null");
    }
}

void json_write(Text *t, const json_t *value, unsigned flags) { add_value(t, value, flags, 0); }

char *json_text(const json_t *value, unsigned flags) {
    Text t = { 0 };
    json_write(&t, value, flags);
    return t.at;
}
