/* Files of tensors: what they look like, and the list of what is in them. */
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
        printf("%-8s %-*s %10s  %s\n", t->dtype, width, shape_text(t->weight.shape, shape),
               size_text((int64_t)t->size, size), name);
        free(name);
    }
}

cJSON *json_tensors(const Safetensors *s) {
    cJSON *list = cJSON_CreateArray();
    for (int64_t i = 0; i < s->count; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddItemToArray(list, item);
        cJSON_AddStringToObject(item, "name", s->tensors[i].weight.name);
        cJSON_AddStringToObject(item, "dtype", s->tensors[i].dtype);
        cJSON_AddItemToObject(item, "shape", json_shape(s->tensors[i].weight.shape));
        cJSON_AddNumberToObject(item, "bytes", (double)s->tensors[i].size);
    }
    return list;
}

/* The header's metadata: an object of strings, or NULL. */
static const cJSON *metadata_of(const Safetensors *s) {
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(s->header, "__metadata__");
    return cJSON_IsObject(m) ? m : NULL;
}

static void print_metadata(const Safetensors *s) {
    const cJSON *item;
    int width = 0;
    cJSON_ArrayForEach(item, metadata_of(s)) width = (int)max_i64(width, (int64_t)strlen(item->string));
    cJSON_ArrayForEach(item, metadata_of(s)) {
        char *key = console_text(item->string), *value = console_text(item->valuestring);
        printf("metadata %-*s  %s\n", width, key, value);
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
    if (json) {
        cJSON *document = cJSON_CreateObject();
        cJSON_AddStringToObject(document, "kind", "tensors");
        cJSON_AddStringToObject(document, "path", s->path);
        cJSON_AddStringToObject(document, "family", family.text);
        cJSON_AddNumberToObject(document, "count", (double)s->count);
        cJSON_AddNumberToObject(document, "numbers", (double)numbers);
        cJSON_AddNumberToObject(document, "bytes", (double)bytes);
        const cJSON *metadata = metadata_of(s);
        cJSON_AddItemToObject(document, "metadata",
                              metadata ? cJSON_Duplicate(metadata, true) : cJSON_CreateObject());
        FileIdentity id = identify(&s->file, hash);
        add_identity(document, &id);
        cJSON_AddItemToObject(document, "tensors", json_tensors(s));
        console_json(document);
        return;
    }
    char count[COUNT_TEXT], size[SIZE_TEXT];
    printf("%s: %s\n", s->path, family.text);
    printf("%lld tensors, %s numbers, %s\n", (long long)s->count, count_text(numbers, count),
           size_text(bytes, size));
    print_metadata(s);
    if (s->count) printf("\n");
    if (s->count) print_tensors(s);
    fflush(stdout);
    FileIdentity id = identify(&s->file, hash);
    print_identity(&id);
}
