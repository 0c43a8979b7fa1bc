/* SPDX-License-Identifier: MIT */
#include "inversion/evaluation.h"

#include "inversion/templates.h"
#include "io/image.h"

#include <math.h>
#include <stdlib.h>

static const char *const PAPER_LINES[] = { "A photo of {}", "A photo of {} on the moon",
                                           "An oil painting of {}", "Elmo holding a {}" };
const EvaluationPrompts PAPER_PROMPTS = { PAPER_LINES, sizeof PAPER_LINES / sizeof *PAPER_LINES };

static Sampling *plan(const Evaluation *e, const Prompt *prompt, const Prompt *negative) {
    const Model *m = e->model;
    SamplingOptions options = e->options;
    options.prompt = prompt;
    options.negative = negative;
    return sampling_new(&m->clip, &m->unet, &m->vae, &m->noise_schedule, e->words->learned, e->words->vectors,
                        tokenizer_max_length(m->tokenizer), options, e->plan);
}

int64_t evaluation_bytes(const Evaluation *e, double *flops) {
    Sampling *s = plan(e, NULL, NULL);
    int64_t bytes = sampling_bytes(s, e->threads);
    *flops = sampling_flops(s);
    sampling_free(s);
    return bytes;
}

/* A drawing that goes on: where its pictures go, and to whom its steps are told. */
typedef struct {
    const Evaluation *e;
    Image image;
    float *features;
    const Watch *watch;
    bool ok;
    Messages *errors;
} Drawing;

static bool after_step(void *user, int64_t done, int64_t steps) {
    return watch_go_on(((Drawing *)user)->watch, done, steps);
}

static void keep_features(void *user, int64_t i, const float *picture) {
    Drawing *d = user;
    int64_t width = d->e->clip->model->folder.config.projection_dim;
    image_from_floats(picture, &d->image);
    d->ok =
        d->ok && clip_image_feature(d->e->clip, "a picture", &d->image, d->features + i * width, d->errors);
}

bool evaluation_draw(const Evaluation *e, const char *prompt, float *features, const Watch *watch,
                     Messages *errors, Messages *warnings) {
    Prompt read, negative = prompt_empty(e->model->tokenizer);
    Drawing d = { .e = e, .features = features, .watch = watch, .ok = true, .errors = errors };
    bool ok = image_new((int)e->options.width, (int)e->options.height, &d.image, errors);
    if (ok && prompt_read(e->model->tokenizer, prompt, (PromptOptions) { 0 }, &read, errors, warnings)) {
        Sampling *s = plan(e, &read, &negative);
        sampling_bind(s, e->arena, e->threads);
        SamplingEvents events = { .step = after_step, .picture = keep_features, .user = &d };
        ok = sampling_run(s, &events, errors) && d.ok;
        sampling_free(s);
        prompt_free(&read);
    } else {
        ok = false;
    }
    prompt_free(&negative);
    image_free(&d.image);
    return ok;
}

bool evaluation_texts(ClipFeatures *clip, EvaluationPrompts prompts, float *features, Messages *errors,
                      Messages *warnings) {
    int64_t width = clip->model->folder.config.projection_dim;
    bool ok = true;
    for (int64_t p = 0; p < prompts.count; p++) {
        char *text = template_fill(prompts.lines[p], "");
        ok = clip_text_feature(clip, text, features + p * width, errors, warnings) && ok;
        free(text);
    }
    return ok;
}

static const Score NONE = { NAN, NAN };

/* The first of the prompts whose pictures are compared with their texts. */
static int64_t first_text(const ScoreReferences *r) { return r->prompts > 1 ? 1 : 0; }

Scores scores_of_drawn(const ScoreReferences *r, const float *features, int64_t n) {
    Scores s = { score_images(features, n, r->training, r->training_count, r->width), NONE, NONE };
    if (!r->texts) return s;
    Score *text = mem_alloc((size_t)r->prompts * sizeof *text),
          *of_mean = mem_alloc((size_t)r->prompts * sizeof *text);
    int64_t first = first_text(r), count = r->prompts - first;
    for (int64_t i = 0; i < count; i++) {
        const float *drawn = features + (first + i) * n * r->width,
                    *wanted = r->texts + (first + i) * r->width;
        text[i] = score_text(drawn, n, wanted, r->width);
        of_mean[i] = score_text_of_mean(drawn, n, wanted, r->width);
    }
    s.text = score_mean(text, count);
    s.text_of_mean = score_mean(of_mean, count);
    free(text);
    free(of_mean);
    return s;
}

/* Both scores with a text are linear in its feature. So the mean of the scores with all texts, with the
   error of the pictures that they share, is the score with the mean of the texts' features. */
Scores scores_of_set(const ScoreReferences *r, const float *features, int64_t n) {
    Scores s = { score_images(features, n, r->training, r->training_count, r->width), NONE, NONE };
    if (!r->texts) return s;
    float *text = mem_alloc((size_t)r->width * sizeof *text);
    int64_t first = first_text(r);
    for (int64_t p = first; p < r->prompts; p++)
        for (int64_t k = 0; k < r->width; k++)
            text[k] += r->texts[p * r->width + k] / (float)(r->prompts - first);
    s.text = score_text(features, n, text, r->width);
    s.text_of_mean = score_text_of_mean(features, n, text, r->width);
    free(text);
    return s;
}
