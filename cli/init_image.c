#include "cli/init_image.h"

#include "io/image.h"

#include <stdlib.h>

static bool given(const GenerateOptions *o, const char *name) {
    return options_given(&GENERATE_COMMAND, o, name);
}

void init_image_check(const GenerateOptions *o, Messages *errors) {
    if (!o->init_image) {
        if (given(o, "strength"))
            messages_add(errors, "--strength: is for a picture to begin from, --init-image");
        return;
    }
    if (o->latents)
        messages_add(errors,
                     "--init-image: its noise is drawn from --seed, which --latents excludes; leave one out");
    if (given(o, "strength") && o->strength == 0)
        messages_add(errors, "--strength 0: no step would be done, and the picture would stay as it is");
}

void init_image_settle(GenerateOptions *o) {
    if (o->init_image && !given(o, "strength")) o->strength = 0.8;
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

bool init_image_read(GenerateOptions *o, const Model *m, InitImage *out, Messages *errors) {
    if (!o->init_image) return true;
    Image image, resized = { 0 };
    if (!image_load(o->init_image, &image, errors)) return false;
    int64_t multiple = max_i64(8, vae_factor(&m->vae.config));
    bool ok = set_side(o, image.width, multiple, &o->width, errors) &&
              set_side(o, image.height, multiple, &o->height, errors) &&
              image_resize(&image, (int)o->width, (int)o->height, RESAMPLING_LANCZOS, &resized, errors);
    if (ok) {
        out->picture = mem_alloc((size_t)(3 * o->width * o->height) * sizeof *out->picture);
        image_to_floats(&resized, out->picture);
    }
    image_free(&resized);
    image_free(&image);
    return ok;
}

void init_image_free(InitImage *i) {
    free(i->picture);
    *i = (InitImage) { 0 };
}
