#include "inversion/posterior.h"

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

static bool read_cached(const Safetensors *cache, const char *key, Shape shape, float *out) {
    const SafeTensor *found = safetensors_find(cache, key);
    if (!found || !found->is_float || !shape_equal(found->weight.shape, shape)) return false;
    weight_read(&found->weight, out);
    return true;
}

/* The same picture may be there twice: a name stands in the file once. */
static bool write_cache(const char *path, NamedTensor *entries, int64_t count, Messages *errors) {
    int64_t different = 0;
    for (int64_t i = 0; i < count; i++) {
        bool seen = false;
        for (int64_t k = 0; k < different && !seen; k++) seen = strcmp(entries[k].name, entries[i].name) == 0;
        if (!seen) entries[different++] = entries[i];
    }
    return safetensors_write(path, entries, different, NULL, 0, errors);
}

bool posteriors_compute(Posteriors *p, const Encoder *e, const Image *images, int64_t count, bool flips,
                        uint64_t vae_key, const char *cache_path, bool (*go_on)(void), Messages *errors) {
    Shape shape = e->moments->shape;
    shape.rank = 3;
    memmove(shape.dim, shape.dim + 1, 3 * sizeof shape.dim[0]); /* without the batch */
    *p = (Posteriors) { .pictures = count, .count = shape_count(shape) / 2 };
    p->moments = mem_alloc((size_t)(count * 4 * p->count) * sizeof(float));

    Messages unreadable = { 0 };
    Safetensors cache;
    bool cached = cache_path && safetensors_open(cache_path, &cache, &unreadable), all_cached = cached;
    NamedTensor *entries = mem_alloc((size_t)(2 * count) * sizeof *entries);
    char **keys = mem_alloc((size_t)(2 * count) * sizeof *keys);
    int64_t used = 0, done = 0;
    int64_t pixels = e->resolution * e->resolution;
    for (; done < count && (!go_on || go_on()); done++) {
        int64_t i = done;
        Image image;
        if (!image_new((int)e->resolution, (int)e->resolution, &image, errors)) break;
        memcpy(image.rgb, images[i].rgb, (size_t)(3 * pixels));
        for (int flipped = 0; flipped < (flips ? 2 : 1); flipped++) {
            if (flipped) image_flip(&image);
            image_to_floats(&image, e->picture);
            float *moments = moments_at(p, 2 * i + flipped);
            keys[used] = cache_key(e, vae_key);
            if (!cached || !read_cached(&cache, keys[used], shape, moments)) {
                graph_forward(e->graph);
                memcpy(moments, e->moments->data, (size_t)(2 * p->count) * sizeof(float));
                all_cached = false;
            }
            entries[used] = (NamedTensor) { keys[used], shape, moments };
            used++;
        }
        image_free(&image);
    }
    if (cached) safetensors_close(&cache);
    messages_free(&unreadable);
    bool ok = errors->count == 0 &&
              (all_cached || !cache_path || used == 0 || write_cache(cache_path, entries, used, errors));
    for (int64_t i = 0; i < used; i++) free(keys[i]);
    free(keys);
    free(entries);
    return ok && done == count;
}

void posterior_sample(const float *moments, const float *n, int64_t count, float scaling_factor, float *out) {
    const float *mean = moments, *logvar = moments + count;
    for (int64_t i = 0; i < count; i++) {
        float std = expf(0.5f * fminf(fmaxf(logvar[i], -30.0f), 20.0f));
        out[i] = (mean[i] + std * n[i]) * scaling_factor;
    }
}
