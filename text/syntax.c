/* SPDX-License-Identifier: MIT */
#include "text/syntax.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/text.h"
#include "text/unicode.h"

const char *const PROMPT_SYNTAX_NAMES[] = { "plain", "a1111", "comfy", NULL };

enum { DEPTH_MAX = 100 };

void segments_free(Segments *s) {
    for (int64_t i = 0; i < s->count; i++) free(s->at[i].text);
    free(s->at);
    *s = (Segments) { 0 };
}

static void add_segment(Segments *s, const char *text, size_t size, double weight, bool is_break) {
    s->at = mem_grow(s->at, (size_t)(s->count + 1) * sizeof *s->at);
    s->at[s->count++] = (Segment) { mem_format("%.*s", (int)size, text), weight, is_break };
}

static bool fault(const char *prompt, const char *what, Messages *errors) {
    return messages_add(errors, "the prompt \"%s\": %s", prompt, what);
}

/* Numbers */

/* Parses a number in decimal notation, with spaces around it. Returns whether the whole text is one. */
static bool parse_number(const char *text, size_t size, double *number) {
    while (size > 0 && isspace((unsigned char)text[size - 1])) size--;
    char digits[64], *end;
    if (size == 0 || size >= sizeof digits) return false;
    memcpy(digits, text, size);
    digits[size] = 0;
    *number = strtod(digits, &end);
    if (end != digits + size) return false;
    size_t start = strspn(digits, " \t\n\v\f\r");
    /* strtod also reads hexadecimal numbers, which Python's float does not. */
    return strspn(digits + start, "+-.0123456789eE") == size - start || !isfinite(*number);
}

/* A1111's weights */

/* Whether `word` stands at this place of a text of `count` code points, and no other word character touches
   it. */
static bool is_word(const int32_t *s, int64_t at, int64_t count, const char *word) {
    int64_t size = (int64_t)strlen(word);
    if (size > count - at) return false;
    for (int64_t i = 0; i < size; i++)
        if (s[at + i] != word[i]) return false;
    return !(at > 0 && unicode_in_word(s[at - 1])) && !(at + size < count && unicode_in_word(s[at + size]));
}

/* Adds the code points of a text, from one place to another, as a segment. */
static void add_points(Segments *s, const int32_t *points, int64_t from, int64_t to) {
    size_t size;
    char *text = unicode_encode(points + from, to - from, &size);
    add_segment(s, text, size, 1, false);
    free(text);
}

/* Adds text without brackets, split at each BREAK, which takes the white space around it away. */
static void add_text(Segments *s, const char *text, size_t size) {
    CodePoints p = unicode_decode(text, size);
    int64_t from = 0;
    for (int64_t at = 0; at < p.count; at++) {
        if (!is_word(p.at, at, p.count, "BREAK")) continue;
        int64_t before = at, after = at + 5;
        while (before > from && unicode_class(p.at[before - 1]) == CLASS_SPACE) before--;
        while (after < p.count && unicode_class(p.at[after]) == CLASS_SPACE) after++;
        add_points(s, p.at, from, before);
        add_segment(s, "", 0, 1, true);
        from = after;
        at = after - 1;
    }
    add_points(s, p.at, from, p.count);
    free(p.at);
}

/* The brackets that are open: for each, the number of segments before it. */
typedef struct {
    int64_t at[DEPTH_MAX];
    int count;
} Open;

static void multiply_from(Segments *s, int64_t from, double weight) {
    for (int64_t i = from; i < s->count; i++) s->at[i].weight *= weight;
}

/* Returns the size of the end of a group with a weight, such as ":1.2)", or 0 when the text does not begin
   with one. digits and size become the place of the number. */
static size_t weight_end(const char *text, const char **digits, size_t *size) {
    const char *c = text + 1;
    while (isspace((unsigned char)*c)) c++;
    *digits = c;
    if (*c == '+' || *c == '-') c++;
    size_t number = strspn(c, ".0123456789");
    if (number == 0) return 0;
    c += number;
    *size = (size_t)(c - *digits);
    while (isspace((unsigned char)*c)) c++;
    return *c == ')' ? (size_t)(c + 1 - text) : 0;
}

static bool push(Open *open, int64_t at, const char *prompt, Messages *errors) {
    if (open->count == DEPTH_MAX) return fault(prompt, "its brackets are nested too deep", errors);
    open->at[open->count++] = at;
    return true;
}

/* Handles the special character at *text and moves *text behind what belongs to it. */
static bool a1111_bracket(const char **text, Segments *s, Open *round, Open *square, const char *prompt,
                          Messages *errors) {
    const char *c = *text, *digits;
    size_t size, end = *c == ':' ? weight_end(c, &digits, &size) : 0;
    double weight;
    *text = c + 1;
    if (*c == '\\') { /* A backslash before any other character vanishes. */
        bool escape = c[1] && strchr("()[]\\", c[1]);
        add_segment(s, c + 1, escape, 1, false);
        *text += escape;
    } else if (*c == '(') {
        return push(round, s->count, prompt, errors);
    } else if (*c == '[') {
        return push(square, s->count, prompt, errors);
    } else if (end > 0 && round->count > 0) {
        if (!parse_number(digits, size, &weight))
            return fault(prompt, "has a weight that is no number", errors);
        multiply_from(s, round->at[--round->count], weight);
        *text = c + end;
    } else if (*c == ')' && round->count > 0) {
        multiply_from(s, round->at[--round->count], 1.1);
    } else if (*c == ']' && square->count > 0) {
        multiply_from(s, square->at[--square->count], 1 / 1.1);
    } else {
        add_text(s, c, end > 0 ? end : 1);
        *text = c + (end > 0 ? end : 1);
    }
    return true;
}

/* Joins neighbours of the same weight, so that they are tokenised together. */
static void join_equal(Segments *s) {
    int64_t kept = 0;
    for (int64_t i = 0, next; i < s->count; i = next) {
        Text joined = { 0 };
        Segment first = s->at[i];
        text_add(&joined, first.text);
        for (next = i + 1; next < s->count; next++) {
            const Segment *more = &s->at[next];
            if (more->weight != first.weight || more->is_break || first.is_break) break;
            text_add(&joined, more->text);
            free(more->text);
        }
        free(first.text);
        s->at[kept++] = (Segment) { joined.at, first.weight, first.is_break };
    }
    s->count = kept;
}

static bool parse_a1111(const char *prompt, Segments *s, Messages *errors) {
    Open round = { .count = 0 }, square = { .count = 0 };
    for (const char *c = prompt; *c;) {
        size_t plain = strcspn(c, "\\()[]:");
        if (plain > 0) add_text(s, c, plain);
        c += plain;
        if (*c && !a1111_bracket(&c, s, &round, &square, prompt, errors)) return false;
    }
    while (round.count > 0) multiply_from(s, round.at[--round.count], 1.1);
    while (square.count > 0) multiply_from(s, square.at[--square.count], 1 / 1.1);
    for (int64_t i = 0; i < s->count; i++)
        if (s->at[i].is_break && s->at[i].weight != 1)
            return fault(prompt, "has a BREAK within brackets, where A1111 takes it for a word", errors);
    join_equal(s);
    return true;
}

/* What A1111 changes from step to step */

/* A bracket that is open, and what was found in it, but in no bracket within it. */
typedef struct {
    bool square, bar;  /* whether it is a '[', and whether there is a '|' */
    const char *colon; /* the last ':', or NULL */
} Group;

static bool check_group(const char *prompt, const Group *g, const char *end, Messages *errors) {
    double number;
    if (g->square && g->bar)
        return fault(prompt, "alternates between texts as in [a|b], which is not supported", errors);
    if (g->square && g->colon && parse_number(g->colon + 1, (size_t)(end - g->colon - 1), &number))
        return fault(prompt, "changes at a step as in [a:b:n], which is not supported", errors);
    return true;
}

static bool check_groups(const char *prompt, Messages *errors) {
    Group open[DEPTH_MAX];
    int count = 0;
    for (const char *c = prompt; *c; c++) {
        if (*c == '\\' && c[1]) {
            c++;
        } else if (*c == '[' || *c == '(') {
            if (count == DEPTH_MAX) return fault(prompt, "its brackets are nested too deep", errors);
            open[count++] = (Group) { .square = *c == '[' };
        } else if (count > 0 && (*c == ']' || *c == ')')) {
            if (!check_group(prompt, &open[--count], c, errors)) return false;
        } else if (count > 0) {
            if (*c == ':') open[count - 1].colon = c;
            if (*c == '|') open[count - 1].bar = true;
        }
    }
    return true;
}

/* Returns false and adds a message when A1111 would use several texts for the prompt. */
static bool check_schedules(const char *prompt, Messages *errors) {
    CodePoints p = unicode_decode(prompt, strlen(prompt));
    bool and = false;
    for (int64_t i = 0; i < p.count; i++) and = and || is_word(p.at, i, p.count, "AND");
    free(p.at);
    if (and) return fault(prompt, "joins texts with AND, which is not supported", errors);
    const char *colon = strrchr(prompt, ':');
    double number;
    if (colon && parse_number(colon + 1, strlen(colon + 1), &number))
        return fault(
            prompt,
            "ends with a number after a colon, which is a weight of the whole prompt in A1111 and is "
            "not supported",
            errors);
    return check_groups(prompt, errors);
}

/* ComfyUI's weights */

/* A prompt in which \( and \) have become brackets that are text. */
typedef struct {
    const char *prompt;
    char *text;
    bool *literal; /* for each character */
    Segments *segments;
    Messages *errors;
} Comfy;

static bool comfy_parse(const Comfy *k, size_t from, size_t to, double weight, int depth);

static bool is_bracket(const Comfy *k, size_t at, char bracket) {
    return k->text[at] == bracket && !k->literal[at];
}

/* An item is a group in brackets with what is in it, or the text between two groups. A number after the last
   colon of a group is its weight, whatever the weights around it are. */
static bool comfy_item(const Comfy *k, size_t from, size_t to, double weight, int depth) {
    if (to - from < 2 || !is_bracket(k, from, '(') || !is_bracket(k, to - 1, ')')) {
        if (to > from) add_segment(k->segments, k->text + from, to - from, weight, false);
        return true;
    }
    from++;
    to--;
    size_t colon = to;
    while (colon > from && k->text[colon - 1] != ':') colon--;
    double number;
    weight *= 1.1;
    if (colon > from + 1 && parse_number(k->text + colon, to - colon, &number)) {
        weight = number;
        to = colon - 1;
    }
    return comfy_parse(k, from, to, weight, depth + 1);
}

static bool comfy_parse(const Comfy *k, size_t from, size_t to, double weight, int depth) {
    if (depth > DEPTH_MAX) return fault(k->prompt, "its brackets are nested too deep", k->errors);
    int64_t level = 0; /* below 0 after a ')' without a '(', which then is text, as is the next '(' */
    size_t start = from;
    for (size_t i = from; i < to; i++) {
        if (is_bracket(k, i, '(')) {
            if (level++ > 0 || level <= 0) continue;
            if (!comfy_item(k, start, i, weight, depth)) return false;
            start = i;
        } else if (is_bracket(k, i, ')') && --level == 0) {
            if (!comfy_item(k, start, i + 1, weight, depth)) return false;
            start = i + 1;
        }
    }
    return comfy_item(k, start, to, weight, depth);
}

static bool parse_comfy(const char *prompt, Segments *s, Messages *errors) {
    size_t length = strlen(prompt), size = 0;
    Comfy k = { prompt, mem_alloc(length + 1), mem_alloc(length + 1), s, errors };
    for (const char *c = prompt; *c; c++) {
        bool escape = *c == '\\' && (c[1] == '(' || c[1] == ')');
        c += escape;
        k.literal[size] = escape;
        k.text[size++] = *c;
    }
    bool ok = comfy_parse(&k, 0, size, 1, 0);
    free(k.text);
    free(k.literal);
    return ok;
}

bool segments_parse(const char *prompt, PromptSyntax syntax, Segments *s, Messages *errors) {
    *s = (Segments) { 0 };
    bool ok = true;
    if (syntax == SYNTAX_PLAIN) add_segment(s, prompt, strlen(prompt), 1, false);
    if (syntax == SYNTAX_A1111) ok = check_schedules(prompt, errors) && parse_a1111(prompt, s, errors);
    if (syntax == SYNTAX_COMFY) ok = parse_comfy(prompt, s, errors);
    for (int64_t i = 0; i < s->count && ok; i++)
        if (!isfinite((float)s->at[i].weight)) ok = fault(prompt, "has a weight that is not finite", errors);
    if (!ok) segments_free(s);
    return ok;
}

bool prompt_looks_weighted(const char *prompt) {
    CodePoints p = unicode_decode(prompt, strlen(prompt));
    bool weighted = strstr(prompt, "((") || strstr(prompt, "[[") || strstr(prompt, "embedding:");
    for (int64_t i = 0; i < p.count; i++) weighted = weighted || is_word(p.at, i, p.count, "BREAK");
    free(p.at);
    const char *digits;
    size_t size;
    for (const char *c = strchr(prompt, '('); c && (c = strchr(c, ':')); c++)
        weighted = weighted || weight_end(c, &digits, &size) > 0;
    return weighted;
}
