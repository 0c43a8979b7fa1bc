/* SPDX-License-Identifier: MIT */
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "io/utf8.h"

enum { REPLACEMENT = 0xFFFD, DECOMPOSED_MAX = 4 /* the longest canonical decomposition, in code points */ };

/* Whether 1 to 3 bytes are the beginning of some valid character. It is enough to try to complete them with
   0x80 and with 0xBF, since one of these two is a valid second byte after every first byte. */
static bool begins_character(const char *text, size_t size) {
    int32_t c;
    for (int fill = 0x80; fill <= 0xBF; fill += 0xBF - 0x80) {
        char whole[4];
        memset(whole, fill, sizeof whole);
        memcpy(whole, text, size);
        if (utf8_next(whole, sizeof whole, &c) > (int)size) return true;
    }
    return false;
}

/* Decodes one character of text[0..size), size > 0, and stores the number of bytes it takes in *used. */
static int32_t decode_one(const char *text, size_t size, size_t *used) {
    int32_t c;
    *used = (size_t)utf8_next(text, size, &c);
    if (*used) return c;
    for (*used = 1; *used < 3 && *used < size && begins_character(text, *used + 1);) ++*used;
    return REPLACEMENT;
}

CodePoints unicode_decode(const char *text, size_t size) {
    CodePoints out = { .at = mem_alloc(size * sizeof(int32_t)) };
    for (size_t i = 0, used; i < size; i += used) out.at[out.count++] = decode_one(text + i, size - i, &used);
    return out;
}

char *unicode_encode(const int32_t *at, int64_t count, size_t *size) {
    char *text = mem_alloc((size_t)count * 4 + 1);
    size_t length = 0;
    for (int64_t i = 0; i < count; i++)
        length += (size_t)utf8proc_encode_char(at[i], (utf8proc_uint8_t *)text + length);
    text[length] = 0;
    if (size) *size = length;
    return text;
}

static int combining_class(int32_t c) { return utf8proc_get_property(c)->combining_class; }

/* Sorts a run of combining marks by combining class with a counting sort, which is stable. utf8proc would use
   a bubble sort, whose time is quadratic and thus very long on a run of, say, 100,000 marks. */
static void sort_marks(int32_t *at, int64_t count, int32_t *scratch) {
    int64_t place[257] = { 0 };
    for (int64_t i = 0; i < count; i++) place[combining_class(at[i]) + 1]++;
    for (int c = 0; c < 256; c++) place[c + 1] += place[c];
    for (int64_t i = 0; i < count; i++) scratch[place[combining_class(at[i])]++] = at[i];
    memcpy(at, scratch, (size_t)count * sizeof *at);
}

/* Canonical ordering (Unicode, section 3.11): sorts each run of combining marks by combining class. */
static void order_canonically(int32_t *at, int64_t count, int32_t *scratch) {
    for (int64_t i = 0, end; i < count; i = end) {
        bool ordered = true;
        int last = combining_class(at[i]);
        end = i + 1;
        if (!last) continue;
        for (int next; end < count && (next = combining_class(at[end])) != 0; end++) {
            ordered = ordered && last <= next;
            last = next;
        }
        if (!ordered) sort_marks(at + i, end - i, scratch);
    }
}

static CodePoints to_nfc(const int32_t *at, int64_t count) {
    const utf8proc_option_t canonical = UTF8PROC_STABLE;
    int64_t capacity = count * DECOMPOSED_MAX;
    CodePoints out = { .at = mem_alloc((size_t)capacity * sizeof(int32_t)) };
    for (int64_t i = 0; i < count; i++) {
        int64_t room = capacity - out.count;
        int64_t n =
            utf8proc_decompose_char(at[i], out.at + out.count, room, canonical | UTF8PROC_DECOMPOSE, NULL);
        CHECK(n >= 0 && n <= room);
        out.count += n;
    }
    int32_t *scratch = mem_alloc((size_t)out.count * sizeof(int32_t));
    order_canonically(out.at, out.count, scratch);
    free(scratch);
    out.count = utf8proc_normalize_utf32(out.at, out.count, canonical | UTF8PROC_COMPOSE);
    CHECK(out.count >= 0);
    return out;
}

/* Whether a code point has the property White_Space, for which utf8proc has no table. The list is short and
   does not change between Unicode versions. */
static bool is_space(int32_t c) {
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

CodePoints unicode_normalize(const int32_t *at, int64_t count) {
    CodePoints nfc = to_nfc(at, count);
    CodePoints out = { .at = mem_alloc((size_t)nfc.count * 2 * sizeof(int32_t)) };
    for (int64_t i = 0; i < nfc.count; i++) {
        int32_t c = nfc.at[i];
        if (is_space(c)) {
            if (i == 0 || !is_space(nfc.at[i - 1])) out.at[out.count++] = ' ';
        } else if (c == 0x130) { /* its lower case is two code points, i and U+0307 */
            out.at[out.count++] = 'i';
            out.at[out.count++] = 0x307;
        } else {
            out.at[out.count++] = utf8proc_tolower(c);
        }
    }
    free(nfc.at);
    return out;
}

CodePoints unicode_normal_form(const char *text, size_t size) {
    CodePoints raw = unicode_decode(text, size), normal = unicode_normalize(raw.at, raw.count);
    free(raw.at);
    return normal;
}

char *unicode_normal_text(const char *text) {
    CodePoints normal = unicode_normal_form(text, strlen(text));
    char *out = unicode_encode(normal.at, normal.count, NULL);
    free(normal.at);
    return out;
}

CharClass unicode_class(int32_t c) {
    if (is_space(c)) return CLASS_SPACE;
    utf8proc_category_t category = utf8proc_category(c);
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) return CLASS_LETTER;
    if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) return CLASS_NUMBER;
    return CLASS_OTHER;
}

/* UTS #18 uses the property Alphabetic, for which utf8proc has no table either. Besides letters, marks and
   letter numbers, it includes the circled and squared Latin letters, which are the last four ranges. */
bool unicode_in_word(int32_t c) {
    utf8proc_category_t category = utf8proc_category(c);
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL)
        return true; /* letters, marks, decimal digits, letter numbers */
    return category == UTF8PROC_CATEGORY_PC || c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
           (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}
