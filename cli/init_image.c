/* SPDX-License-Identifier: MIT */
#include "cli/init_image.h"

#include "cli/common.h"
#include "diffusion/mask.h"

#include <stdlib.h>

static bool given(const GenerateOptions *o, const char *name) {
    return options_given(&GENERATE_COMMAND, o, name);
}

void init_image_check(const GenerateOptions *o, Messages *errors) {
    static const char *const needs_picture[] = { "strength", "mask" };
    for (size_t i = 0; i < 2 && !o->init_image; i++)
        if (given(o, needs_picture[i]))
            messages_add(errors, "--%s: is for a picture to begin from, --init-image", needs_picture[i]);
    if (o->no_paste && !o->mask) messages_add(errors, "--no-paste: is for a picture with a --mask");
    if (!o->init_image) return;
    if (o->latents)
        messages_add(errors,
                     "--init-image: its noise is drawn from --seed, which --latents excludes; leave one out");
    if (given(o, "strength") && o->strength == 0)
        messages_add(errors, "--strength 0: no step would be done, and the picture would stay as it is");
}

void init_image_settle(GenerateOptions *o) {
    if (o->init_image && !given(o, "strength")) o->strength = o->mask ? 1 : 0.8;
}

/* Sets a side that was not given to the picture's own, cut down to a multiple. */
static bool set_side(const GenerateOptions *o, int64_t own, int64_t multiple, int64_t *side,
                     Messages *errors) {
    if (*side == 0) *side = own - own % multiple;
    if (*side > 8192)
        return messages_add(errors, "%s: has a side of %lld pixels; give a --width and --height up to 8192",
                            o->init_image, (long long)own);
    return *side > 0 ||
           messages_add(errors,
                        "%s: has a side of %lld pixels; at least %lld are needed, or a --width and "
                        "--height",
                        o->init_image, (long long)own, (long long)multiple);
}

/* Sets the size of the pictures. */
static bool set_size(GenerateOptions *o, const Model *m, const Image *image, Messages *errors,
                     Messages *warnings) {
    int64_t multiple = max_i64(8, vae_factor(&m->vae.config));
    if (o->mask && o->width == 0) o->width = model_side(m);
    if (o->mask && o->height == 0) o->height = model_side(m);
    if (!set_side(o, image->width, multiple, &o->width, errors) ||
        !set_side(o, image->height, multiple, &o->height, errors))
        return false;
    if (o->mask && o->width * image->height != o->height * image->width)
        messages_add(
            warnings,
            "%s: its %d x %d pixels are squashed to %lld x %lld; --width and --height set another size",
            o->init_image, image->width, image->height, (long long)o->width, (long long)o->height);
    return true;
}

/* Notes what reading a picture takes at once, next to those that are in memory already. */
static bool note_reading(const GenerateOptions *o, const char *path, int64_t others, InitImage *out,
                         Messages *errors) {
    PictureSize size;
    if (!picture_size(path, (PictureFit) { (int)o->width, (int)o->height, false }, &size, errors))
        return false;
    MemoryNeed need = {
        .buffers = others + size.bytes, .picture = path, .width = size.width, .height = size.height
    };
    out->reading = memory_larger(out->reading, need);
    return true;
}

MemoryNeed init_image_need(const InitImage *i, MemoryNeed run) {
    int64_t pixels = (int64_t)i->image.width * i->image.height;
    run.buffers += pixels * (3 + 3 * (int64_t)sizeof(float));
    if (i->mask) run.buffers += 2 * pixels; /* the second is more than the floats of the latents' mask */
    return memory_larger(run, i->reading);
}

/* Reads the mask of a picture of this size. */
static bool read_mask(const GenerateOptions *o, const Model *m, const Image *picture, InitImage *out,
                      Messages *errors, Messages *warnings) {
    int64_t factor = vae_factor(&m->vae.config), pixels = o->width * o->height;
    Image image, resized = { 0 };
    int64_t others = 3 * ((int64_t)picture->width * picture->height + pixels);
    if (!image_load(o->mask, &image, errors)) return false;
    bool sized = image.width == picture->width && image.height == picture->height;
    if (!sized)
        messages_add(errors, "%s: has %d x %d pixels, but %s has %d x %d: a mask needs the picture's size",
                     o->mask, image.width, image.height, o->init_image, picture->width, picture->height);
    bool ok = sized && note_reading(o, o->mask, others, out, errors) &&
              image_resize(&image, (int)o->width, (int)o->height, RESAMPLING_LANCZOS, &resized, errors);
    image_free(&image);
    if (!ok) return false;
    out->mask = mem_alloc((size_t)pixels);
    out->latent_mask = mem_alloc((size_t)(pixels / (factor * factor)) * sizeof *out->latent_mask);
    mask_from_image(&resized, out->mask);
    mask_to_latents(out->mask, o->height, o->width, factor, out->latent_mask);
    image_free(&resized);
    int64_t ones = mask_ones(out->mask, pixels), repainted = 0;
    for (int64_t i = 0; i < pixels / (factor * factor); i++) repainted += out->latent_mask[i] == 1;
    if (ones == pixels)
        messages_add(warnings, "%s: is white everywhere, so that nothing of the picture is kept", o->mask);
    return repainted > 0 ||
           messages_add(errors, "%s: %s, so that nothing would be repainted", o->mask,
                        ones == 0 ? "is black everywhere" : "its white spots are too small for the latents");
}

bool init_image_read(GenerateOptions *o, const Model *m, InitImage *out, Messages *errors,
                     Messages *warnings) {
    if (!o->init_image) return true;
    Image image;
    if (!image_load(o->init_image, &image, errors)) return false;
    bool ok = set_size(o, m, &image, errors, warnings) &&
              check_side(m, "--width", 0, &o->width, errors, NULL) &&
              check_side(m, "--height", 0, &o->height, errors, NULL) &&
              image_resize(&image, (int)o->width, (int)o->height, RESAMPLING_LANCZOS, &out->image, errors) &&
              note_reading(o, o->init_image, 0, out, errors) &&
              (!o->mask || read_mask(o, m, &image, out, errors, warnings));
    if (ok) {
        out->picture = mem_alloc((size_t)(3 * o->width * o->height) * sizeof *out->picture);
        image_to_floats(&out->image, out->picture);
    }
    image_free(&image);
    return ok;
}

void init_image_free(InitImage *i) {
    image_free(&i->image);
    free(i->picture);
    free(i->mask);
    free(i->latent_mask);
    *i = (InitImage) { 0 };
}
