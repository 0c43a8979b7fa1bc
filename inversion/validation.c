#include "inversion/validation.h"

#include "io/image_write.h"

#include <stdlib.h>

struct Validation {
    const Model *model;
    Drawing *drawing;
    int32_t *ids, *negative;
    Image image;
    const Watch *watch;
};

Validation *validation_new(const Model *m, const Words *words, const char *prompt, DrawingOptions options,
                           Messages *errors, Messages *warnings) {
    Validation *v = mem_alloc(sizeof *v);
    v->model = m;
    v->ids = prompt_ids(m->tokenizer, prompt, warnings);
    v->negative = prompt_ids(m->tokenizer, "", warnings);
    v->drawing = drawing_new(&m->clip, &m->unet, &m->vae, &m->noise_schedule, words->rows, words->vectors,
                             tokenizer_max_length(m->tokenizer), options, (PlanOptions) { 0 });
    if (image_new((int)options.width, (int)options.height, &v->image, errors)) return v;
    validation_free(v);
    return NULL;
}

void validation_free(Validation *v) {
    if (!v) return;
    drawing_free(v->drawing);
    image_free(&v->image);
    free(v->ids);
    free(v->negative);
    free(v);
}

Drawing *validation_drawing(Validation *v) { return v->drawing; }

/* The decoder's weights take the place of the others, and these theirs again. */
static bool before_decoding(void *user, int64_t done, int64_t steps) {
    const Validation *v = user;
    if (!watch_go_on(v->watch, done, steps)) return false;
    if (done == steps) folder_forget(&v->model->folder);
    return true;
}

static void keep_picture(void *user, int64_t i, const float *picture) {
    Validation *v = user;
    (void)i;
    image_from_floats(picture, &v->image);
    folder_forget(&v->model->folder);
}

bool validation_draw(Validation *v, const char *path, const Watch *watch, Messages *errors) {
    v->watch = watch;
    DrawingEvents events = { before_decoding, keep_picture, v };
    return drawing_run(v->drawing, v->ids, v->negative, &events, errors) &&
           image_write_png(path, &v->image, errors);
}
