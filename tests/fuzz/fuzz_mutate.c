/* SPDX-License-Identifier: MIT */
/* How the fuzzer makes one input from another. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* xorshift64* */
uint64_t draw(Random *r, uint64_t n) {
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (r->state * 0x2545f4914f6cdd1du >> 16) % n;
}

const char *const JSON_WORDS[] = { "null",
                                   "true",
                                   "false",
                                   "0",
                                   "-1",
                                   "-0",
                                   "1e999",
                                   "-1e999",
                                   "1e-9",
                                   "1.5",
                                   "{}",
                                   "[]",
                                   "\"\"",
                                   "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
                                   "{\"a\":{",
                                   "[[]]",
                                   "[1,2]",
                                   "[0,0]",
                                   "Infinity",
                                   "-Infinity",
                                   "NaN",
                                   "\"\\u0000\"",
                                   "\"\\ud800\"",
                                   "\"\\ud83d\\ude00\"",
                                   "\"\\u001b[2J\"",
                                   "\"\\n\"",
                                   "\\",
                                   "\xff",
                                   "\xc2\x9b",
                                   "\xed\xa0\x80",
                                   "\xf4\x90\x80\x80",
                                   "\xe2\x82",
                                   ",",
                                   ":",
                                   "\"",
                                   "\"a\"",
                                   "/**/",
                                   "01",
                                   "1.",
                                   "1e",
                                   "\t",
                                   "\x01",
                                   "\"a\":1,\"a\":2",
                                   NULL };

static const char *const NUMBERS[] = { "0",
                                       "1",
                                       "2",
                                       "-1",
                                       "255",
                                       "256",
                                       "65536",
                                       "2147483647",
                                       "2147483648",
                                       "4294967296",
                                       "9007199254740991",
                                       "9007199254740992",
                                       "9007199254740993",
                                       "9223372036854775807",
                                       "9223372036854775808",
                                       "18446744073709551616",
                                       "1e999",
                                       "1e308",
                                       "1e-320",
                                       "0.5",
                                       "00",
                                       "1234567890123456789012345678901234567890123456789012345678901",
                                       NULL };

/* Replaces `old` bytes at `at` by size bytes, unless the input would become too long. */
static void splice(Input *in, size_t at, size_t old, const void *bytes, size_t size) {
    if (in->size - old + size > INPUT_MAX) return;
    memmove(in->bytes + at + size, in->bytes + at + old, in->size - at - old);
    if (size) memcpy(in->bytes + at, bytes, size);
    in->size += size - old;
}

static void splice_text(Input *in, size_t at, size_t old, const char *text) {
    splice(in, at, old, text, strlen(text));
}

static const char *pick(const char *const *words, Random *r) {
    size_t n = 0;
    while (words[n]) n++;
    return words[draw(r, n)];
}

/* Returns a random length of at most `left`, which is usually short. */
static size_t some_length(size_t left, Random *r) {
    size_t most = draw(r, 8) ? 16 : 4096;
    return draw(r, (most < left ? most : left) + 1);
}

static const Bytes *some_seed(const Seeds *seeds, Random *r) {
    return &seeds->at[draw(r, (uint64_t)seeds->count)];
}

static bool ends_token(unsigned char c) { return c <= ' ' || strchr(",:[]{}=", c); }

/* Finds the token around a random place, from one separator to the next. */
static void find_token(const unsigned char *bytes, size_t size, Random *r, size_t *from, size_t *to) {
    *from = *to = draw(r, size + 1);
    while (*from > 0 && !ends_token(bytes[*from - 1])) --*from;
    while (*to < size && !ends_token(bytes[*to])) ++*to;
}

/* Replaces a token by a word of the format or by a token of another seed. */
static void change_token(Input *in, const Seeds *seeds, const char *const *words, Random *r) {
    size_t from, to, other_from, other_to;
    find_token(in->bytes, in->size, r, &from, &to);
    if (draw(r, 2)) {
        splice_text(in, from, to - from, pick(words, r));
        return;
    }
    const Bytes *other = some_seed(seeds, r);
    find_token(other->at, other->size, r, &other_from, &other_to);
    splice(in, from, to - from, other->at + other_from, other_to - other_from);
}

/* Replaces a number in digits by another one. */
static void change_digits(Input *in, Random *r) {
    size_t from = draw(r, in->size + 1);
    while (from < in->size && (in->bytes[from] < '0' || in->bytes[from] > '9')) from++;
    size_t to = from;
    while (to < in->size && in->bytes[to] >= '0' && in->bytes[to] <= '9') to++;
    if (from == to) return;
    if (draw(r, 2))
        in->bytes[from + draw(r, to - from)] = (unsigned char)('0' + draw(r, 10));
    else
        splice_text(in, from, to - from, pick(NUMBERS, r));
}

/* Replaces 2, 4 or 8 bytes, in either byte order, by a number near the limits of lengths and offsets. */
static void change_integer(Input *in, Random *r) {
    size_t width = (size_t)2 << draw(r, 3);
    if (in->size < width) return;
    size_t at = draw(r, in->size - width + 1);
    bool big = draw(r, 2);
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) value = value << 8 | in->bytes[at + (big ? i : width - 1 - i)];
    const uint64_t ends[] = { 0, in->size, in->size - at, UINT64_C(1) << (8 * width - 1), UINT64_MAX };
    if (draw(r, 2)) value = ends[draw(r, sizeof ends / sizeof *ends)];
    value += draw(r, 9) - 4;
    for (size_t i = 0; i < width; i++)
        in->bytes[at + (big ? width - 1 - i : i)] = (unsigned char)(value >> (8 * i));
}

/* Repeats a part once or, sometimes, many times, which makes deep nesting, long lists and repeated keys. */
static void repeat_part(Input *in, size_t at, Random *r) {
    unsigned char part[64];
    size_t n = draw(r, sizeof part) + 1;
    if (n > in->size - at) n = in->size - at;
    memcpy(part, in->bytes + at, n);
    for (uint64_t times = draw(r, 8) ? 1 : draw(r, 100); times > 0; times--) splice(in, at, 0, part, n);
}

static void change_byte(Input *in, size_t at, Random *r) {
    static const unsigned char bytes[] = { 0, 1, 0x7f, 0x80, 0xff, ' ', '"', '\n', PART_END };
    if (at == in->size) return;
    switch (draw(r, 3)) {
    case 0:
        in->bytes[at] ^= (unsigned char)(1u << draw(r, 8));
        break;
    case 1:
        in->bytes[at] = (unsigned char)draw(r, 256);
        break;
    default:
        in->bytes[at] = bytes[draw(r, sizeof bytes)];
    }
}

static void mutate_once(Input *in, const Seeds *seeds, const char *const *words, Random *r) {
    size_t at = draw(r, in->size + 1), left = in->size - at;
    switch (draw(r, 12)) {
    case 0:
    case 1:
        change_byte(in, at, r);
        break;
    case 2:
        change_integer(in, r);
        break;
    case 3:
        splice(in, at, some_length(left, r), NULL, 0);
        break;
    case 4:
        splice_text(in, at, 0, pick(words, r));
        break;
    case 5:
        splice_text(in, at, some_length(left, r), pick(words, r));
        break;
    case 6:
        repeat_part(in, at, r);
        break;
    case 7: { /* a part of another seed */
        const Bytes *other = some_seed(seeds, r);
        size_t from = draw(r, other->size + 1), n = some_length(other->size - from, r);
        splice(in, at, draw(r, 2) ? 0 : n < left ? n : left, other->at + from, n);
        break;
    }
    case 8:
        change_digits(in, r);
        break;
    case 9:
    case 10:
        change_token(in, seeds, words, r);
        break;
    default: /* truncates the input, but rarely, since little is left to parse then */
        if (draw(r, 4) == 0) in->size = at;
    }
}

void input_mutate(Input *in, const Seeds *seeds, const char *const *words, Random *r) {
    uint64_t times = 1 + draw(r, 2);
    if (draw(r, 8) == 0) times += draw(r, 16);
    for (; times > 0; times--) mutate_once(in, seeds, words, r);
}
