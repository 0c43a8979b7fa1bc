#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, VALUES_MAX = 4000000, TEXT_MAX = 64 << 20 };

/* cJSON copies a number's text into 64 bytes, and would read a longer one as two. */
enum { NUMBER_MAX = 60 };

static const double WHOLE_MAX = 9007199254740992.0; /* 2^53: from here on doubles skip whole numbers */

/* The grammar of RFC 8259 as a recursive descent: each function reads one thing at `at` and returns false
   with `fault` set where it is not there. cJSON is lenient (01, 1e, raw control characters, any bytes in
   strings). */
typedef struct {
    const unsigned char *at, *end;
    int64_t values;
    int depth;
    bool whole_numbers;
    const char *fault;
} Scan;

static bool scan_fail(Scan *s, const char *fault) {
    s->fault = fault;
    return false;
}

static void scan_space(Scan *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')) s->at++;
}

static bool scan_char(Scan *s, char c) {
    if (s->at == s->end || *s->at != (unsigned char)c) return false;
    s->at++;
    return true;
}

static bool scan_literal(Scan *s, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0) return scan_fail(s, "not a JSON value");
    s->at += n;
    return true;
}

static int scan_digits(Scan *s) {
    const unsigned char *from = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') s->at++;
    return s->at - from > NUMBER_MAX ? NUMBER_MAX + 1 : (int)(s->at - from);
}

static bool scan_number(Scan *s) {
    const unsigned char *from = s->at;
    bool whole = !scan_char(s, '-');
    bool zero = s->at < s->end && *s->at == '0';
    int digits = scan_digits(s);
    if (digits == 0 || (zero && digits > 1)) return scan_fail(s, "not a JSON value");
    if (scan_char(s, '.')) {
        whole = false;
        if (scan_digits(s) == 0) return scan_fail(s, "no digit after the decimal point");
    }
    if (scan_char(s, 'e') || scan_char(s, 'E')) {
        whole = false;
        if (!scan_char(s, '+')) scan_char(s, '-');
        if (scan_digits(s) == 0) return scan_fail(s, "no digit in the exponent");
    }
    if (s->at - from > NUMBER_MAX) return scan_fail(s, "a number of more than 60 characters");
    if (s->whole_numbers && !whole) return scan_fail(s, "a number that is no whole number >= 0");
    return true;
}

/* One character of UTF-8 from 0x80 on: no overlong form, no surrogate, nothing above U+10FFFF. */
static bool scan_utf8(Scan *s) {
    unsigned c = *s->at;
    int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc2 || c > 0xf4 || s->end - s->at <= more) return scan_fail(s, "invalid UTF-8");
    unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (s->at[1] < low || s->at[1] > high) return scan_fail(s, "invalid UTF-8");
    for (int i = 2; i <= more; i++)
        if (s->at[i] < 0x80 || s->at[i] > 0xbf) return scan_fail(s, "invalid UTF-8");
    s->at += more + 1;
    return true;
}

/* XXXX of \uXXXX, -1 if it isn't there */
static int scan_hex(Scan *s) {
    int value = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        int c = s->at < s->end ? *s->at : 0, low = c | 32;
        int digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static bool scan_escape(Scan *s) {
    if (s->at < s->end && *s->at && strchr("\"\\/bfnrt", *s->at)) {
        s->at++;
        return true;
    }
    if (!scan_char(s, 'u')) return scan_fail(s, "an unknown escape in a string");
    int unit = scan_hex(s);
    if (unit < 0) return scan_fail(s, "\\u without four hexadecimal digits");
    if (unit == 0) return scan_fail(s, "the character U+0000 in a string"); /* it would end a C string */
    if (unit < 0xd800 || unit > 0xdfff) return true;
    bool pair = unit < 0xdc00 && scan_char(s, '\\') && scan_char(s, 'u');
    int second = pair ? scan_hex(s) : -1;
    if (second < 0xdc00 || second > 0xdfff) return scan_fail(s, "half a surrogate pair in a string");
    return true;
}

static bool scan_string(Scan *s) {
    if (!scan_char(s, '"')) return scan_fail(s, "a string should stand here");
    while (s->at < s->end) {
        unsigned char c = *s->at;
        if (c < ' ') return scan_fail(s, "a control character or line end in a string");
        if (c >= 0x80) {
            if (!scan_utf8(s)) return false;
            continue;
        }
        s->at++;
        if (c == '"') return true;
        if (c == '\\' && !scan_escape(s)) return false;
    }
    return scan_fail(s, "the text ends within a string");
}

static bool scan_value(Scan *s);

/* An object's or a list's members, after its opening bracket */
static bool scan_members(Scan *s, bool object) {
    if (++s->depth > DEPTH_MAX) return scan_fail(s, "nested deeper than 64");
    char close = object ? '}' : ']';
    scan_space(s);
    bool done = scan_char(s, close);
    while (!done) {
        scan_space(s);
        if (object) {
            if (!scan_string(s)) return false;
            scan_space(s);
            if (!scan_char(s, ':')) return scan_fail(s, "no ':' after a key");
        }
        if (!scan_value(s)) return false;
        scan_space(s);
        done = scan_char(s, close);
        if (!done && !scan_char(s, ',')) return scan_fail(s, object ? "no ',' or '}'" : "no ',' or ']'");
    }
    s->depth--;
    return true;
}

static bool scan_value(Scan *s) {
    scan_space(s);
    if (++s->values > VALUES_MAX) return scan_fail(s, "more than 4 million values");
    if (s->at == s->end) return scan_fail(s, "the text ends where a value should stand");
    switch (*s->at) {
    case '{':
        s->at++;
        return scan_members(s, true);
    case '[':
        s->at++;
        return scan_members(s, false);
    case '"':
        return scan_string(s);
    case 't':
        return scan_literal(s, "true");
    case 'f':
        return scan_literal(s, "false");
    case 'n':
        return scan_literal(s, "null");
    default:
        return scan_number(s);
    }
}

static int by_key(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A key that stands twice in item, or NULL. Sorted: a search from each member would be quadratic. */
static const char *repeated_key(const cJSON *item) {
    size_t n = 0;
    for (const cJSON *m = item->child; m; m = m->next) n++;
    if (n < 2) return NULL;
    const char **keys = mem_alloc(n * sizeof *keys), *found = NULL;
    n = 0;
    for (const cJSON *m = item->child; m; m = m->next) keys[n++] = m->string;
    qsort(keys, n, sizeof *keys, by_key);
    for (size_t i = 1; i < n && !found; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0) found = keys[i];
    free(keys);
    return found;
}

/* What the scan cannot see. */
static bool check_tree(const char *path, const cJSON *item, Messages *errors) {
    if (cJSON_IsNumber(item) && !isfinite(item->valuedouble))
        return messages_add(errors, "%s: a number is larger than a double can be", path);
    const char *twice = cJSON_IsObject(item) ? repeated_key(item) : NULL;
    if (twice) return messages_add(errors, "%s: the key \"%s\" stands twice", path, twice);
    for (const cJSON *m = item->child; m; m = m->next)
        if (!check_tree(path, m, errors)) return false;
    return true;
}

cJSON *json_parse(const char *path, const void *text, size_t size, bool whole_numbers, Messages *errors) {
    const unsigned char *begin = text;
    Scan s = { .at = begin, .end = begin + size, .whole_numbers = whole_numbers };
    bool ok = scan_value(&s);
    if (ok) scan_space(&s);
    if (ok && s.at < s.end) ok = scan_fail(&s, "text after the end of the JSON value");
    if (!ok) {
        long line = 1;
        for (const unsigned char *c = begin; c < s.at; c++) line += *c == '\n';
        messages_add(errors, "%s: line %ld: %s", path, line, s.fault);
        return NULL;
    }
    cJSON *root = cJSON_ParseWithLength(text, size);
    if (!root) {
        messages_add(errors, "%s: no memory for this JSON", path);
        return NULL;
    }
    if (check_tree(path, root, errors)) return root;
    cJSON_Delete(root);
    return NULL;
}

int64_t json_whole(const cJSON *item) {
    if (!cJSON_IsNumber(item)) return -1;
    double v = item->valuedouble;
    return v >= 0 && v < WHOLE_MAX && v == floor(v) ? (int64_t)v : -1;
}

/* Python's json module writes an infinite float as Infinity, which is no JSON; configs of DPMSolver
   schedulers have one ("lambda_min_clipped": -Infinity). In their place goes null, as long as that is. */
static void blank_infinities(char *text, size_t size) {
    bool string = false;
    for (size_t i = 0; i < size; i++) {
        if (string && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            string = !string;
        else if (!string && text[i] == 'I' && size - i >= 8 && memcmp(text + i, "Infinity", 8) == 0) {
            memcpy(text + i, "null    ", 8);
            if (i && text[i - 1] == '-') text[i - 1] = ' ';
        }
    }
}

bool json_object_parse(JsonObject *o, const char *path, const void *text, size_t size, Messages *errors,
                       Messages *warnings) {
    *o = (JsonObject) { .path = mem_string(path), .errors = errors, .warnings = warnings };
    if (size > TEXT_MAX) {
        messages_add(errors, "%s: is larger than 64 MB", path);
        json_object_close(o);
        return false;
    }
    char *copy = mem_alloc(size);
    memcpy(copy, text, size);
    blank_infinities(copy, size);
    o->object = json_parse(path, copy, size, false, errors);
    free(copy);
    bool ok = cJSON_IsObject(o->object);
    if (ok)
        o->known = mem_alloc((size_t)cJSON_GetArraySize(o->object));
    else if (o->object)
        messages_add(errors, "%s: is no JSON object {...}", path);
    if (!ok) json_object_close(o);
    return ok;
}

void json_object_close(JsonObject *o) {
    free(o->path);
    cJSON_Delete(o->object);
    free(o->known);
    *o = (JsonObject) { 0 };
}

const cJSON *json_member(JsonObject *o, const char *key) {
    int i = 0;
    for (const cJSON *m = o->object->child; m; m = m->next, i++) {
        if (strcmp(m->string, key) != 0) continue;
        o->known[i] = true;
        return m;
    }
    return NULL;
}

bool json_null(JsonObject *o, const char *key) {
    const cJSON *m = json_member(o, key);
    return !m || cJSON_IsNull(m);
}

/* A value as compact JSON, cut to what fits a message; free() it. */
static char *value_text(const cJSON *m) {
    enum { LENGTH_MAX = 80 };
    char *json = cJSON_PrintUnformatted(m), *text = NULL;
    size_t n = json ? strlen(json) : 0;
    if (n > LENGTH_MAX) {
        for (n = LENGTH_MAX; n > 0 && ((unsigned char)json[n] & 0xc0) == 0x80;)
            n--; /* not within a character */
        text = mem_format("%.*s...", (int)n, json);
    } else {
        text = mem_string(json ? json : "?");
    }
    cJSON_free(json);
    return text;
}

bool json_fault(JsonObject *o, const char *key, const char *format, ...) {
    char reason[400];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    const cJSON *m = json_member(o, key);
    if (!m) return messages_add(o->errors, "%s: \"%s\" is missing: %s", o->path, key, reason);
    char *value = value_text(m);
    messages_add(o->errors, "%s: \"%s\" is %s: %s", o->path, key, value, reason);
    free(value);
    return false;
}

/* Is m a whole number in the range? */
static bool int_in(const cJSON *m, int64_t low, int64_t high, int64_t *out) {
    double v = cJSON_IsNumber(m) ? m->valuedouble : 0.5;
    if (v != floor(v) || fabs(v) >= WHOLE_MAX || v < (double)low || v > (double)high) return false;
    *out = (int64_t)v;
    return true;
}

int64_t json_int(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high) {
    const cJSON *m = json_member(o, key);
    int64_t value = absent;
    if (m && !int_in(m, low, high, &value))
        json_fault(o, key, "a whole number from %lld to %lld is supported", (long long)low, (long long)high);
    return value;
}

double json_number(JsonObject *o, const char *key, double absent, double low, double high) {
    const cJSON *m = json_member(o, key);
    if (!m) return absent;
    if (cJSON_IsNumber(m) && m->valuedouble >= low && m->valuedouble <= high) return m->valuedouble;
    json_fault(o, key, "a number from %g to %g is supported", low, high);
    return absent;
}

bool json_bool(JsonObject *o, const char *key, bool absent) {
    const cJSON *m = json_member(o, key);
    if (m && cJSON_IsBool(m)) return cJSON_IsTrue(m);
    if (m) json_fault(o, key, "true or false is supported");
    return absent;
}

const char *json_string(JsonObject *o, const char *key, const char *absent) {
    const cJSON *m = json_member(o, key);
    if (m && cJSON_IsString(m)) return m->valuestring;
    if (m) json_fault(o, key, "a string should stand here");
    return absent;
}

int json_choice(JsonObject *o, const char *key, int absent, const char *const names[]) {
    const cJSON *m = json_member(o, key);
    char list[300];
    size_t n = 0;
    list[0] = 0;
    for (int i = 0; names[i]; i++) {
        if (m && cJSON_IsString(m) && strcmp(m->valuestring, names[i]) == 0) return i;
        if (n < sizeof list)
            n += (size_t)snprintf(list + n, sizeof list - n, i ? ", \"%s\"" : "\"%s\"", names[i]);
    }
    if (m) json_fault(o, key, "supported: %s", list);
    return absent;
}

void json_ints(JsonObject *o, const char *key, int64_t absent, int64_t low, int64_t high, int count,
               int64_t out[]) {
    for (int i = 0; i < count; i++) out[i] = absent;
    const cJSON *m = json_member(o, key);
    bool list = cJSON_IsArray(m), ok = !list || cJSON_GetArraySize(m) == count;
    if (!m) return;
    const cJSON *item = list ? m->child : m;
    for (int i = 0; i < count && ok; i++, item = list ? item->next : item)
        ok = int_in(item, low, high, &out[i]);
    if (!ok)
        json_fault(o, key, "a whole number from %lld to %lld, or a list of %d (one a level), is supported",
                   (long long)low, (long long)high, count);
}

int json_length(JsonObject *o, const char *key, int max) {
    const cJSON *m = json_member(o, key);
    int n = cJSON_IsArray(m) ? cJSON_GetArraySize(m) : 0;
    if (n >= 1 && n <= max) return n;
    json_fault(o, key, "a list of 1 to %d members is supported", max);
    return 0;
}

void json_fixed(JsonObject *o, const JsonFixed *fields, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const JsonFixed *f = &fields[i];
        const cJSON *m = json_member(o, f->key);
        if (!m) continue;
        char *value = cJSON_PrintUnformatted(m);
        bool same = value && (strcmp(value, f->value) == 0 || (f->other && strcmp(value, f->other) == 0));
        if (!same) json_fault(o, f->key, "only %s is supported", f->value);
        cJSON_free(value);
    }
}

void json_ignore(JsonObject *o, const char *const keys[]) {
    for (int i = 0; keys[i]; i++) json_member(o, keys[i]);
}

static void name_unknown(JsonObject *o, Messages *sink, const char *what) {
    enum { NAMED_MAX = 20 };
    char *names = NULL;
    int i = 0, found = 0;
    for (const cJSON *m = o->object->child; m; m = m->next, i++) {
        if (o->known[i] || m->string[0] == '_') continue;
        if (++found > NAMED_MAX) continue;
        char *more = mem_format("%s%s\"%.60s\"", names ? names : "", names ? ", " : "", m->string);
        free(names);
        names = more;
    }
    if (found > NAMED_MAX)
        messages_add(sink, "%s: %s %s and %d more", o->path, what, names, found - NAMED_MAX);
    else if (found)
        messages_add(sink, "%s: %s %s", o->path, what, names);
    free(names);
}

void json_finish(JsonObject *o) { name_unknown(o, o->warnings, "not known here, and ignored:"); }

void json_finish_strictly(JsonObject *o) { name_unknown(o, o->errors, "not known here:"); }
