/* SPDX-License-Identifier: MIT */
#include "text/added.h"

#include <stdlib.h>
#include <string.h>

void added_put(AddedTokens *list, AddedToken token) {
    int i = 0;
    while (i < list->count && (token.index < 0 || list->at[i].index != token.index)) i++;
    if (i == list->count) {
        if (list->count == list->capacity) {
            list->capacity = list->capacity ? 2 * list->capacity : 16;
            list->at = mem_grow(list->at, (size_t)list->capacity * sizeof *list->at);
        }
        list->count++;
    } else {
        free(list->at[i].text);
    }
    list->at[i] = token;
    list->at[i].text = mem_string(token.text);
}

void added_free(AddedTokens *list) {
    for (int i = 0; i < list->count; i++) free(list->at[i].text);
    free(list->at);
    *list = (AddedTokens) { 0 };
}

const AddedToken *added_find(const AddedTokens *list, const char *text) {
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->at[i].text, text) == 0) return &list->at[i];
    return NULL;
}

static int by_index(const void *a, const void *b) {
    const AddedToken *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

void added_sort(AddedTokens *list) {
    int with = 0, kept = 0;
    while (with < list->count && list->at[with].index >= 0) with++;
    for (int i = with; i < list->count; i++) CHECK(list->at[i].index < 0);
    /* The tokens without an index are not sorted, since they must keep their order and
       qsort is not stable. */
    if (with) qsort(list->at, (size_t)with, sizeof *list->at, by_index);
    for (int i = 0; i < list->count; i++) {
        AddedToken *token = &list->at[i];
        int first = 0;
        while (first < kept && strcmp(list->at[first].text, token->text) != 0) first++;
        if (first < kept) {
            list->at[first].normalized = token->normalized;
            list->at[first].single_word = token->single_word;
            free(token->text);
        } else {
            list->at[kept++] = *token;
        }
    }
    list->count = kept;
}

/* Stores a flag of a token object in *value, or `fallback` when the object does not have the flag. Returns
   false when the member is neither true nor false. */
static bool read_flag(const json_t *m, const char *key, bool fallback, bool *value) {
    const json_t *flag = json_object_get(m, key);
    *value = flag ? json_is_true(flag) : fallback;
    return !flag || json_is_boolean(flag);
}

/* Reads a token object as the reference's class AddedToken does: "normalized" defaults to false for a special
   token and to true for any other. The flags lstrip and rstrip, by which a token includes the spaces beside
   it, can be ignored, since CLIP's tokenizer makes no tokens of spaces. */
static bool read_token(AddedToken *token, const json_t *m, bool special) {
    *token = (AddedToken) { .index = -1 };
    const json_t *content = json_object_get(m, "content");
    token->text = (char *)(uintptr_t)json_string_value(content);
    return token->text && read_flag(m, "special", special, &special) &&
           read_flag(m, "normalized", !special, &token->normalized) &&
           read_flag(m, "single_word", false, &token->single_word);
}

bool added_read_special(AddedToken *token, const json_t *m) {
    *token = (AddedToken) { .text = (char *)(uintptr_t)json_string_value(m), .index = -1 };
    if (!token->text && !read_token(token, m, true)) return false;
    return *token->text != 0;
}

/* Returns the number that a key of 1 to 9 digits stands for, or -1 for any other key. */
static int64_t key_index(const char *key) {
    int64_t index = 0;
    if (!*key || strlen(key) > 9) return -1;
    for (; *key; key++) {
        if (*key < '0' || *key > '9') return -1;
        index = 10 * index + (*key - '0');
    }
    return index;
}

static bool add_one(AddedTokens *list, const json_t *m, int64_t index) {
    AddedToken token;
    if (!read_token(&token, m, false) || index < 0 || index > INT32_MAX) return false;
    token.index = index;
    added_put(list, token);
    return true;
}

bool added_read(AddedTokens *list, JsonObject *o, const char *key) {
    json_t *all = object_member(o, key), *m;
    const char *name;
    size_t count = json_is_array(all) ? json_array_size(all) : json_object_size(all);
    bool ok = !all || json_is_array(all) || json_is_object(all);
    if (count > ADDED_MAX) return object_fault(o, key, "at most %d tokens are supported", ADDED_MAX);
    for (size_t i = 0; ok && i < json_array_size(all); i++) {
        m = json_array_get(all, i);
        ok = add_one(list, m, json_whole(json_object_get(m, "id")));
    }
    if (json_is_object(all))
        json_object_foreach (all, name, m) { ok = ok && add_one(list, m, key_index(name)); }
    return ok ||
           object_fault(o, key,
                        "tokens are needed, each with a whole number as id, a string as content, and flags "
                        "that are true or false");
}

bool added_read_json(AddedTokens *list, const char *path, const void *text, size_t size,
                     const AddedTokens *special, Messages *errors) {
    JsonObject o;
    if (!object_parse(&o, path, text, size, errors, errors)) return false;
    const char *token;
    json_t *number;
    bool ok = true;
    if (json_object_size(o.object) > ADDED_MAX)
        ok = messages_add(errors, "%s: at most %d tokens are supported", path, ADDED_MAX);
    if (ok)
        json_object_foreach (o.object, token, number) {
            int64_t index = json_whole(number);
            if (ok && (index < 0 || index > INT32_MAX))
                ok = object_fault(&o, token, "a token's id is needed");
            if (!ok) continue;
            AddedToken plain = { (char *)(uintptr_t)token, index, !added_find(special, token), false };
            added_put(list, plain);
        }
    object_close(&o);
    return ok;
}
