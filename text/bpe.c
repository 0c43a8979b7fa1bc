/* SPDX-License-Identifier: MIT */
/* Tokens are spelled in the byte-level alphabet, in which each byte has a printable character: the code point
   of the same number where that is printable Latin-1, and otherwise the code points from U+0100 up, in the
   order of the bytes. The last symbol of a piece carries the end-of-word mark "</w>".

   Encoding a piece begins with one symbol per byte and repeatedly merges the pair of adjacent symbols with
   the lowest rank, which is its position in merges.txt. Of equal pairs the leftmost is merged first. */
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "io/hash.h"
#include "text/unicode.h"
#include "io/json.h"

static const char END_OF_WORD[] = "</w>", START_OF_TEXT[] = "<|startoftext|>",
                  END_OF_TEXT[] = "<|endoftext|>";

typedef struct {
    int32_t left, right;  /* the pair of ids; left < 0 marks an empty slot */
    int32_t rank, merged; /* its position in the list of merges, and the id of the token that it makes */
} Merge;

struct Bpe {
    int64_t size;        /* V */
    const char **tokens; /* [V], pointers into `document` or into `names` */
    json_t *document;    /* owns the tokens; NULL when the vocabulary is derived from the merges */
    char *names;         /* the texts of all derived tokens, each followed by a 0 */
    int32_t *by_name;    /* hash table of ids by token; -1 marks an empty slot */
    size_t name_mask;
    Merge *merges; /* hash table of merges by their pair */
    size_t merge_mask;
    int32_t characters[256];  /* the byte-level alphabet: the code point of each byte */
    int32_t byte_ids[2][256]; /* the id of each byte as a symbol within a piece [0] and at its end [1] */
};

void ids_push(Ids *ids, int32_t id) {
    if (ids->count == ids->capacity) {
        ids->capacity = ids->capacity ? 2 * ids->capacity : 64;
        ids->at = mem_grow(ids->at, (size_t)ids->capacity * sizeof *ids->at);
    }
    ids->at[ids->count++] = id;
}

/* Returns the number of slots of a hash table. The tables use open addressing with linear probing; the number
   is a power of two, and at most half of the slots are in use. */
static size_t table_slots(int64_t entries) {
    size_t slots = 16;
    while (slots < 2 * (size_t)entries) slots *= 2;
    return slots;
}

static size_t hash_text(const char *text, size_t size) {
    uint64_t h = hash_bytes(HASH_START, text, size);
    return (size_t)(h ^ h >> 32);
}

/* Returns the slot of the token text[0..size), or the empty slot where it would be inserted. */
static size_t name_slot(const Bpe *b, const char *text, size_t size) {
    size_t slot = hash_text(text, size) & b->name_mask;
    for (int32_t id; (id = b->by_name[slot]) >= 0; slot = (slot + 1) & b->name_mask)
        if (strlen(b->tokens[id]) == size && memcmp(b->tokens[id], text, size) == 0) break;
    return slot;
}

static int32_t find(const Bpe *b, const char *text, size_t size) {
    return b->by_name[name_slot(b, text, size)];
}

static Merge *merge_slot(const Bpe *b, int32_t left, int32_t right) {
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    size_t slot = (size_t)(h >> 32) & b->merge_mask;
    while (b->merges[slot].left >= 0 && (b->merges[slot].left != left || b->merges[slot].right != right))
        slot = (slot + 1) & b->merge_mask;
    return &b->merges[slot];
}

/* Counts the faults of a file. Since every line can have one, only the first few get a message each, and one
   more message gives the number of the others. */
typedef struct {
    const char *path;
    Messages *errors;
    int64_t count;
} Faults;

enum { FAULTS_REPORTED = 5 };

/* Counts one fault and returns whether a message should be added about it. */
static bool report_fault(Faults *f) { return ++f->count <= FAULTS_REPORTED; }

/* Adds one message about all faults without a message of their own. Returns true when the
   file has no faults. */
static bool report_rest(const Faults *f) {
    if (f->count > FAULTS_REPORTED)
        messages_add(f->errors, "%s: %lld more faults of this kind", f->path,
                     (long long)(f->count - FAULTS_REPORTED));
    return f->count == 0;
}

/* Reads the object that maps tokens to ids. Takes ownership of it, since the tokens keep pointing into it. */
static bool read_vocab(Bpe *b, const char *path, json_t *vocab, Messages *errors) {
    b->document = vocab;
    if (!json_is_object(b->document))
        return messages_add(errors, "%s: is not an object of tokens and ids", path);
    b->size = (int64_t)json_object_size(b->document);
    if (!b->size || b->size > INT32_MAX / 2)
        return messages_add(errors, "%s: has no tokens, or too many", path);

    Faults faults = { path, errors, 0 };
    b->tokens = mem_alloc((size_t)b->size * sizeof *b->tokens);
    const char *token;
    json_t *number;
    json_object_foreach (b->document, token, number) {
        int64_t id = json_whole(number);
        if ((id < 0 || id >= b->size) && report_fault(&faults))
            messages_add(errors, "%s: the id of \"%s\" is not in the range 0 to %lld", path, token,
                         (long long)b->size - 1);
        if (id < 0 || id >= b->size) continue;
        if (b->tokens[id] && report_fault(&faults))
            messages_add(errors, "%s: \"%s\" and \"%s\" both have the id %lld", path, b->tokens[id], token,
                         (long long)id);
        b->tokens[id] = token;
    }
    return report_rest(&faults); /* V distinct ids in 0 .. V-1 leave no gap */
}

/* Returns the next line of the text and moves *at past it, or returns NULL at the end of the text.
   *size becomes the length of the line without its line break. Lines that begin with #version are
   skipped, but counted in *number. */
static const char *next_line(const char **at, const char *end, size_t *size, int64_t *number) {
    while (*at < end) {
        const char *line = *at, *stop = memchr(line, '\n', (size_t)(end - line));
        *at = stop ? stop + 1 : end;
        if (!stop) stop = end;
        if (stop > line && stop[-1] == '\r') stop--;
        *size = (size_t)(stop - line);
        ++*number;
        if (*size < 8 || memcmp(line, "#version", 8) != 0) return line;
    }
    return NULL;
}

/* Whether the byte is a printable character of Latin-1, which represents itself in the byte-level
   alphabet. */
static bool is_printable(int byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

static void add_token(Bpe *b, char **names, const char *text, size_t size) {
    memcpy(*names, text, size);
    b->tokens[b->size++] = *names;
    *names += size + 1; /* the byte after the token is already 0 */
}

/* Derives CLIP's vocabulary from its merges. A malformed line adds a meaningless token here, which does no
   harm since read_merges rejects the file afterwards. */
static void derive_vocab(Bpe *b, const char *text, size_t size, int64_t lines) {
    enum { SYMBOL = 8, SYMBOLS = 2 * 256, SPECIAL = 16 };
    b->tokens = mem_alloc((size_t)(SYMBOLS + lines + 2) * sizeof *b->tokens);
    b->names = mem_alloc(SYMBOLS * SYMBOL + size + (size_t)lines + 2 * SPECIAL);
    char *names = b->names;
    /* The vocabulary begins with the characters of the 256 bytes, first all of them without the end-of-word
       mark and then all of them with it. Both times, bytes that represent themselves come first. */
    for (int last = 0; last < 2; last++)
        for (int others = 0; others < 2; others++)
            for (int byte = 0, other = 256; byte < 256; byte++) {
                char symbol[SYMBOL];
                int32_t c = is_printable(byte) ? byte : other++;
                if (is_printable(byte) == (others == 1)) continue;
                size_t n = (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)symbol);
                memcpy(symbol + n, END_OF_WORD, sizeof END_OF_WORD);
                add_token(b, &names, symbol, last ? n + sizeof END_OF_WORD - 1 : n);
            }
    int64_t number = 0;
    size_t length;
    for (const char *at = text, *line; (line = next_line(&at, text + size, &length, &number));) {
        const char *space = memchr(line, ' ', length);
        size_t left = space ? (size_t)(space - line) : length;
        memcpy(names, line, left);
        if (space) memcpy(names + left, space + 1, length - left - 1);
        b->tokens[b->size++] = names;
        names += length + 1;
    }
    add_token(b, &names, START_OF_TEXT, sizeof START_OF_TEXT - 1);
    add_token(b, &names, END_OF_TEXT, sizeof END_OF_TEXT - 1);
}

/* Builds the hash table of tokens. Returns false and adds a message when two ids have the same token, which
   can happen in a derived vocabulary. */
static bool index_tokens(Bpe *b, const char *path, Messages *errors) {
    size_t slots = table_slots(b->size);
    b->name_mask = slots - 1;
    b->by_name = mem_alloc(slots * sizeof *b->by_name);
    for (size_t i = 0; i < slots; i++) b->by_name[i] = -1;
    for (int32_t id = 0; id < b->size; id++) {
        int32_t *slot = &b->by_name[name_slot(b, b->tokens[id], strlen(b->tokens[id]))];
        if (*slot >= 0) return messages_add(errors, "%s: makes the token \"%s\" twice", path, b->tokens[id]);
        *slot = id;
    }
    return true;
}

/* Adds the merge of two tokens. Returns NULL when it is valid, otherwise the end of a message that says what
   is wrong with it. `joined` is a buffer with room for the text of both tokens. */
static const char *add_merge(Bpe *b, const char *left, size_t left_size, const char *right, size_t right_size,
                             int32_t rank, char *joined) {
    memcpy(joined, left, left_size);
    memcpy(joined + left_size, right, right_size);
    Merge m = { find(b, left, left_size), find(b, right, right_size), rank,
                find(b, joined, left_size + right_size) };
    if (m.left < 0 || m.right < 0) return "has a token that the vocabulary lacks";
    if (m.merged < 0) return "makes a token that the vocabulary lacks";
    Merge *slot = merge_slot(b, m.left, m.right);
    if (slot->left >= 0) return "occurs twice";
    *slot = m;
    return NULL;
}

/* Does the same for a line "left right" of merges.txt. */
static const char *read_merge(Bpe *b, const char *line, size_t size, int32_t rank, char *joined) {
    const char *space = memchr(line, ' ', size);
    size_t left = space ? (size_t)(space - line) : 0, right = space ? size - left - 1 : 0;
    if (!left || !right || memchr(space + 1, ' ', right)) return "is not two tokens separated by one space";
    return add_merge(b, line, left, space + 1, right, rank, joined);
}

/* Does the same for one member of the list in tokenizer.json, which is either a string with such a line or a
   list of two tokens. */
static const char *read_merge_json(Bpe *b, const json_t *merge, int32_t rank) {
    const json_t *sides[2] = { json_array_get(merge, 0), json_array_get(merge, 1) };
    const char *line = json_string_value(merge);
    bool pair = json_array_size(merge) == 2 && json_string_length(sides[0]) && json_string_length(sides[1]);
    if (!line && !pair) return "is neither a list of two tokens nor two tokens separated by one space";
    size_t left = json_string_length(sides[0]), right = json_string_length(sides[1]);
    char *joined = mem_alloc(line ? json_string_length(merge) : left + right);
    const char *wrong = line ? read_merge(b, line, json_string_length(merge), rank, joined)
                             : add_merge(b, json_string_value(sides[0]), left, json_string_value(sides[1]),
                                         right, rank, joined);
    free(joined);
    return wrong;
}

static void make_merges(Bpe *b, int64_t count) {
    size_t slots = table_slots(count);
    b->merge_mask = slots - 1;
    b->merges = mem_alloc(slots * sizeof *b->merges);
    for (size_t i = 0; i < slots; i++) b->merges[i].left = -1;
}

static int64_t count_lines(const char *text, size_t size) {
    int64_t lines = 1;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    return lines;
}

static bool read_merges(Bpe *b, const char *path, const char *text, size_t size, int64_t lines,
                        Messages *errors) {
    make_merges(b, lines);
    Faults faults = { path, errors, 0 };
    char *joined = mem_alloc(size);
    int64_t number = 0;
    size_t length;
    for (const char *at = text, *line; (line = next_line(&at, text + size, &length, &number));) {
        const char *wrong = read_merge(b, line, length, (int32_t)number, joined);
        if (wrong && report_fault(&faults)) {
            int shown = (int)min_i64((int64_t)length, 60);
            messages_add(errors, "%s: line %lld, \"%.*s\": %s", path, (long long)number, shown, line, wrong);
        }
    }
    free(joined);
    return report_rest(&faults);
}

static bool read_merges_json(Bpe *b, const char *path, const json_t *merges, Messages *errors) {
    if (!json_is_array(merges)) return messages_add(errors, "%s: has no list \"merges\"", path);
    make_merges(b, (int64_t)json_array_size(merges));
    Faults faults = { path, errors, 0 };
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *merge = json_array_get(merges, i);
        const char *wrong = read_merge_json(b, merge, (int32_t)i);
        if (wrong && report_fault(&faults)) {
            char *text = json_text(merge, 0);
            messages_add(errors, "%s: merge %lld, %.*s: %s", path, (long long)i + 1, text_cut(text, 60), text,
                         wrong);
            free(text);
        }
    }
    return report_rest(&faults);
}

static void make_alphabet(Bpe *b, int32_t unknown) {
    int32_t next = 256;
    for (int byte = 0; byte < 256; byte++) {
        b->characters[byte] = is_printable(byte) ? byte : next++;
        char symbol[8 + sizeof END_OF_WORD];
        size_t n = (size_t)utf8proc_encode_char(b->characters[byte], (utf8proc_uint8_t *)symbol);
        memcpy(symbol + n, END_OF_WORD, sizeof END_OF_WORD);
        int32_t inner = find(b, symbol, n), last = find(b, symbol, n + sizeof END_OF_WORD - 1);
        b->byte_ids[0][byte] = inner >= 0 ? inner : unknown;
        b->byte_ids[1][byte] = last >= 0 ? last : unknown;
    }
}

/* The last step of bpe_parse and bpe_from_json; ok is whether all earlier steps succeeded. Frees b and
   returns NULL when any step failed. */
static Bpe *finish(Bpe *b, bool ok, const char *path, const char *unknown, Messages *errors) {
    int32_t id = ok ? bpe_find(b, unknown) : -1;
    if (ok && id < 0) ok = messages_add(errors, "%s: has no token \"%s\"", path, unknown);
    if (ok) {
        make_alphabet(b, id);
        return b;
    }
    bpe_free(b);
    return NULL;
}

Bpe *bpe_parse(const char *vocab_path, const void *vocab, size_t vocab_size, const char *merges_path,
               const void *merges, size_t merges_size, const char *unknown, Messages *errors) {
    Bpe *b = mem_alloc(sizeof *b);
    const char *path = vocab ? vocab_path : merges_path;
    int64_t lines = count_lines(merges, merges_size);
    bool ok = lines <= INT32_MAX / 4 || messages_add(errors, "%s: has too many lines", merges_path);
    if (ok && vocab) {
        json_t *document = json_parse(vocab_path, vocab, vocab_size, true, errors);
        ok = document && read_vocab(b, vocab_path, document, errors);
    } else if (ok) {
        derive_vocab(b, merges, merges_size, lines);
    }
    ok = ok && index_tokens(b, path, errors) &&
         read_merges(b, merges_path, merges, merges_size, lines, errors);
    return finish(b, ok, path, unknown, errors);
}

Bpe *bpe_from_json(const char *path, json_t *vocab, const json_t *merges, const char *unknown,
                   Messages *errors) {
    Bpe *b = mem_alloc(sizeof *b);
    bool ok = read_vocab(b, path, json_incref(vocab), errors) && index_tokens(b, path, errors) &&
              read_merges_json(b, path, merges, errors);
    return finish(b, ok, path, unknown, errors);
}

void bpe_free(Bpe *b) {
    if (!b) return;
    json_decref(b->document);
    free(b->names);
    free(b->tokens);
    free(b->by_name);
    free(b->merges);
    free(b);
}

int64_t bpe_size(const Bpe *b) { return b->size; }

int32_t bpe_find(const Bpe *b, const char *token) { return find(b, token, strlen(token)); }

const char *bpe_token(const Bpe *b, int32_t id) {
    CHECK(id >= 0 && id < b->size);
    return b->tokens[id];
}

char *bpe_text(const Bpe *b, int32_t id) {
    const char *token = bpe_token(b, id);
    size_t size = strlen(token), mark = sizeof END_OF_WORD - 1, n = 0;
    if (size > mark && strcmp(token + size - mark, END_OF_WORD) == 0) size -= mark;
    CodePoints characters = unicode_decode(token, size);
    char *bytes = mem_alloc(size);
    for (int64_t i = 0; i < characters.count; i++)
        for (int byte = 0; byte < 256; byte++)
            if (b->characters[byte] == characters.at[i]) bytes[n++] = (char)byte;
    free(characters.at);
    CodePoints text = unicode_decode(bytes, n);
    free(bytes);
    char *readable = unicode_encode(text.at, text.count, NULL);
    free(text.at);
    return readable;
}

/* The symbols of a piece during merging form a doubly linked list in an array. A symbol that was merged into
   its left neighbour has the id -1. */
typedef struct {
    int32_t id, previous, next; /* previous, next: positions in the array, or -1 */
} Symbol;

/* A pair of adjacent symbols that has a merge. It contains the two ids that the symbols had when it was
   pushed, since a later merge can change the symbols. The heap orders candidates by rank, and those of
   equal rank by position. */
typedef struct {
    int32_t rank, position, left, right, merged;
} Candidate;

typedef struct {
    Candidate *at;
    int64_t count;
} Heap;

static bool before(const Candidate *a, const Candidate *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->position < b->position;
}

static void heap_push(Heap *h, Candidate c) {
    int64_t i = h->count++;
    for (int64_t parent; i > 0 && before(&c, &h->at[parent = (i - 1) / 2]); i = parent)
        h->at[i] = h->at[parent];
    h->at[i] = c;
}

static Candidate heap_pop(Heap *h) {
    Candidate top = h->at[0], last = h->at[--h->count];
    int64_t i = 0;
    for (int64_t child; (child = 2 * i + 1) < h->count; i = child) {
        if (child + 1 < h->count && before(&h->at[child + 1], &h->at[child])) child++;
        if (!before(&h->at[child], &last)) break;
        h->at[i] = h->at[child];
    }
    h->at[i] = last;
    return top;
}

static void push_pair(const Bpe *b, const Symbol *symbols, int32_t position, Heap *heap) {
    if (position < 0 || symbols[position].next < 0) return;
    int32_t left = symbols[position].id, right = symbols[symbols[position].next].id;
    const Merge *m = merge_slot(b, left, right);
    if (m->left >= 0) heap_push(heap, (Candidate) { m->rank, position, left, right, m->merged });
}

static void merge_all(const Bpe *b, Symbol *symbols, Heap *heap) {
    while (heap->count > 0) {
        Candidate c = heap_pop(heap);
        Symbol *left = &symbols[c.position];
        if (left->id != c.left || left->next < 0 || symbols[left->next].id != c.right)
            continue; /* an earlier merge has changed this pair */
        Symbol *right = &symbols[left->next];
        left->id = c.merged;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0) symbols[left->next].previous = c.position;
        push_pair(b, symbols, left->previous, heap);
        push_pair(b, symbols, c.position, heap);
    }
}

void bpe_encode(const Bpe *b, const char *piece, size_t size, Ids *ids) {
    CHECK(size > 0 && size < INT32_MAX / 4);
    int32_t n = (int32_t)size;
    Symbol *symbols = mem_alloc(size * sizeof *symbols);
    /* There are n - 1 pairs at first, and each of at most n - 1 merges pushes two more. */
    Heap heap = { .at = mem_alloc(3 * size * sizeof *heap.at) };
    for (int32_t i = 0; i < n; i++)
        symbols[i] =
            (Symbol) { b->byte_ids[i == n - 1][(unsigned char)piece[i]], i - 1, i + 1 < n ? i + 1 : -1 };
    for (int32_t i = 0; i < n; i++) push_pair(b, symbols, i, &heap);
    merge_all(b, symbols, &heap);
    for (int32_t i = 0; i >= 0; i = symbols[i].next) ids_push(ids, symbols[i].id);
    free(heap.at);
    free(symbols);
}
