/* SPDX-License-Identifier: MIT */
/* The globals that a pickle names, and what calling them makes. */
#include <stdlib.h>
#include <string.h>

#include "exchange/pickle_machine.h"
#include "io/utf8.h"

/* What calling a global does. */
typedef enum {
    CALL_NOTHING, /* it makes an object whose content is not read */
    CALL_DICT,
    CALL_LIST,
    CALL_TENSOR,        /* (storage, offset, size, stride, requires_grad, hooks) */
    CALL_PARAMETER,     /* (tensor, ...): the parameter is read as the tensor */
    CALL_FROM_TYPE,     /* (function, type, arguments, state): a tensor with further attributes */
    CALL_STORAGE_CLASS, /* it names the type of a storage */
    CALL_CODEC          /* _codecs.encode, by which protocol 2 writes bytes */
} Call;

/* The globals that a file of learned words may name. */
static const struct {
    const char *module, *name;
    Call call;
    const char *dtype; /* of a storage class */
    int64_t element;   /* bytes of its elements */
} GLOBALS[] = {
    { "collections", "OrderedDict", CALL_DICT, NULL, 0 },
    { "torch._utils", "_rebuild_tensor_v2", CALL_TENSOR, NULL, 0 },
    { "torch._utils", "_rebuild_parameter", CALL_PARAMETER, NULL, 0 },
    { "torch._utils", "_rebuild_parameter_with_state", CALL_PARAMETER, NULL, 0 },
    { "torch._tensor", "_rebuild_from_type_v2", CALL_FROM_TYPE, NULL, 0 },
    { "torch", "FloatStorage", CALL_STORAGE_CLASS, "F32", 4 },
    { "torch", "HalfStorage", CALL_STORAGE_CLASS, "F16", 2 },
    { "torch", "BFloat16Storage", CALL_STORAGE_CLASS, "BF16", 2 },
    { "torch", "DoubleStorage", CALL_STORAGE_CLASS, "F64", 8 },
    { "torch", "LongStorage", CALL_STORAGE_CLASS, "I64", 8 },
    { "torch", "IntStorage", CALL_STORAGE_CLASS, "I32", 4 },
    { "torch", "ShortStorage", CALL_STORAGE_CLASS, "I16", 2 },
    { "torch", "CharStorage", CALL_STORAGE_CLASS, "I8", 1 },
    { "torch", "ByteStorage", CALL_STORAGE_CLASS, "U8", 1 },
    { "torch", "BoolStorage", CALL_STORAGE_CLASS, "BOOL", 1 },
    { "torch.nn.modules.container", "ParameterDict", CALL_NOTHING, NULL, 0 },
    { "torch.nn.parameter", "Parameter", CALL_NOTHING, NULL, 0 },
    { "torch", "Tensor", CALL_NOTHING, NULL, 0 },
    { "torch", "Size", CALL_NOTHING, NULL, 0 },
    { "torch", "device", CALL_NOTHING, NULL, 0 },
    { "torch", "float32", CALL_NOTHING, NULL, 0 },
    { "torch", "float16", CALL_NOTHING, NULL, 0 },
    { "torch", "bfloat16", CALL_NOTHING, NULL, 0 },
    { "__builtin__", "set", CALL_LIST, NULL, 0 },
    { "builtins", "set", CALL_LIST, NULL, 0 },
    { "_codecs", "encode", CALL_CODEC, NULL, 0 },
    { "numpy", "dtype", CALL_NOTHING, NULL, 0 },
    { "numpy.core.multiarray", "scalar", CALL_NOTHING, NULL, 0 },
    { "numpy._core.multiarray", "scalar", CALL_NOTHING, NULL, 0 },
};

static bool push_global(Machine *m, PickleText module, PickleText name) {
    int found = -1;
    for (int i = 0; i < (int)(sizeof GLOBALS / sizeof *GLOBALS) && found < 0; i++)
        if (pickle_text_is(module, GLOBALS[i].module) && pickle_text_is(name, GLOBALS[i].name)) found = i;
    if (found < 0 && m->strict)
        return messages_add(m->errors,
                            "%s: names \"%.*s.%.*s\", which no learned word needs: such a file could run a "
                            "program where it is loaded, and is refused",
                            m->path, pickle_shown(module), module.at, pickle_shown(name), name.at);
    PickleValue *v = pickle_new(m, PICKLE_GLOBAL);
    if (!v) return false;
    v->as.global.module = module;
    v->as.global.name = name;
    v->as.global.function = found;
    return pickle_push(m, v);
}

static bool take_line(Machine *m, PickleText *line) {
    const unsigned char *end = memchr(m->at, '\n', (size_t)(m->end - m->at));
    if (!end) return pickle_fault(m, "it ends early");
    *line = (PickleText) { (const char *)m->at, (size_t)(end - m->at) };
    m->at = end + 1;
    return utf8_valid(line->at, line->size) || pickle_fault(m, "a string is not UTF-8");
}

bool pickle_global(Machine *m) {
    PickleText module, name;
    return take_line(m, &module) && take_line(m, &name) && push_global(m, module, name);
}

bool pickle_stack_global(Machine *m) {
    const PickleValue *name = pickle_pop(m), *module = name ? pickle_pop(m) : NULL;
    if (!module) return false;
    if (name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
        return pickle_fault(m, "a global's name is no string");
    return push_global(m, module->as.text, name->as.text);
}

static Call call_of(const PickleValue *v) {
    return v->kind == PICKLE_GLOBAL && v->as.global.function >= 0 ? GLOBALS[v->as.global.function].call
                                                                  : CALL_NOTHING;
}

static bool whole(const PickleValue *v, int64_t *n) {
    *n = v->kind == PICKLE_INT ? v->as.integer : -1;
    return *n >= 0;
}

/* Returns whether the tensor's elements lie within its storage. */
static bool within(const PickleTensor *t) {
    int64_t last = t->offset, step;
    for (int d = 0; d < t->shape.rank; d++) {
        if (t->shape.dim[d] == 0) return t->offset <= t->storage->count;
        if (__builtin_mul_overflow(t->shape.dim[d] - 1, t->stride[d], &step) ||
            __builtin_add_overflow(last, step, &last))
            return false;
    }
    return last < t->storage->count;
}

/* Calls _rebuild_tensor_v2. Arguments after the first four (requires_grad, hooks, metadata) change no number.
   */
static bool make_tensor(Machine *m, const PickleValue *arguments, PickleValue *result) {
    PickleValue *const *a = arguments->as.items.at;
    if (arguments->as.items.count < 4 || a[0]->kind != PICKLE_STORAGE || a[2]->kind != PICKLE_TUPLE ||
        a[3]->kind != PICKLE_TUPLE || a[2]->as.items.count != a[3]->as.items.count)
        return pickle_fault(m, "a tensor's arguments are wrong");
    size_t rank = a[2]->as.items.count;
    if (rank > SHAPE_MAX)
        return messages_add(m->errors, "%s: a tensor has more than %d dimensions", m->path, SHAPE_MAX);
    PickleTensor t = { .storage = &a[0]->as.storage, .shape.rank = (int)rank };
    bool ok = whole(a[1], &t.offset);
    for (size_t d = 0; d < rank && ok; d++)
        ok = whole(a[2]->as.items.at[d], &t.shape.dim[d]) && whole(a[3]->as.items.at[d], &t.stride[d]);
    if (!ok) return pickle_fault(m, "a tensor's arguments are wrong");
    if (!within(&t))
        return messages_add(m->errors, "%s: a tensor lies outside its storage \"%.*s\"", m->path,
                            pickle_shown(t.storage->key), t.storage->key.at);
    result->kind = PICKLE_TENSOR;
    result->as.tensor = mem_alloc(sizeof t);
    *result->as.tensor = t;
    return true;
}

/* Calls OrderedDict, without arguments or with a list of pairs, or set with a list. */
static bool make_container(Machine *m, const PickleValue *arguments, PickleKind kind, PickleValue *result) {
    size_t count = arguments->as.items.count;
    result->kind = kind;
    if (count == 0) return true;
    const PickleValue *list = arguments->as.items.at[0];
    if (count > 1 || list->kind != PICKLE_LIST) return pickle_fault(m, "a container's arguments are wrong");
    m->copied += 2 * list->as.items.count;
    if (m->copied > PICKLE_VALUES_MAX) return pickle_too_large(m);
    if (kind == PICKLE_LIST) return pickle_append(m, result, kind, list->as.items.at, list->as.items.count);
    for (size_t i = 0; i < list->as.items.count; i++) {
        const PickleValue *pair = list->as.items.at[i];
        if ((pair->kind != PICKLE_LIST && pair->kind != PICKLE_TUPLE) || pair->as.items.count != 2)
            return pickle_fault(m, "a container's arguments are wrong");
        if (!pickle_append(m, result, kind, pair->as.items.at, 2)) return false;
    }
    return true;
}

/* Makes an object of the class that a global names; anything else that is called, which a strict reader
   refuses, makes an object without a class. */
static bool make_object(Machine *m, const PickleValue *class, PickleValue *result) {
    static const PickleText none = { "?", 1 };
    bool named = class->kind == PICKLE_GLOBAL;
    if (!named && (m->strict || class->kind != PICKLE_OBJECT))
        return pickle_fault(m, "what is called is no global");
    result->kind = PICKLE_OBJECT;
    result->as.object.module = named ? class->as.global.module : none;
    result->as.object.name = named ? class->as.global.name : none;
    return true;
}

static bool call(Machine *m, const PickleValue *function, const PickleValue *arguments, PickleValue *result) {
    Call what = call_of(function);
    if (arguments->kind != PICKLE_TUPLE) return pickle_fault(m, "arguments are no tuple");
    PickleValue *const *a = arguments->as.items.at;
    size_t count = arguments->as.items.count;
    if (what == CALL_FROM_TYPE) { /* This is the call of another function, which is never this one again. */
        if (count < 3 || a[2]->kind != PICKLE_TUPLE) return pickle_fault(m, "a tensor's arguments are wrong");
        what = call_of(a[0]);
        if (what != CALL_TENSOR && what != CALL_PARAMETER) return make_object(m, a[0], result);
        arguments = a[2];
        a = arguments->as.items.at;
        count = arguments->as.items.count;
    }
    if (what == CALL_TENSOR) return make_tensor(m, arguments, result);
    if (what == CALL_DICT) return make_container(m, arguments, PICKLE_DICT, result);
    if (what == CALL_LIST) return make_container(m, arguments, PICKLE_LIST, result);
    if (what != CALL_PARAMETER) return make_object(m, function, result);
    if (count < 1 || (a[0]->kind != PICKLE_TENSOR && a[0]->kind != PICKLE_OBJECT))
        return pickle_fault(m, "a parameter's arguments are wrong");
    if (a[0]->kind == PICKLE_OBJECT) {
        *result = *a[0];
        return true;
    }
    result->kind = PICKLE_TENSOR;
    result->as.tensor = mem_alloc(sizeof *result->as.tensor);
    *result->as.tensor = *a[0]->as.tensor;
    return true;
}

/* Calls the function, or makes an object of the class, that lies below its arguments on the stack. */
bool pickle_reduce(Machine *m) {
    bool keywords = m->kind == 1;
    if (keywords && !pickle_pop(m)) return false;
    const PickleValue *arguments = pickle_pop(m), *function = arguments ? pickle_pop(m) : NULL;
    PickleValue *result = function ? pickle_new(m, PICKLE_NONE) : NULL;
    return result && call(m, function, arguments, result) && pickle_push(m, result);
}

/* Gives an object its state. Only a ParameterDict's is kept; that of an OrderedDict or a tensor are
   attributes beside its content. */
bool pickle_build(Machine *m) {
    PickleValue *state = pickle_pop(m), *to = state ? pickle_top(m) : NULL;
    if (!to) return false;
    if (to->kind == PICKLE_OBJECT && pickle_text_is(to->as.object.name, "ParameterDict"))
        to->as.object.state = state;
    bool has_attributes = to->kind == PICKLE_OBJECT || to->kind == PICKLE_DICT || to->kind == PICKLE_LIST ||
                          to->kind == PICKLE_TENSOR;
    return has_attributes || pickle_fault(m, "a state is given to what has none");
}

/* Makes a storage from a persistent id, ("storage", type, key, location, number of elements), which in the
   format before torch 1.6 ends with the description of a view; torch has not written any for years. */
static bool push_storage(Machine *m, const PickleValue *id) {
    PickleValue *const *a = id->as.items.at;
    size_t count = id->as.items.count;
    PickleStorage s = { .count = 0 };
    if ((count != 5 && count != 6) || a[0]->kind != PICKLE_TEXT ||
        !pickle_text_is(a[0]->as.text, "storage") || a[1]->kind != PICKLE_GLOBAL ||
        a[2]->kind != PICKLE_TEXT || !whole(a[4], &s.count) || (count == 6 && a[5]->kind != PICKLE_NONE))
        return pickle_fault(m, "a storage's description is wrong");
    s.key = a[2]->as.text;
    s.type = a[1]->as.global.name;
    if (call_of(a[1]) == CALL_STORAGE_CLASS) {
        s.dtype = GLOBALS[a[1]->as.global.function].dtype;
        s.element = GLOBALS[a[1]->as.global.function].element;
    }
    if (!s.dtype && m->strict) return pickle_fault(m, "a storage's description is wrong");
    if (s.element && s.count > INT64_MAX / s.element) return pickle_fault(m, "a storage's size is wrong");
    PickleValue *v = pickle_new(m, PICKLE_STORAGE);
    if (!v) return false;
    v->as.storage = s;
    Pickle *p = m->out;
    if (p->storage_count % PICKLE_BLOCK == 0)
        p->storages = mem_grow(p->storages, (p->storage_count + PICKLE_BLOCK) * sizeof *p->storages);
    p->storages[p->storage_count++] = v;
    return pickle_push(m, v);
}

/* Calls for something outside the pickle. In the format before torch 1.6 that is also a class of torch.nn,
   ("module", class, source file, source text), of which only the class is used. */
bool pickle_persistent(Machine *m) {
    const PickleValue *id = pickle_pop(m);
    if (!id) return false;
    size_t count = id->kind == PICKLE_TUPLE ? id->as.items.count : 0;
    if (!count || id->as.items.at[0]->kind != PICKLE_TEXT)
        return pickle_fault(m, "a storage's description is wrong");
    bool module = count == 4 && pickle_text_is(id->as.items.at[0]->as.text, "module");
    if (module && id->as.items.at[1]->kind == PICKLE_GLOBAL) return pickle_push(m, id->as.items.at[1]);
    return push_storage(m, id);
}
