/* SPDX-License-Identifier: MIT */
#include "io/object.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64 << 20 };

static bool begins_with(const char *text, size_t size, const char *word) {
    size_t n = strlen(word);
    return size >= n && memcmp(text, word, n) == 0;
}

/* Returns the text with null instead of Infinity, -Infinity and NaN, which Python's json module writes
   although they are not JSON: configs of DPMSolver schedulers have "lambda_min_clipped": -Infinity. The
   caller frees it. */
static char *replace_nonfinite(const char *text, size_t size, size_t *length) {
    char *out = mem_alloc(size + size / 3 + 1); /* null is longer than NaN */
    size_t n = 0;
    bool string = false;
    for (size_t i = 0; i < size; i++) {
        bool infinity = !string && begins_with(text + i, size - i, "Infinity");
        if (infinity || (!string && begins_with(text + i, size - i, "NaN"))) {
            if (infinity && n && out[n - 1] == '-') n--;
            memcpy(out + n, "null", 4);
            n += 4;
            i += infinity ? 7 : 2;
            continue;
        }
        if (string && text[i] == '\\' && i + 1 < size)
            out[n++] = text[i++];
        else if (text[i] == '"')
            string = !string;
        out[n++] = text[i];
    }
    *length = n;
    return out;
}

bool object_parse(JsonObject *o, const char *path, const void *text, size_t size, Messages *errors,
                  Messages *warnings) {
    *o = (JsonObject) { .path = mem_string(path), .errors = errors, .warnings = warnings };
    if (size > TEXT_MAX) {
        messages_add(errors, "%s: is larger than 64 MB", path);
    } else {
        size_t length;
        char *finite = replace_nonfinite(text, size, &length);
        o->object = json_parse(path, finite, length, false, errors);
        o->known = json_object();
        free(finite);
    }
    if (json_is_object(o->object)) return true;
    if (o->object) messages_add(errors, "%s: is not a JSON object {...}", path);
    object_close(o);
    return false;
}

void object_close(JsonObject *o) {
    free(o->path);
    json_decref(o->object);
    json_decref(o->known);
    *o = (JsonObject) { 0 };
}

json_t *object_member(JsonObject *o, const char *key) {
    json_t *m = json_object_get(o->object, key);
    if (m) json_object_set_new_nocheck(o->known, key, json_true());
    return m;
}

bool object_null(JsonObject *o, const char *key) {
    const json_t *m = object_member(o, key);
    return !m || json_is_null(m);
}

/* Returns a value as compact JSON, shortened to fit into a message. The caller frees it. */
static char *value_text(const json_t *m) {
    char *json = json_text(m, 0), *text = text_shortened(json, 80, 0);
    free(json);
    return text;
}

bool object_fault(JsonObject *o, const char *key, const char *format, ...) {
    char reason[400];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    const json_t *m = object_member(o, key);
    if (!m) return messages_add(o->errors, "%s: \"%s\" is missing: %s", o->path, key, reason);
    char *value = value_text(m);
    messages_add(o->errors, "%s: \"%s\" is %s: %s", o->path, key, value, reason);
    free(value);
    return false;
}

bool object_enter(JsonObject *inner, JsonObject *o, const char *key) {
    json_t *m = object_member(o, key);
    if (!json_is_object(m)) {
        *inner = (JsonObject) { 0 };
        return object_fault(o, key, "an object is needed");
    }
    *inner = (JsonObject) { mem_format("%s, \"%s\"", o->path, key), json_incref(m), json_object(), o->errors,
                            o->warnings };
    return true;
}

/* If m is a whole number from low to high, sets *out to it and returns true. */
static bool int_in(const json_t *m, int64_t low, int64_t high, int64_t *out) {
    double v = json_is_number(m) ? json_number_value(m) : 0.5;
    if (v != floor(v) || fabs(v) >= JSON_WHOLE_MAX || v < (double)low || v > (double)high) return false;
    *out = (int64_t)v;
    return true;
}

int64_t object_int(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high) {
    const json_t *m = object_member(o, key);
    int64_t value = absent;
    if (m && !int_in(m, low, high, &value))
        object_fault(o, key, "a whole number from %lld to %lld is supported", (long long)low,
                     (long long)high);
    return value;
}

double object_number(JsonObject *o, const char *key, double absent, double low, double high) {
    const json_t *m = object_member(o, key);
    if (!m) return absent;
    double v = json_number_value(m);
    if (json_is_number(m) && v >= low && v <= high) return v;
    object_fault(o, key, "a number from %g to %g is supported", low, high);
    return absent;
}

bool object_bool(JsonObject *o, const char *key, bool absent) {
    const json_t *m = object_member(o, key);
    if (m && json_is_boolean(m)) return json_is_true(m);
    if (m) object_fault(o, key, "true or false is supported");
    return absent;
}

const char *object_string(JsonObject *o, const char *key, const char *absent) {
    const json_t *m = object_member(o, key);
    if (json_is_string(m)) return json_string_value(m);
    if (m) object_fault(o, key, "a string is needed");
    return absent;
}

int object_choice(JsonObject *o, const char *key, int absent, const char *const names[]) {
    const json_t *m = object_member(o, key);
    char list[300];
    size_t n = 0;
    list[0] = 0;
    for (int i = 0; names[i]; i++) {
        if (json_is_string(m) && strcmp(json_string_value(m), names[i]) == 0) return i;
        if (n < sizeof list)
            n += (size_t)snprintf(list + n, sizeof list - n, i ? ", \"%s\"" : "\"%s\"", names[i]);
    }
    if (m) object_fault(o, key, "the supported values are %s", list);
    return absent;
}

void object_ints(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high, int count,
                 int64_t out[]) {
    for (int i = 0; i < count; i++) out[i] = absent;
    const json_t *m = object_member(o, key);
    bool list = json_is_array(m), ok = !list || json_array_size(m) == (size_t)count;
    if (!m) return;
    for (int i = 0; i < count && ok; i++)
        ok = int_in(list ? json_array_get(m, (size_t)i) : m, low, high, &out[i]);
    if (!ok)
        object_fault(o, key, "a whole number from %lld to %lld, or a list of %d (one a level), is supported",
                     (long long)low, (long long)high, count);
}

int object_length(JsonObject *o, const char *key, int max) {
    size_t n = json_array_size(object_member(o, key)); /* 0 when it is not a list */
    if (n >= 1 && n <= (size_t)max) return (int)n;
    object_fault(o, key, "a list of 1 to %d members is supported", max);
    return 0;
}

void object_fixed(JsonObject *o, const JsonFixed *fields, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const JsonFixed *f = &fields[i];
        const json_t *m = object_member(o, f->key);
        if (!m) continue;
        char *value = json_text(m, 0);
        bool same = strcmp(value, f->value) == 0 || (f->other && strcmp(value, f->other) == 0);
        if (!same) object_fault(o, f->key, "only %s is supported", f->value);
        free(value);
    }
}

void object_ignore(JsonObject *o, const char *const keys[]) {
    for (int i = 0; keys[i]; i++) object_member(o, keys[i]);
}

static void report_unknown(JsonObject *o, Messages *to, const char *what) {
    enum { NAMED_MAX = 20 };
    Text names = { 0 };
    int found = 0;
    const char *key;
    json_t *member;
    json_object_foreach (o->object, key, member) {
        if (json_object_get(o->known, key) || key[0] == '_') continue;
        if (++found <= NAMED_MAX)
            text_format(&names, "%s \"%.*s\"", found > 1 ? "," : "", text_cut(key, 60), key);
    }
    if (found > NAMED_MAX)
        messages_add(to, "%s: %s%s and %d more", o->path, what, names.at, found - NAMED_MAX);
    else if (found)
        messages_add(to, "%s: %s%s", o->path, what, names.at);
    free(names.at);
}

void object_finish(JsonObject *o) { report_unknown(o, o->warnings, "not known here, and ignored:"); }

void object_finish_strictly(JsonObject *o) { report_unknown(o, o->errors, "not known here:"); }
