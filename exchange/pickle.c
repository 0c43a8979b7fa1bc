/* SPDX-License-Identifier: MIT */
/* The stack machine. Its opcodes, and what they do to the stack, are described in the comments of Python's
   module pickletools. All loops are bounded by the pickle's bytes, and nothing here recurses: a list may hold
   itself. */
#include <stdlib.h>
#include <string.h>

#include "exchange/pickle_machine.h"
#include "io/bytes.h"
#include "io/utf8.h"

bool pickle_text_is(PickleText text, const char *want) {
    return strlen(want) == text.size && memcmp(text.at, want, text.size) == 0;
}

PickleValue *pickle_get(const PickleValue *dict, const char *key) {
    if (!dict || dict->kind != PICKLE_DICT) return NULL;
    for (size_t i = dict->as.items.count / 2; i > 0; i--) {
        const PickleValue *k = dict->as.items.at[2 * i - 2];
        if (k->kind == PICKLE_TEXT && pickle_text_is(k->as.text, key)) return dict->as.items.at[2 * i - 1];
    }
    return NULL;
}

bool pickle_fault(Machine *m, const char *what) {
    return messages_add(m->errors, "%s: its pickle is damaged: %s at byte %zu", m->path, what,
                        (size_t)(m->at - m->start));
}

bool pickle_too_large(Machine *m) {
    return messages_add(m->errors, "%s: its pickle has more than %d values", m->path, PICKLE_VALUES_MAX);
}

/* Returns the next n bytes of the pickle, or NULL after adding a message. */
static const unsigned char *take(Machine *m, size_t n) {
    if (n > (size_t)(m->end - m->at)) {
        pickle_fault(m, "it ends early");
        return NULL;
    }
    m->at += n;
    return m->at - n;
}

/* Returns how many of a text's bytes a message shows. */
int pickle_shown(PickleText text) { return (int)min_i64((int64_t)text.size, 100); }

/* Makes room for one more element of a list. */
static void grow(void *list, size_t *capacity, size_t count, size_t element) {
    void **at = list;
    if (count < *capacity) return;
    *capacity = *capacity ? 2 * *capacity : 8;
    *at = mem_grow(*at, *capacity * element);
}

/* ---- values and the stack ---- */

PickleValue *pickle_new(Machine *m, PickleKind kind) {
    Pickle *p = m->out;
    if (p->count >= PICKLE_VALUES_MAX) {
        pickle_too_large(m);
        return NULL;
    }
    if (p->count % PICKLE_BLOCK == 0) {
        p->blocks = mem_grow(p->blocks, (p->count / PICKLE_BLOCK + 1) * sizeof *p->blocks);
        p->blocks[p->count / PICKLE_BLOCK] = mem_alloc(PICKLE_BLOCK * sizeof **p->blocks);
    }
    PickleValue *v = &p->blocks[p->count / PICKLE_BLOCK][p->count % PICKLE_BLOCK];
    p->count++;
    v->kind = kind;
    return v;
}

/* Pushes a value, which may be NULL after new_value has failed. */
bool pickle_push(Machine *m, PickleValue *v) {
    if (!v) return false;
    if (m->depth >= PICKLE_VALUES_MAX) return pickle_too_large(m);
    grow(&m->stack, &m->stack_capacity, m->depth, sizeof *m->stack);
    m->stack[m->depth++] = v;
    return true;
}

static bool push_new(Machine *m) { return pickle_push(m, pickle_new(m, (PickleKind)m->kind)); }

/* The opcode with 4 bytes, whose kind is 1, is the only one whose number can be negative. */
static bool push_int(Machine *m) {
    PickleValue *v = pickle_new(m, PICKLE_INT);
    if (v) v->as.integer = m->kind ? (int64_t)(int32_t)m->argument : (int64_t)m->argument;
    return pickle_push(m, v);
}

static bool push_bool(Machine *m) {
    PickleValue *v = pickle_new(m, PICKLE_BOOL);
    if (v) v->as.truth = m->kind;
    return pickle_push(m, v);
}

/* Pops a value. What lies below the last mark cannot be popped. Returns NULL and adds a message when there is
   none. */
PickleValue *pickle_pop(Machine *m) {
    size_t bottom = m->mark_count ? m->marks[m->mark_count - 1] : 0;
    if (m->depth > bottom) return m->stack[--m->depth];
    pickle_fault(m, "an opcode finds too few values");
    return NULL;
}

/* Returns the uppermost value, or NULL after adding a message. */
PickleValue *pickle_top(Machine *m) {
    PickleValue *v = pickle_pop(m);
    if (v) m->depth++;
    return v;
}

static bool push_mark(Machine *m) {
    if (m->mark_count >= PICKLE_VALUES_MAX) return pickle_too_large(m);
    grow(&m->marks, &m->mark_capacity, m->mark_count, sizeof *m->marks);
    m->marks[m->mark_count++] = m->depth;
    return true;
}

/* Removes the last mark and the values above it. *items are these values, which stay in the stack's memory
   until the next push. */
static bool pop_to_mark(Machine *m, PickleValue ***items, size_t *count) {
    if (!m->mark_count) return pickle_fault(m, "there is no mark");
    size_t from = m->marks[--m->mark_count];
    *items = m->stack + from;
    *count = m->depth - from;
    m->depth = from;
    return true;
}

/* Appends values to a container. To an object, whose content is not read, nothing is appended. */
bool pickle_append(Machine *m, PickleValue *to, PickleKind kind, PickleValue *const *items, size_t count) {
    if (to->kind == PICKLE_OBJECT && kind != PICKLE_TUPLE) return true;
    if (to->kind != kind) return pickle_fault(m, "values are added to what is no container");
    if (kind == PICKLE_DICT && count % 2) return pickle_fault(m, "a key has no value");
    for (size_t i = 0; i < count; i++) {
        grow(&to->as.items.at, &to->as.items.capacity, to->as.items.count, sizeof *to->as.items.at);
        to->as.items.at[to->as.items.count++] = items[i];
    }
    return true;
}

/* Appends the values above the last mark to the value below it. */
static bool append_marked(Machine *m) {
    PickleKind kind = (PickleKind)m->kind;
    PickleValue **items = NULL, *to;
    size_t count = 0;
    return pop_to_mark(m, &items, &count) && (to = pickle_top(m)) && pickle_append(m, to, kind, items, count);
}

static bool append_one(Machine *m) {
    PickleValue *item = pickle_pop(m), *to = item ? pickle_top(m) : NULL;
    return to && pickle_append(m, to, PICKLE_LIST, &item, 1);
}

static bool set_one(Machine *m) {
    PickleValue *value = pickle_pop(m), *key = value ? pickle_pop(m) : NULL, *to = key ? pickle_top(m) : NULL;
    return to && pickle_append(m, to, PICKLE_DICT, (PickleValue *[]) { key, value }, 2);
}

static bool collect(Machine *m) {
    PickleKind kind = (PickleKind)m->kind;
    PickleValue **items = NULL, *v;
    size_t count = 0;
    return pop_to_mark(m, &items, &count) && (v = pickle_new(m, kind)) &&
           pickle_append(m, v, kind, items, count) && pickle_push(m, v);
}

static bool make_tuple(Machine *m) {
    size_t count = (size_t)m->kind;
    PickleValue *items[3], *v = pickle_new(m, PICKLE_TUPLE);
    if (!v) return false;
    for (size_t i = count; i > 0; i--)
        if (!(items[i - 1] = pickle_pop(m))) return false;
    return pickle_append(m, v, PICKLE_TUPLE, items, count) && pickle_push(m, v);
}

/* ---- the memo ---- */

/* MEMOIZE, whose kind is 1, takes the next index. */
static bool put(Machine *m) {
    size_t index = m->kind ? m->memo_count : m->argument;
    PickleValue *v = pickle_top(m);
    if (!v) return false;
    if (index >= PICKLE_VALUES_MAX) return pickle_too_large(m);
    if (index >= m->memo_capacity) {
        size_t capacity = 2 * index + 16;
        m->memo = mem_grow(m->memo, capacity * sizeof *m->memo);
        memset(m->memo + m->memo_capacity, 0, (capacity - m->memo_capacity) * sizeof *m->memo);
        m->memo_capacity = capacity;
    }
    m->memo[index] = v;
    if (index >= m->memo_count) m->memo_count = index + 1;
    return true;
}

static bool get(Machine *m) {
    size_t index = m->argument;
    if (index < m->memo_count && m->memo[index]) return pickle_push(m, m->memo[index]);
    return pickle_fault(m, "a value is used that was not stored");
}

/* ---- strings and numbers ---- */

static bool push_text(Machine *m) {
    const unsigned char *p = take(m, m->argument);
    if (!p) return false;
    PickleText text = { (const char *)p, m->argument };
    if (m->kind == PICKLE_TEXT && !utf8_valid(text.at, text.size))
        return pickle_fault(m, "a string is not UTF-8");
    PickleValue *v = pickle_new(m, (PickleKind)m->kind);
    if (v) v->as.text = text;
    return pickle_push(m, v);
}

/* Python 2's strings have no encoding. One that is not UTF-8 is kept as bytes. */
static bool push_string(Machine *m) {
    if (!push_text(m)) return false;
    PickleValue *v = m->stack[m->depth - 1];
    if (utf8_valid(v->as.text.at, v->as.text.size)) v->kind = PICKLE_TEXT;
    return true;
}

/* Reads a whole number of any length, little-endian in two's complement. One of more than 64 bits is kept as
   bytes. */
static bool push_long(Machine *m) {
    if (!push_text(m)) return false;
    PickleValue *v = m->stack[m->depth - 1];
    PickleText text = v->as.text;
    if (text.size > 8) return true;
    uint64_t n = text.size && (text.at[text.size - 1] & 0x80) ? UINT64_MAX : 0;
    for (size_t i = text.size; i > 0; i--) n = n << 8 | (unsigned char)text.at[i - 1];
    v->kind = PICKLE_INT;
    v->as.integer = (int64_t)n;
    return true;
}

static bool push_real(Machine *m) {
    const unsigned char *p = take(m, 8);
    PickleValue *v = p ? pickle_new(m, PICKLE_REAL) : NULL;
    if (!v) return false;
    uint64_t bits = (uint64_t)big32(p) << 32 | big32(p + 4);
    memcpy(&v->as.real, &bits, sizeof bits);
    return pickle_push(m, v);
}

/* ---- the opcodes ---- */

static bool check_protocol(Machine *m) {
    return (2 <= m->argument && m->argument <= 5) || pickle_fault(m, "its protocol is not 2 to 5");
}

/* FRAME has the size of a part, in 8 bytes, which only helps to read from a disk. */
static bool skip_frame(Machine *m) { return take(m, 4) != NULL; }

static const struct {
    unsigned char code;
    int bytes; /* of its argument */
    bool (*run)(Machine *m);
    int kind;
} OPCODES[] = {
    { 0x80, 1, check_protocol, 0 },          /* PROTO */
    { 0x95, 4, skip_frame, 0 },              /* FRAME */
    { 'N', 0, push_new, PICKLE_NONE },       /* NONE */
    { 0x88, 0, push_bool, 1 },               /* NEWTRUE */
    { 0x89, 0, push_bool, 0 },               /* NEWFALSE */
    { 'J', 4, push_int, 1 },                 /* BININT */
    { 'K', 1, push_int, 0 },                 /* BININT1 */
    { 'M', 2, push_int, 0 },                 /* BININT2 */
    { 0x8a, 1, push_long, PICKLE_BYTES },    /* LONG1 */
    { 0x8b, 4, push_long, PICKLE_BYTES },    /* LONG4 */
    { 'G', 0, push_real, 0 },                /* BINFLOAT */
    { 'X', 4, push_text, PICKLE_TEXT },      /* BINUNICODE */
    { 0x8c, 1, push_text, PICKLE_TEXT },     /* SHORT_BINUNICODE */
    { 'B', 4, push_text, PICKLE_BYTES },     /* BINBYTES */
    { 'C', 1, push_text, PICKLE_BYTES },     /* SHORT_BINBYTES */
    { 'T', 4, push_string, PICKLE_BYTES },   /* BINSTRING */
    { 'U', 1, push_string, PICKLE_BYTES },   /* SHORT_BINSTRING */
    { '}', 0, push_new, PICKLE_DICT },       /* EMPTY_DICT */
    { ']', 0, push_new, PICKLE_LIST },       /* EMPTY_LIST */
    { 0x8f, 0, push_new, PICKLE_LIST },      /* EMPTY_SET */
    { ')', 0, push_new, PICKLE_TUPLE },      /* EMPTY_TUPLE */
    { '(', 0, push_mark, 0 },                /* MARK */
    { 't', 0, collect, PICKLE_TUPLE },       /* TUPLE */
    { 0x91, 0, collect, PICKLE_LIST },       /* FROZENSET */
    { 0x85, 0, make_tuple, 1 },              /* TUPLE1 */
    { 0x86, 0, make_tuple, 2 },              /* TUPLE2 */
    { 0x87, 0, make_tuple, 3 },              /* TUPLE3 */
    { 'a', 0, append_one, 0 },               /* APPEND */
    { 'e', 0, append_marked, PICKLE_LIST },  /* APPENDS */
    { 0x90, 0, append_marked, PICKLE_LIST }, /* ADDITEMS */
    { 's', 0, set_one, 0 },                  /* SETITEM */
    { 'u', 0, append_marked, PICKLE_DICT },  /* SETITEMS */
    { 'q', 1, put, 0 },                      /* BINPUT */
    { 'r', 4, put, 0 },                      /* LONG_BINPUT */
    { 0x94, 0, put, 1 },                     /* MEMOIZE */
    { 'h', 1, get, 0 },                      /* BINGET */
    { 'j', 4, get, 0 },                      /* LONG_BINGET */
    { 'c', 0, pickle_global, 0 },            /* GLOBAL */
    { 0x93, 0, pickle_stack_global, 0 },     /* STACK_GLOBAL */
    { 'Q', 0, pickle_persistent, 0 },        /* BINPERSID */
    { 'R', 0, pickle_reduce, 0 },            /* REDUCE */
    { 0x81, 0, pickle_reduce, 0 },           /* NEWOBJ */
    { 0x92, 0, pickle_reduce, 1 },           /* NEWOBJ_EX */
    { 'b', 0, pickle_build, 0 },             /* BUILD */
};
enum { OPCODE_COUNT = sizeof OPCODES / sizeof *OPCODES, STOP = '.' };

static bool run(Machine *m, unsigned op) {
    int row = m->table[op] - 1;
    if (row < 0)
        return messages_add(
            m->errors, "%s: its pickle has the opcode 0x%02x at byte %zu, which torch.save does not write",
            m->path, op, (size_t)(m->at - m->start) - 1);
    const unsigned char *p = take(m, (size_t)OPCODES[row].bytes);
    if (!p) return false;
    m->argument = 0;
    for (int i = OPCODES[row].bytes; i > 0; i--) m->argument = m->argument << 8 | p[i - 1];
    m->kind = OPCODES[row].kind;
    return OPCODES[row].run(m);
}

static bool run_all(Machine *m) {
    for (int i = 0; i < OPCODE_COUNT; i++) m->table[OPCODES[i].code] = (unsigned char)(i + 1);
    if (m->at == m->end || *m->at != OPCODES[0].code)
        return pickle_fault(m, "it does not begin with its protocol");
    for (;;) {
        const unsigned char *op = take(m, 1);
        if (!op) return false;
        if (*op == STOP) break;
        if (!run(m, *op)) return false;
    }
    if (m->depth != 1 || m->mark_count) return pickle_fault(m, "it ends with values left over");
    m->out->root = m->stack[0];
    m->out->size = (size_t)(m->at - m->start);
    return true;
}

bool pickle_parse(const char *path, const void *bytes, size_t size, bool strict, Pickle *p,
                  Messages *errors) {
    *p = (Pickle) { 0 };
    const unsigned char *at = bytes;
    Machine m = { .path = path, .start = at, .at = at, .strict = strict, .out = p, .errors = errors };
    m.end = at + (size < PICKLE_BYTES_MAX ? size : PICKLE_BYTES_MAX);
    bool ok = run_all(&m);
    free(m.stack);
    free(m.memo);
    free(m.marks);
    if (!ok) pickle_free(p);
    return ok;
}

void pickle_free(Pickle *p) {
    for (size_t i = 0; i < p->count; i++) {
        PickleValue *v = &p->blocks[i / PICKLE_BLOCK][i % PICKLE_BLOCK];
        if (v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST || v->kind == PICKLE_DICT) free(v->as.items.at);
        if (v->kind == PICKLE_TENSOR) free(v->as.tensor);
    }
    for (size_t i = 0; i < p->count; i += PICKLE_BLOCK) free(p->blocks[i / PICKLE_BLOCK]);
    free(p->blocks);
    free(p->storages);
    *p = (Pickle) { 0 };
}
