#include "inversion/posterior.h"

#include "autograd/finite.h"
#include "io/hash.h"
#include "weights/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

Encoder encoder_new(const Vae *vae, int64_t resolution) {
    Encoder e = { .graph = graph_new(), .resolution = resolution };
    Shape shape = shape4(1, vae->config.in_channels, resolution, resolution);
    e.picture = mem_alloc((size_t)shape_count(shape) * sizeof(float));
    e.moments = vae_encode(e.graph, vae, graph_leaf(e.graph, "picture", shape, e.picture, NULL));
    e.plan = graph_plan(e.graph, e.moments, (PlanOptions) { 0 });
    return e;
}

void encoder_free(Encoder *e) {
    graph_free(e->graph);
    free(e->picture);
    *e = (Encoder) { 0 };
}

void posteriors_free(Posteriors *p) {
    free(p->moments);
    *p = (Posteriors) { 0 };
}

static float *moments_at(const Posteriors *p, int64_t i) { return p->moments + i * 2 * p->count; }

const float *posterior_of(const Posteriors *p, int64_t picture, bool flipped) {
    CHECK(picture >= 0 && picture < p->pictures);
    return moments_at(p, 2 * picture + flipped);
}

/* What an entry of the cache is called: size and content of the picture as the VAE sees it, and which VAE. */
static char *cache_key(const Encoder *e, uint64_t vae_key) {
    int64_t floats = 3 * e->resolution * e->resolution;
    uint64_t hash = hash_bytes(vae_key, e->picture, (size_t)floats * sizeof(float));
    return mem_format("%lldpx-%016llx", (long long)e->resolution, (unsigned long long)hash);
}

/* The file that keeps them, and what goes into it when it is written again. */
typedef struct {
    Safetensors file;
    bool open;    /* it was there and can be read */
    bool changed; /* it lacks something */
    NamedTensor *entries;
    char **keys;
    int64_t used;
} Cache;

static Cache cache_open(const char *path, int64_t entries) {
    Messages unreadable = { 0 };
    Cache c = { .entries = mem_alloc((size_t)entries * sizeof *c.entries),
                .keys = mem_alloc((size_t)entries * sizeof *c.keys) };
    c.open = path && safetensors_open(path, &c.file, &unreadable);
    c.changed = !c.open;
    messages_free(&unreadable);
    return c;
}

static void cache_close(Cache *c) {
    if (c->open) safetensors_close(&c->file);
    for (int64_t i = 0; i < c->used; i++) free(c->keys[i]);
    free(c->keys);
    free(c->entries);
}

static bool cache_read(const Cache *c, const char *key, Shape shape, float *out) {
    const SafeTensor *found = c->open ? safetensors_find(&c->file, key) : NULL;
    if (!found || !found->is_float || !shape_equal(found->weight.shape, shape)) return false;
    weight_read(&found->weight, out);
    return true;
}

/* The same picture may be there twice: a name stands in the file once. */
static bool cache_write(const Cache *c, const char *path, Messages *errors) {
    int64_t different = 0;
    NamedTensor *entries = c->entries;
    for (int64_t i = 0; i < c->used; i++) {
        bool seen = false;
        for (int64_t k = 0; k < different && !seen; k++) seen = strcmp(entries[k].name, entries[i].name) == 0;
        if (!seen) entries[different++] = entries[i];
    }
    return safetensors_write(path, entries, different, NULL, 0, errors);
}

/* Runs the encoder on its picture. False, with a line, if what it gives is not finite. */
static bool encode(const Encoder *e, float *moments, Messages *errors) {
    graph_forward(e->graph);
    memcpy(moments, e->moments->data, (size_t)shape_count(e->moments->shape) * sizeof(float));
    return check_finite(e->graph, e->moments, "what the VAE makes of a picture", errors);
}

/* One picture, mirrored as well if flips. */
static bool compute_one(const Posteriors *p, const Encoder *e, const Image *image, int64_t i, bool flips,
                        uint64_t vae_key, Cache *c, Messages *errors) {
    Shape shape = e->moments->shape;
    shape.rank = 3;
    memmove(shape.dim, shape.dim + 1, 3 * sizeof shape.dim[0]); /* without the batch */
    Image own;
    if (!image_new(image->width, image->height, &own, errors)) return false;
    memcpy(own.rgb, image->rgb, (size_t)(3 * e->resolution * e->resolution));
    bool ok = true;
    int last = flips ? 1 : 0;
    for (int flipped = 0; ok && flipped <= last; flipped++) {
        if (flipped) image_flip(&own);
        image_to_floats(&own, e->picture);
        float *moments = moments_at(p, 2 * i + flipped);
        char *key = c->keys[c->used] = cache_key(e, vae_key);
        c->entries[c->used++] = (NamedTensor) { key, shape, moments };
        if (cache_read(c, key, shape, moments)) continue;
        ok = encode(e, moments, errors);
        c->changed = true;
    }
    image_free(&own);
    return ok;
}

bool posteriors_compute(Posteriors *p, const Encoder *e, const Image *images, int64_t count, bool flips,
                        uint64_t vae_key, const char *cache_path, const Watch *watch, Messages *errors) {
    *p = (Posteriors) { .pictures = count, .count = shape_count(e->moments->shape) / 2 };
    p->moments = mem_alloc((size_t)(count * 4 * p->count) * sizeof(float));
    Cache c = cache_open(cache_path, 2 * count);
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

void posterior_sample(const float *moments, const float *n, int64_t count, float scaling_factor, float *out) {
    const float *mean = moments, *logvar = moments + count;
    for (int64_t i = 0; i < count; i++) {
        float std = expf(0.5f * fminf(fmaxf(logvar[i], -30.0f), 20.0f));
        out[i] = (mean[i] + std * n[i]) * scaling_factor;
    }
}
