/* SPDX-License-Identifier: MIT */
/* The report on a file of tensors: what it seems to be, its metadata and its tensors. */
#include "cli/inspect_parts.h"

#include "exchange/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void print_tensors(const Safetensors *s) {
    int width = 5;
    char shape[SHAPE_TEXT], size[SIZE_TEXT];
    for (int64_t i = 0; i < s->count; i++) {
        int n = (int)strlen(shape_text(s->tensors[i].weight.shape, shape));
        width = n > width ? n : width;
    }
    printf("%-8s %-*s %10s  name\n", "type", width, "shape", "size");
    for (int64_t i = 0; i < s->count; i++) {
        const SafeTensor *t = &s->tensors[i];
        char *name = console_text(t->weight.name);
        console_line(stdout, "%-8s %-*s %10s  %s", t->dtype, width, shape_text(t->weight.shape, shape),
                     size_text((int64_t)t->size, size), name);
        free(name);
    }
}

json_t *json_tensors(const Safetensors *s) {
    json_t *list = json_array();
    for (int64_t i = 0; i < s->count; i++) {
        const SafeTensor *t = &s->tensors[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o, s:I}", "name", t->weight.name, "dtype", t->dtype,
                                        "shape", json_shape(t->weight.shape), "bytes", (int64_t)t->size));
    }
    return list;
}

/* The column of the names is as wide as the longest of them, but at most WIDTH; longer names move their
   values to the right. */
static void print_metadata(json_t *metadata) {
    enum { WIDTH = 40 };
    const char *name;
    json_t *item;
    int width = 0;
    json_object_foreach (metadata, name, item) {
        width = (int)min_i64(WIDTH, max_i64(width, (int64_t)strlen(name)));
    }
    json_object_foreach (metadata, name, item) {
        char *key = console_text(name), *value = console_text(json_string_value(item));
        console_line(stdout, "metadata %-*s  %s", width, key, value);
        free(key);
        free(value);
    }
}

void inspect_tensors(const Safetensors *s, bool hash, bool json) {
    Family family = weights_family(s);
    int64_t bytes = 0, numbers = 0;
    for (int64_t i = 0; i < s->count; i++) {
        bytes += (int64_t)s->tensors[i].size;
        numbers += shape_count(s->tensors[i].weight.shape);
    }
    json_t *metadata = json_object_get(s->header, "__metadata__"); /* of strings; may be JSON null or NULL */
    if (json) {
        json_t *document =
            json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "kind", "tensors", "path", s->path, "family",
                      family.text, "count", s->count, "numbers", numbers, "bytes", bytes, "metadata",
                      json_is_object(metadata) ? json_incref(metadata) : json_object());
        FileIdentity id = identify(&s->file, hash);
        add_identity(document, &id);
        json_object_set_new(document, "tensors", json_tensors(s));
        console_json(document);
        return;
    }
    char count[COUNT_TEXT], size[SIZE_TEXT];
    console_line(stdout, "%s: %s", s->path, family.text);
    printf("%lld tensors, %s numbers, %s\n", (long long)s->count, count_text(numbers, count),
           size_text(bytes, size));
    print_metadata(metadata);
    if (s->count) printf("\n");
    if (s->count) print_tensors(s);
    fflush(stdout);
    FileIdentity id = identify(&s->file, hash);
    print_identity(&id);
}
