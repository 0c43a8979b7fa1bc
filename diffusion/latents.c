/* SPDX-License-Identifier: MIT */
#include "diffusion/latents.h"

#include "weights/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PICTURES_MAX = 1000 };

/* Returns the only tensor of the file, or NULL after adding a message that says why it cannot be initial
   noise. */
static const SafeTensor *find(const Safetensors *s, Messages *errors) {
    static const char wanted[] = "one F32 tensor \"latents\" [pictures, channels, height, width] is needed";
    const SafeTensor *t = safetensors_find(s, "latents");
    const SafeTensor *other = s->count > 1 ? &s->tensors[t == s->tensors] : NULL;
    char shape[SHAPE_TEXT];
    bool ok = false;
    if (!t)
        messages_add(errors, "%s: has no tensor \"latents\": %s", s->path, wanted);
    else if (other)
        messages_add(errors, "%s: has another tensor, \"%s\": %s", s->path, other->weight.name, wanted);
    else if (strcmp(t->dtype, "F32") != 0)
        messages_add(errors, "%s: its tensor is of type %s: %s", s->path, t->dtype, wanted);
    else if (t->weight.shape.rank != 4 || shape_count(t->weight.shape) == 0)
        messages_add(errors, "%s: its tensor has the shape %s: %s", s->path,
                     shape_text(t->weight.shape, shape), wanted);
    else if (t->weight.shape.dim[0] > PICTURES_MAX)
        messages_add(errors, "%s: has noise for %lld pictures; there can be at most %d", s->path,
                     (long long)t->weight.shape.dim[0], PICTURES_MAX);
    else
        ok = true;
    return ok ? t : NULL;
}

/* Reads a number of the metadata whose digits of this base are the whole value, which is at most 16 long.
   Returns false and adds a message when it is another; 0 stands for a key that the file does not have. */
static bool read_number(const Safetensors *s, const char *key, int base, const char *meaning, uint64_t *out,
                        Messages *errors) {
    static const char digits[] = "0123456789abcdef";
    const char *text = safetensors_metadata(s, key);
    size_t length = text ? strlen(text) : 0;
    uint64_t number = 0;
    bool ok = !text || (length >= 1 && length <= 16);
    for (size_t i = 0; ok && i < length; i++) {
        const char *digit = memchr(digits, text[i], (size_t)base);
        ok = digit != NULL;
        if (ok) number = number * (uint64_t)base + (uint64_t)(digit - digits);
    }
    *out = number;
    return ok || messages_add(errors, "%s: its metadata \"%s\" is '%.*s%s', which is no %s", s->path, key,
                              text_cut(text, 20), text, length > 20 ? "..." : "", meaning);
}

static bool read_latents(const Safetensors *s, Latents *l, Messages *errors) {
    const SafeTensor *t = find(s, errors);
    uint64_t steps, unet;
    if (!t || !read_number(s, "steps", 10, "number of steps", &steps, errors) ||
        !read_number(s, "unet", 16, "fingerprint of a model", &unet, errors))
        return false;
    int64_t count = shape_count(t->weight.shape);
    *l = (Latents) { .shape = t->weight.shape,
                     .data = mem_alloc((size_t)count * sizeof *l->data),
                     .steps = (int64_t)steps,
                     .fingerprint = unet };
    weight_read(&t->weight, l->data);
    for (int64_t i = 0; i < count; i++) {
        if (isfinite(l->data[i])) continue;
        latents_free(l);
        return messages_add(errors, "%s: number %lld of its tensor is not finite", s->path, (long long)i);
    }
    return true;
}

bool latents_read(const char *path, Latents *l, Messages *errors) {
    Safetensors s;
    *l = (Latents) { 0 };
    if (!safetensors_open(path, &s, errors)) return false;
    bool ok = read_latents(&s, l, errors);
    safetensors_close(&s);
    return ok;
}

bool latents_parse(const char *path, const void *bytes, size_t size, Latents *l, Messages *errors) {
    Safetensors s;
    *l = (Latents) { 0 };
    if (!safetensors_parse(path, bytes, size, &s, errors)) return false;
    bool ok = read_latents(&s, l, errors);
    safetensors_close(&s);
    return ok;
}

bool latents_write(const char *path, const float *data, Shape shape, const LatentsOrigin *origin,
                   Messages *errors) {
    char *steps = mem_format("%lld", (long long)origin->steps),
         *guidance = mem_format("%g", origin->guidance),
         *unet = mem_format("%016llx", (unsigned long long)origin->fingerprint);
    const char *const metadata[][2] = {
        { "prompt", origin->prompt }, { "steps", steps }, { "guidance", guidance }, { "unet", unet }
    };
    NamedTensor t = { "latents", shape, data };
    bool ok = safetensors_write(path, &t, 1, metadata, sizeof metadata / sizeof *metadata, errors);
    free(steps);
    free(guidance);
    free(unet);
    return ok;
}

void latents_compare(const char *path, const Latents *l, int64_t steps, uint64_t fingerprint,
                     Messages *warnings) {
    if (l->steps && l->steps != steps)
        messages_add(warnings, "%s: was made by ti invert with %lld steps, not %lld", path,
                     (long long)l->steps, (long long)steps);
    if (l->fingerprint && l->fingerprint != fingerprint)
        messages_add(warnings, "%s: was made by ti invert with another model", path);
}

void latents_free(Latents *l) {
    free(l->data);
    *l = (Latents) { 0 };
}
