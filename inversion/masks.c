/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* access */
#include "inversion/masks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char MASK_ENDING[] = ".mask.png";

void masks_free(Masks *m) {
    free(m->weights);
    *m = (Masks) { 0 };
}

bool is_mask_name(const char *name) { return text_ends_with(name, MASK_ENDING); }

const float *mask_weights(const Masks *m, int64_t picture, bool flipped) {
    return m ? m->weights + (2 * picture + flipped) * m->count : NULL;
}

/* Reads a picture's mask at its own size, in all three channels. */
static bool load_mask(const char *picture, Image *out, Messages *errors) {
    char *path = file_beside(picture, MASK_ENDING);
    bool beside = access(path, F_OK) == 0, has = true;
    bool ok = beside ? image_load(path, out, errors) : image_load_alpha(picture, out, &has, errors);
    if (ok && beside) image_to_grey(out);
    if (ok && !has) {
        image_free(out);
        ok = messages_add(errors, "%s: has no mask: %s is missing, and the picture has no alpha channel",
                          picture, path);
    }
    free(path);
    return ok;
}

/* The weight of each latent is the mean of the mask over its factor x factor pixels, as torch's interpolate
   computes it with its mode area. */
static void average(const Image *mask, int64_t factor, double background, float *weights, float *mirrored) {
    int64_t width = mask->width / factor, height = mask->height / factor;
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            int64_t sum = 0;
            for (int64_t i = 0; i < factor * factor; i++)
                sum += mask->rgb[((y * factor + i / factor) * mask->width + x * factor + i % factor) * 3];
            float mean = (float)((double)sum / (255.0 * (double)(factor * factor)));
            weights[y * width + x] = mirrored[y * width + width - 1 - x] = fmaxf(mean, (float)background);
        }
}

static bool read_mask(Masks *m, const Pictures *p, int64_t i, PictureFit fit, int64_t factor,
                      double background, Messages *errors) {
    Image full, mask = { 0 };
    if (!load_mask(p->paths[i], &full, errors)) return false;
    bool ok = true;
    if (full.width != p->sizes[i].width || full.height != p->sizes[i].height)
        ok = messages_add(errors,
                          "%s: has %d x %d pixels, and its mask %d x %d: a mask needs the picture's size",
                          p->paths[i], p->sizes[i].width, p->sizes[i].height, full.width, full.height);
    ok = ok && (!fit.center_crop || image_crop(&full, fit.width, fit.height, errors)) &&
         image_resize(&full, fit.width, fit.height, RESAMPLING_BICUBIC, &mask, errors);
    float *weights = m->weights + 2 * i * m->count;
    if (ok) average(&mask, factor, background, weights, weights + m->count);
    image_free(&full);
    image_free(&mask);
    return ok;
}

bool masks_read(Masks *m, const Pictures *p, PictureFit fit, int64_t factor, double background,
                Messages *errors) {
    m->count = (fit.width / factor) * (fit.height / factor);
    m->weights = mem_alloc((size_t)(2 * p->count * m->count) * sizeof *m->weights);
    bool ok = true;
    for (int64_t i = 0; i < p->count; i++) ok = read_mask(m, p, i, fit, factor, background, errors) && ok;
    return ok;
}
