/* SPDX-License-Identifier: MIT */
#include "exchange/torch_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/bytes.h"

bool is_pickle(const void *bytes, size_t size) {
    const unsigned char *p = bytes;
    if (size > 8 && p[8] == '{')
        return false; /* a safetensors file, whose header's size may begin with the same bytes */
    return size >= 4 && (memcmp(p, "PK\3\4", 4) == 0 || (p[0] == 0x80 && p[1] >= 2 && p[1] <= 5));
}

/* KEY_MAX bounds the keys of storages, which torch numbers, and what messages show of a text; NAME_MAX_BYTES
   the tensors' names; GATHER_MAX the numbers of all tensors that are copied. A pickle names a long text or a
   tensor any number of times at no cost, so these bound the work and the memory. */
enum { KEY_MAX = 100, NAME_MAX_BYTES = 1000, GATHER_MAX = 1 << 22 };

/* Returns how many of a text's bytes a message shows. */
static int shown(PickleText text) { return (int)min_i64((int64_t)text.size, KEY_MAX); }

/* ---- the zip file ---- */

/* Returns the member FOLDER/data.pkl, whose folder is the name under which the file was saved; NULL when
   there is none or more than one. */
static const ZipMember *find_pickle(const Zip *z) {
    const ZipMember *found = NULL;
    for (int64_t i = 0; i < z->count; i++) {
        const char *slash = strchr(z->members[i].name, '/');
        if (!slash || strcmp(slash, "/data.pkl") != 0) continue;
        if (found) return NULL;
        found = &z->members[i];
    }
    return found;
}

/* Returns the member of that name in the pickle's folder, or NULL. */
static const ZipMember *find_in(const Zip *z, const ZipMember *pickle, const char *name) {
    char *full = mem_format("%.*s/%s", (int)strcspn(pickle->name, "/"), pickle->name, name);
    const ZipMember *member = zip_find(z, full);
    free(full);
    return member;
}

/* Sets the data of a storage, the member FOLDER/data/KEY. */
static bool find_storage(Zip *z, const ZipMember *pickle, bool strict, PickleStorage *s, Messages *errors) {
    char *name = mem_format("data/%.*s", shown(s->key), s->key.at);
    const ZipMember *member = find_in(z, pickle, name);
    free(name);
    if (!member || s->key.size > KEY_MAX)
        return messages_add(errors, "%s: has no storage \"%.*s\", which a tensor needs", z->path,
                            shown(s->key), s->key.at);
    if (!s->dtype || (!strict && !member->data)) return true;
    if (member->size < (size_t)(s->count * s->element))
        return messages_add(errors,
                            "%s: its storage \"%.*s\" of %zu bytes is too small for %lld numbers of type %s",
                            z->path, shown(s->key), s->key.at, member->size, (long long)s->count, s->dtype);
    s->data = zip_read(z, member, errors);
    return s->data != NULL;
}

static bool parse_zip(const char *path, const void *bytes, size_t size, bool strict, TorchFile *t,
                      Messages *errors) {
    if (!zip_open(path, bytes, size, &t->zip, errors)) return false;
    const ZipMember *pickle = find_pickle(&t->zip);
    if (!pickle)
        return messages_add(
            errors, "%s: is a zip file, but none that torch.save has written (it has no data.pkl)", path);
    const ZipMember *order = find_in(&t->zip, pickle, "byteorder");
    const unsigned char *text = order ? zip_read(&t->zip, order, errors) : NULL;
    if (order && !text) return false;
    if (order && (order->size != 6 || memcmp(text, "little", 6) != 0))
        return messages_add(errors, "%s: was written on a big-endian machine, which is not read", path);
    const unsigned char *program = zip_read(&t->zip, pickle, errors);
    if (!program || !pickle_parse(path, program, pickle->size, strict, &t->pickle, errors)) return false;
    for (size_t i = 0; i < t->pickle.storage_count; i++)
        if (!find_storage(&t->zip, pickle, strict, &t->pickle.storages[i]->as.storage, errors)) return false;
    return true;
}

/* ---- the format before torch 1.6 ---- */

static bool not_torch(const char *path, Messages *errors) {
    return messages_add(errors, "%s: is a pickle, but none that torch.save has written", path);
}

/* Reads a pickle at *at and moves *at behind it. */
static bool next_pickle(const char *path, const unsigned char **at, const unsigned char *end, bool strict,
                        Pickle *p, Messages *errors) {
    if (!pickle_parse(path, *at, (size_t)(end - *at), strict, p, errors)) return false;
    *at += p->size;
    return true;
}

/* Reads the three pickles at the beginning: a magic number, the version of the format, and the machine. */
static bool read_beginning(const char *path, const unsigned char **at, const unsigned char *end,
                           Messages *errors) {
    static const PickleText magic = { "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10 };
    bool ok = true;
    for (int i = 0; i < 3 && ok; i++) {
        Pickle p;
        if (!next_pickle(path, at, end, true, &p, errors)) return false;
        const PickleValue *v = p.root, *little = pickle_get(v, "little_endian");
        if (i == 0)
            ok = v->kind == PICKLE_BYTES && v->as.text.size == magic.size &&
                 memcmp(v->as.text.at, magic.at, magic.size) == 0;
        else if (i == 1)
            ok = v->kind == PICKLE_INT && v->as.integer == 1001;
        if (!ok) not_torch(path, errors);
        if (i == 2 && !(little && little->kind == PICKLE_BOOL && little->as.truth))
            ok = messages_add(errors, "%s: was written on a big-endian machine, which is not read", path);
        pickle_free(&p);
    }
    return ok;
}

static int by_key(const void *a, const void *b) {
    PickleText s = (*(PickleValue *const *)a)->as.storage.key, t = (*(PickleValue *const *)b)->as.storage.key;
    int order = memcmp(s.at, t.at, s.size < t.size ? s.size : t.size);
    return order ? order : (s.size > t.size) - (s.size < t.size);
}

/* Finds the numbers of the next storage: their count in 8 bytes, then the numbers. They belong to all of the
   pickle's storages with this key, which lie next to each other in the sorted list. */
static bool read_storage(const char *path, PickleText key, TorchFile *t, const unsigned char **at,
                         const unsigned char *end, Messages *errors) {
    PickleValue wanted = { .kind = PICKLE_STORAGE, .as.storage.key = key }, *pointer = &wanted;
    PickleValue **all = t->pickle.storages, **last = all + t->pickle.storage_count;
    PickleValue **found =
        t->pickle.storage_count ? bsearch(&pointer, all, t->pickle.storage_count, sizeof *all, by_key) : NULL;
    const PickleStorage *s = found ? &(*found)->as.storage : NULL;
    if (!s || !s->element)
        return messages_add(errors, "%s: its storage \"%.*s\" has no known type", path, shown(key), key.at);
    if (s->data) return messages_add(errors, "%s: has storage \"%.*s\" twice", path, shown(key), key.at);
    if (end - *at < 8 || s->count > (end - *at - 8) / s->element ||
        little32(*at) + ((uint64_t)little32(*at + 4) << 32) != (uint64_t)s->count)
        return messages_add(errors,
                            "%s: its storage \"%.*s\" has another size than its tensors say, or is truncated",
                            path, shown(key), key.at);
    while (found > all && by_key(found - 1, &pointer) == 0) found--;
    const unsigned char *data = *at + 8;
    int64_t bytes = s->count * s->element;
    const char *dtype = s->dtype;
    int64_t count = s->count;
    for (; found < last && by_key(found, &pointer) == 0; found++) {
        PickleStorage *same = &(*found)->as.storage;
        if (same->dtype != dtype || same->count != count)
            return messages_add(errors, "%s: its storage \"%.*s\" has two types or sizes", path, shown(key),
                                key.at);
        same->data = data;
    }
    *at = data + bytes;
    return true;
}

static bool parse_old(const char *path, const void *bytes, size_t size, bool strict, TorchFile *t,
                      Messages *errors) {
    const unsigned char *at = bytes, *end = at + size;
    Pickle keys;
    if (!read_beginning(path, &at, end, errors) || !next_pickle(path, &at, end, strict, &t->pickle, errors) ||
        !next_pickle(path, &at, end, true, &keys, errors))
        return false;
    Pickle *p = &t->pickle;
    if (p->storage_count) qsort(p->storages, p->storage_count, sizeof *p->storages, by_key);
    const PickleValue *list = keys.root;
    bool ok = list->kind == PICKLE_LIST || not_torch(path, errors);
    for (size_t i = 0; ok && i < list->as.items.count; i++) {
        const PickleValue *key = list->as.items.at[i];
        ok = key->kind == PICKLE_TEXT ? read_storage(path, key->as.text, t, &at, end, errors)
                                      : not_torch(path, errors);
    }
    for (size_t i = 0; ok && i < p->storage_count; i++) {
        PickleText key = p->storages[i]->as.storage.key;
        if (!p->storages[i]->as.storage.data)
            ok = messages_add(errors, "%s: has no storage \"%.*s\", which a tensor needs", path, shown(key),
                              key.at);
    }
    pickle_free(&keys);
    return ok;
}

bool torch_parse(const char *path, const void *bytes, size_t size, bool strict, TorchFile *t,
                 Messages *errors) {
    *t = (TorchFile) { 0 };
    bool zipped = size >= 2 && memcmp(bytes, "PK", 2) == 0;
    if ((zipped ? parse_zip : parse_old)(path, bytes, size, strict, t, errors)) return true;
    torch_close(t);
    return false;
}

void torch_close(TorchFile *t) {
    pickle_free(&t->pickle);
    if (t->zip.path) zip_close(&t->zip);
}

/* ---- the list of tensors ---- */

/* The list that is being made. */
typedef struct {
    const char *path;
    Safetensors *s;
    int64_t gather; /* how many numbers can still be copied */
    Messages *errors;
} List;

/* Keeps a text or a tensor's numbers as long as the list. */
static char *keep(List *l, char *text) {
    Safetensors *s = l->s;
    size_t n = (size_t)s->renamed_count; /* The memory has room for the next power of 2. */
    if ((n & (n - 1)) == 0) s->renamed = mem_grow(s->renamed, (n ? 2 * n : 1) * sizeof *s->renamed);
    return s->renamed[s->renamed_count++] = text;
}

static bool is_contiguous(const PickleTensor *t) {
    int64_t step = 1;
    for (int d = t->shape.rank - 1; d >= 0; d--) {
        if (t->shape.dim[d] == 0) return true;
        if (t->shape.dim[d] != 1 && t->stride[d] != step) return false;
        if (__builtin_mul_overflow(step, t->shape.dim[d], &step)) return false;
    }
    return true;
}

/* Returns the number of a tensor's elements, or -1 if there are more than `most`. */
static int64_t elements(Shape shape, int64_t most) {
    int64_t n = 1;
    for (int d = 0; d < shape.rank; d++)
        if (shape.dim[d] == 0) return 0;
    for (int d = 0; d < shape.rank; d++)
        if (__builtin_mul_overflow(n, shape.dim[d], &n) || n > most) return -1;
    return n;
}

/* Returns the tensor's elements in the order of their indices, which are copied. */
static char *gathered(const PickleTensor *t, int64_t count) {
    size_t size = (size_t)t->storage->element;
    char *copy = mem_alloc((size_t)count * size + 1);
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i, at = t->offset;
        for (int d = t->shape.rank - 1; d >= 0; rest /= t->shape.dim[d--])
            at += rest % t->shape.dim[d] * t->stride[d];
        memcpy(copy + (size_t)i * size, t->storage->data + (size_t)at * size, size);
    }
    return copy;
}

static void set_tensor(List *l, const PickleTensor *t, SafeTensor *out) {
    static const DType FLOATS[] = { F32, F16, BF16 };
    const PickleStorage *from = t->storage;
    bool plain = is_contiguous(t);
    int64_t count = elements(t->shape, plain ? INT64_MAX / 8 : l->gather);
    out->weight.shape = t->shape;
    if (!from->dtype || !from->data || count < 0) {
        const char *why = !from->dtype ? "" : !from->data ? " in a compressed member" : " and not contiguous";
        out->dtype = keep(l, mem_format("%.*s%s", shown(from->type), from->type.at, why));
        return;
    }
    out->dtype = from->dtype;
    out->size = (size_t)(count * from->element);
    if (plain) {
        out->weight.data = from->data + (count ? t->offset * from->element : 0);
    } else {
        l->gather -= count;
        out->weight.data = keep(l, gathered(t, count));
    }
    for (int i = 0; i < 3; i++)
        if (strcmp(out->dtype, dtype_name(FLOATS[i])) == 0) {
            out->is_float = true;
            out->weight.dtype = FLOATS[i];
        }
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const SafeTensor *)a)->weight.name, ((const SafeTensor *)b)->weight.name);
}

/* Adds a value of the dictionary to the list if it is a tensor, or stands in the place of one. */
static bool add_value(List *l, const PickleValue *key, const PickleValue *value) {
    if (value->kind != PICKLE_TENSOR && value->kind != PICKLE_OBJECT) return true;
    if (key->kind != PICKLE_TEXT) return true;
    PickleText name = key->as.text;
    if (name.size > NAME_MAX_BYTES || memchr(name.at, 0, name.size))
        return messages_add(l->errors, "%s: a tensor's name holds the character U+0000 or more than %d bytes",
                            l->path, NAME_MAX_BYTES);
    SafeTensor *t = &l->s->tensors[l->s->count++];
    *t = (SafeTensor) { 0 };
    t->weight.name = keep(l, mem_format("%.*s", (int)name.size, name.at));
    if (value->kind == PICKLE_TENSOR)
        set_tensor(l, value->as.tensor, t);
    else
        t->dtype = keep(l, mem_format("%.*s.%.*s", shown(value->as.object.module), value->as.object.module.at,
                                      shown(value->as.object.name), value->as.object.name.at));
    return true;
}

/* Returns the dictionary that holds the tensors; NULL when there is none. */
static const PickleValue *dictionary(const PickleValue *root) {
    static const char *const keys[] = { "string_to_param", "state_dict" };
    for (int i = 0; i < 2; i++) {
        const PickleValue *inner = pickle_get(root, keys[i]);
        if (!inner) continue;
        if (inner->kind == PICKLE_OBJECT) inner = pickle_get(inner->as.object.state, "_parameters");
        if (inner && inner->kind == PICKLE_DICT) return inner;
    }
    return root->kind == PICKLE_DICT ? root : NULL;
}

bool torch_tensors(const TorchFile *t, const char *path, bool gather, Safetensors *s, Messages *errors) {
    *s = (Safetensors) { .path = mem_string(path) };
    List l = { path, s, gather ? GATHER_MAX : 0, errors };
    const PickleValue *dict = dictionary(t->pickle.root);
    bool ok = dict || messages_add(errors, "%s: holds no dictionary of tensors", path);
    size_t count = dict ? dict->as.items.count / 2 : 0;
    s->tensors = mem_alloc((count + 1) * sizeof *s->tensors);
    for (size_t i = 0; i < count && ok; i++)
        ok = add_value(&l, dict->as.items.at[2 * i], dict->as.items.at[2 * i + 1]);
    if (s->count) qsort(s->tensors, (size_t)s->count, sizeof *s->tensors, by_name);
    for (int64_t i = 1; i < s->count && ok; i++)
        if (by_name(&s->tensors[i - 1], &s->tensors[i]) == 0)
            ok = messages_add(errors, "%s: holds \"%s\" twice", path, s->tensors[i].weight.name);
    if (!ok) safetensors_close(s);
    return ok;
}

bool torch_open(const char *path, Safetensors *s, Messages *errors) {
    *s = (Safetensors) { 0 };
    File file;
    TorchFile t;
    if (!file_map(path, &file, errors)) return false;
    bool ok = torch_parse(path, file.data, file.size, false, &t, errors);
    if (ok) {
        ok = torch_tensors(&t, path, false, s, errors);
        torch_close(&t);
    }
    if (ok)
        s->file = file;
    else
        file_close(&file);
    return ok;
}
