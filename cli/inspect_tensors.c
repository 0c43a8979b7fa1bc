/* Files of tensors: what they look like, and the list of what is in them. */
#include "cli/inspect_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has(const Safetensors *s, const char *name) { return safetensors_find(s, name) != NULL; }

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }
static bool ends(const char *text, const char *with) {
    size_t n = strlen(text), k = strlen(with);
    return n >= k && strcmp(text + n - k, with) == 0;
}

/* The first tensor whose name begins and ends so. */
static const SafeTensor *find_like(const Safetensors *s, const char *prefix, const char *suffix) {
    for (int64_t i = 0; i < s->count; i++)
        if (begins(s->tensors[i].weight.name, prefix) && ends(s->tensors[i].weight.name, suffix))
            return &s->tensors[i];
    return NULL;
}

static int64_t last_dimension(const SafeTensor *t) {
    int rank = t ? t->weight.shape.rank : 0;
    return rank ? t->weight.shape.dim[rank - 1] : 0;
}

/* By the width of the text that cross-attention reads (the input width of its keys' projection). */
static const char *by_width(int64_t width, const char *sd1, const char *sd2, const char *xl,
                            const char *other) {
    return width == 768 ? sd1 : width == 1024 ? sd2 : width == 2048 ? xl : other;
}

const char *weights_family(const Safetensors *s) {
    static const char *const embeddings[] = { "embeddings.token_embedding.weight",
                                              "text_model.embeddings.token_embedding.weight" };
    if (find_like(s, "model.diffusion_model.", ""))
        return by_width(last_dimension(find_like(s, "model.diffusion_model.", ".attn2.to_k.weight")),
                        "a whole Stable Diffusion 1.x checkpoint in one file (original layout)",
                        "a whole Stable Diffusion 2.x checkpoint in one file (original layout)",
                        "a whole Stable Diffusion XL checkpoint in one file (original layout)",
                        "a whole diffusion checkpoint in one file (original layout), no Stable Diffusion "
                        "that is known here");
    if (find_like(s, "lora_", "") || find_like(s, "", ".lora_A.weight") ||
        find_like(s, "", ".lora_down.weight"))
        return "a LoRA";
    if (has(s, "time_embedding.linear_1.weight") && has(s, "conv_in.weight"))
        return by_width(
            last_dimension(find_like(s, "", ".attn2.to_k.weight")),
            "the UNet of Stable Diffusion 1.x, by the 768 numbers of its text (diffusers layout)",
            "the UNet of Stable Diffusion 2.x, by the 1024 numbers of its text (diffusers layout)",
            "the UNet of Stable Diffusion XL, by the 2048 numbers of its text (diffusers layout)",
            "a UNet in diffusers' layout");
    if (has(s, "encoder.conv_in.weight") && has(s, "decoder.conv_in.weight"))
        return "an autoencoder (VAE) in diffusers' layout";
    for (int i = 0; i < 2; i++)
        if (has(s, embeddings[i]))
            return by_width(last_dimension(safetensors_find(s, embeddings[i])),
                            "a CLIP text encoder of width 768, as Stable Diffusion 1.x has",
                            "a CLIP text encoder of width 1024, as Stable Diffusion 2.x has",
                            "a CLIP text encoder", "a CLIP text encoder");
    if (has(s, "clip_l") || has(s, "clip_g")) return "a learned word for Stable Diffusion XL or 3";
    return "tensors of no model that is known here";
}

bool looks_like_words(const Safetensors *s) {
    for (int64_t i = 0; i < s->count; i++) {
        const Weight *w = &s->tensors[i].weight;
        bool layer = ends(w->name, ".weight") || ends(w->name, ".bias");
        if (layer || last_dimension(&s->tensors[i]) != last_dimension(&s->tensors[0])) return false;
    }
    return s->count > 0;
}

/* Reports */

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

void inspect_tensors(const Safetensors *s, bool json) {
    int64_t bytes = 0, numbers = 0;
    for (int64_t i = 0; i < s->count; i++) {
        bytes += (int64_t)s->tensors[i].size;
        numbers += shape_count(s->tensors[i].weight.shape);
    }
    if (json) {
        cJSON *document = cJSON_CreateObject();
        cJSON_AddStringToObject(document, "kind", "tensors");
        cJSON_AddStringToObject(document, "path", s->path);
        cJSON_AddStringToObject(document, "family", weights_family(s));
        cJSON_AddNumberToObject(document, "count", (double)s->count);
        cJSON_AddNumberToObject(document, "numbers", (double)numbers);
        cJSON_AddNumberToObject(document, "bytes", (double)bytes);
        const cJSON *metadata = metadata_of(s);
        cJSON_AddItemToObject(document, "metadata",
                              metadata ? cJSON_Duplicate(metadata, true) : cJSON_CreateObject());
        cJSON_AddItemToObject(document, "tensors", json_tensors(s));
        console_json(document);
        return;
    }
    char count[COUNT_TEXT], size[SIZE_TEXT];
    printf("%s: %s\n", s->path, weights_family(s));
    printf("%lld tensors, %s numbers, %s\n", (long long)s->count, count_text(numbers, count),
           size_text(bytes, size));
    print_metadata(s);
    if (s->count) printf("\n");
    if (s->count) print_tensors(s);
}
