/* SPDX-License-Identifier: MIT */
#include "diffusion/preview.h"

#include <stdlib.h>

Preview preview_new(const Vae *vae, Shape latents, PlanOptions plan) {
    const int64_t *dim = latents.dim;
    Preview p = { .graph = graph_new(), .scaling_factor = vae->config.scaling_factor, .full = latents };
    p.small = shape4(1, dim[1], ceil_div(dim[2], PREVIEW_REDUCTION), ceil_div(dim[3], PREVIEW_REDUCTION));
    p.latents = mem_alloc((size_t)shape_count(p.small) * sizeof *p.latents);
    p.picture = vae_decode(p.graph, vae, graph_leaf(p.graph, "latents", p.small, p.latents, NULL));
    p.plan = graph_plan(p.graph, p.picture, plan);
    return p;
}

void preview_free(Preview *p) {
    graph_free(p->graph);
    free(p->latents);
    *p = (Preview) { 0 };
}

/* Returns the mean of z [h, w] over the square whose upper left corner is at y, x. */
static float mean(const float *z, int64_t h, int64_t w, int64_t y, int64_t x) {
    int64_t bottom = min_i64(y + PREVIEW_REDUCTION, h), right = min_i64(x + PREVIEW_REDUCTION, w);
    float sum = 0;
    for (int64_t i = y; i < bottom; i++)
        for (int64_t j = x; j < right; j++) sum += z[i * w + j];
    return sum / (float)((bottom - y) * (right - x));
}

void preview_set(Preview *p, const float *z) {
    int64_t h = p->full.dim[2], w = p->full.dim[3];
    float *out = p->latents;
    for (int64_t c = 0; c < p->full.dim[1]; c++, z += h * w)
        for (int64_t y = 0; y < h; y += PREVIEW_REDUCTION)
            for (int64_t x = 0; x < w; x += PREVIEW_REDUCTION)
                *out++ = mean(z, h, w, y, x) / p->scaling_factor;
}
