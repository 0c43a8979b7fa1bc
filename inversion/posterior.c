/* SPDX-License-Identifier: MIT */
#include "inversion/posterior.h"

#include "inversion/ranks.h"
#include "io/file.h"
#include "io/hash.h"
#include "io/system.h"
#include "tensor/gemm_bf16.h"
#include "weights/sealed.h"

#include <stdlib.h>
#include <string.h>

void posteriors_free(Posteriors *p) {
    free(p->parameters);
    *p = (Posteriors) { 0 };
}

static float *parameters_at(const Posteriors *p, int64_t i) { return p->parameters + i * 2 * p->count; }

const float *posterior_of(const Posteriors *p, int64_t picture, bool flipped) {
    CHECK(picture >= 0 && picture < p->pictures);
    return parameters_at(p, 2 * picture + flipped);
}

/* Returns the name of a cache entry for the picture that the encoder now holds: the picture's size, and a
   hash of its pixels and of the VAE. */
static char *cache_key(const Encoder *e, uint64_t vae_key) {
    int64_t floats = 3 * e->height * e->width;
    uint64_t hash = hash_bytes(vae_key, e->picture, (size_t)floats * sizeof(float));
    if (e->width == e->height)
        return mem_format("%lldpx-%016llx", (long long)e->width, (unsigned long long)hash);
    return mem_format("%lldx%lldpx-%016llx", (long long)e->width, (long long)e->height,
                      (unsigned long long)hash);
}

/* What the posteriors were computed with, as keys and values of the cache's metadata. */
enum { ORIGINS = 4 };
typedef struct {
    char *text[ORIGINS][2];
} Origin;

static Origin origin_new(uint64_t vae_key, Precision precision) {
    return (Origin) { {
        { mem_string("vae"), mem_format("%016llx", (unsigned long long)vae_key) },
        { mem_string("precision"),
          mem_string(precision == PRECISION_BF16 ? bf16_kernel_name(bf16_kernel()) : "f32") },
        { mem_string("kernels"), mem_string(blas_build()) },
        { mem_string("build"), mem_format("%016llx", (unsigned long long)system_program_hash()) },
    } };
}

static void origin_free(Origin *o) {
    for (int i = 0; i < ORIGINS; i++)
        for (int k = 0; k < 2; k++) free(o->text[i][k]);
}

/* The contents of the cache's file when it was opened, and the entries with which it will be written. */
typedef struct {
    Safetensors file;
    bool open;    /* whether the file exists and can be used */
    bool changed; /* whether the file lacks an entry, so that it has to be written */
    Origin origin;
    SafeTensor *entries; /* the entries so far, named by `keys` */
    char **keys;
    int64_t used; /* their number */
} Cache;

/* Returns why the open file cannot be used, or NULL if it can. */
static const char *cache_fault(const Cache *c) {
    static const char *const others[ORIGINS] = {
        "was computed with another VAE", "was computed at another precision, or with another kernel for it",
        "was computed with another OpenBLAS or other kernels of it", "was computed by another build of ti"
    };
    if (!sealed_intact(c->file.file.data, c->file.file.size))
        return "is damaged, or was written by an older version of ti";
    for (int i = 0; i < ORIGINS; i++) {
        const char *then = safetensors_metadata(&c->file, c->origin.text[i][0]);
        if (!then || strcmp(then, c->origin.text[i][1]) != 0) return others[i];
    }
    return NULL;
}

static Cache cache_open(const char *path, int64_t entries, uint64_t vae_key, Precision precision,
                        Messages *warnings) {
    Messages unreadable = { 0 };
    Cache c = { .entries = mem_alloc((size_t)entries * sizeof *c.entries),
                .keys = mem_alloc((size_t)entries * sizeof *c.keys) };
    if (path) c.origin = origin_new(vae_key, precision);
    bool there = path && path_is_file(path);
    c.open = there && safetensors_open(path, &c.file, &unreadable);
    const char *fault = c.open ? cache_fault(&c) : there ? "is damaged" : NULL;
    if (fault) messages_add(warnings, "%s: %s, so the pictures are encoded anew", path, fault);
    if (c.open && fault) safetensors_close(&c.file);
    c.open = c.open && !fault;
    c.changed = !c.open;
    messages_free(&unreadable);
    return c;
}

static void cache_close(Cache *c) {
    if (c->open) safetensors_close(&c->file);
    for (int64_t i = 0; i < c->used; i++) free(c->keys[i]);
    free(c->keys);
    free(c->entries);
    origin_free(&c->origin);
}

/* Reads an entry. Returns false if the file does not have it. */
static bool cache_read(const Cache *c, const char *key, Shape shape, float *out) {
    const SafeTensor *found = c->open ? safetensors_find(&c->file, key) : NULL;
    if (!found || !found->is_float || !shape_equal(found->weight.shape, shape)) return false;
    weight_read(&found->weight, out);
    return true;
}

/* Writes the file. Pictures with the same pixels have the same key, so that only the first is written. */
static bool cache_write(const Cache *c, const char *path, Messages *errors) {
    int64_t different = 0;
    SafeTensor *entries = c->entries;
    for (int64_t i = 0; i < c->used; i++) {
        bool seen = false;
        for (int64_t k = 0; k < different && !seen; k++)
            seen = strcmp(entries[k].weight.name, entries[i].weight.name) == 0;
        if (!seen) entries[different++] = entries[i];
    }
    return sealed_write(path, entries, different, (const char *const(*)[2])c->origin.text, ORIGINS, errors);
}

/* Reads the posterior of picture i from the cache or computes it, and does the same for its
   mirror image if flips is true. */
static bool compute_one(const Posteriors *p, const Encoder *e, const Image *image, int64_t i, bool flips,
                        uint64_t vae_key, Cache *c, Messages *errors) {
    Shape shape = e->parameters->shape;
    shape.rank = 3;
    memmove(shape.dim, shape.dim + 1, 3 * sizeof shape.dim[0]); /* [2 L, h, w], without the batch */
    Image own;
    if (!image_new(image->width, image->height, &own, errors)) return false;
    memcpy(own.rgb, image->rgb, (size_t)(3 * e->height * e->width));
    bool ok = true;
    int last = flips ? 1 : 0;
    for (int flipped = 0; ok && flipped <= last; flipped++) {
        if (flipped) image_flip(&own);
        image_to_floats(&own, e->picture);
        float *parameters = parameters_at(p, 2 * i + flipped);
        char *key = c->keys[c->used] = cache_key(e, vae_key);
        c->entries[c->used++] = (SafeTensor) { .weight = { .name = key, .shape = shape, .data = parameters },
                                               .dtype = "F32",
                                               .size = (size_t)shape_count(shape) * sizeof(float) };
        if (cache_read(c, key, shape, parameters)) continue;
        ok = encoder_run(e, errors);
        memcpy(parameters, e->parameters->data, (size_t)shape_count(shape) * sizeof(float));
        c->changed = true;
    }
    image_free(&own);
    return ok;
}

static Posteriors posteriors_new(const Encoder *e, int64_t pictures) {
    int64_t count = shape_count(e->parameters->shape) / 2;
    float *parameters = mem_alloc((size_t)(pictures * 4 * count) * sizeof *parameters);
    return (Posteriors) { .pictures = pictures, .count = count, .parameters = parameters };
}

bool posteriors_share(Posteriors *p, const Encoder *e, int64_t count) {
    if (ranks_own() > 0) *p = posteriors_new(e, count);
    return ranks_copy(p->parameters, (size_t)(count * 4 * p->count) * sizeof *p->parameters);
}

bool posteriors_compute(Posteriors *p, const Encoder *e, const Image *images, int64_t count, bool flips,
                        uint64_t vae_key, const char *cache_path, const Watch *watch, Messages *errors,
                        Messages *warnings) {
    *p = posteriors_new(e, count);
    Cache c = cache_open(cache_path, 2 * count, vae_key, e->precision, warnings);
    int64_t done = 0;
    bool ok = true;
    while (ok && watch_go_on(watch, done, count) && done < count) {
        ok = compute_one(p, e, &images[done], done, flips, vae_key, &c, errors);
        done++;
    }
    if (ok && cache_path && c.used > 0 && c.changed) ok = cache_write(&c, cache_path, errors);
    cache_close(&c);
    return ok && done == count;
}
