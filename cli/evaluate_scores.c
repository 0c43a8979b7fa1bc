/* SPDX-License-Identifier: MIT */
/* The scores of `ti evaluate`: draws pictures with each word and compares their features. */
#include "cli/console.h"
#include "cli/evaluate.h"
#include "cli/progress.h"
#include "inversion/templates.h"

#include <stdlib.h>

/* The pictures that are drawn, for the line that tells how far the drawing is. */
typedef struct {
    Progress progress;
    int64_t set, sets, count; /* the sets of `count` pictures each */
} Drawn;

static bool show_drawing(void *user, int64_t done, int64_t steps) {
    Drawn *d = user;
    char left[DURATION_TEXT];
    int64_t part = d->set * steps + done, all = d->sets * steps;
    progress_show(&d->progress, part == all, "drawing pictures %lld/%lld  %s left",
                  (long long)(part * d->count / steps), (long long)(d->sets * d->count),
                  duration_text(progress_left(&d->progress, part, all), left));
    return true;
}

/* Draws the pictures of all prompts with one subject. */
static bool score_subject(const Evaluated *v, const Evaluation *e, const ScoreReferences *r, Drawn *drawn,
                          Subject *s, Messages *errors, Messages *warnings) {
    int64_t n = e->options.count;
    float *features = mem_alloc((size_t)(r->prompts * n * r->width) * sizeof *features);
    Watch watch = { show_drawing, drawn };
    bool ok = true;
    for (int64_t p = 0; ok && p < r->prompts; p++, drawn->set++) {
        char *prompt = template_fill(v->prompts.lines[p], s->word);
        ok = evaluation_draw(e, prompt, features + p * n * r->width, &watch, errors, warnings);
        free(prompt);
    }
    if (ok) {
        s->scores = scores_of_drawn(r, features, n);
        s->drawn = true;
    }
    free(features);
    return ok;
}

/* Says what will be drawn and about how long it takes, by the speed of the fixed-grid loss. */
static void announce(const Evaluated *v, int64_t sets, double flops) {
    char time[DURATION_TEXT];
    console_line(
        stderr,
        "ti: drawing %lld pictures with %s (%lld for each of %lld prompts, in each of %lld rows), about %s",
        (long long)(sets * v->o->count), v->sampler.sampler->name, (long long)v->o->count,
        (long long)v->prompts.count, (long long)v->count,
        duration_text((double)sets * flops / v->speed, time));
}

bool score_subjects(Evaluated *v, Messages *errors, Messages *warnings) {
    const EvaluateOptions *o = v->o;
    Arena arena = { 0 };
    Evaluation e = { .model = &v->model,
                     .words = &v->words,
                     .clip = &v->scorer.features,
                     .options = { .count = o->count,
                                  .sampler = v->sampler,
                                  .height = o->sides.height,
                                  .width = o->sides.width,
                                  .guidance = o->guidance,
                                  .seed = (uint64_t)o->seed },
                     .plan = { .precision = (Precision)o->precision },
                     .arena = &arena,
                     .threads = v->threads };
    ScoreReferences r = { .prompts = v->prompts.count,
                          .width = scorer_width(&v->scorer),
                          .training_count = v->pictures.count };
    double flops;
    int64_t bytes = evaluation_bytes(&e, &flops), sets = v->count * r.prompts;
    float *texts = mem_alloc((size_t)(r.prompts * r.width) * sizeof *texts);
    if (scorer_has_text(&v->scorer)) r.texts = texts;
    r.training = v->training = scorer_files(&v->scorer, &v->pictures, errors);
    bool ok = r.training &&
              (!r.texts || evaluation_texts(&v->scorer.features, v->prompts, texts, errors, warnings)) &&
              get_arena(&arena, bytes, "a smaller --resolution", errors);
    if (ok) {
        v->training_scores = scores_of_set(&r, r.training, r.training_count);
        announce(v, sets, flops);
    }
    Drawn drawn = { progress_new(), 0, sets, o->count };
    for (int64_t i = 0; ok && i < v->count; i++)
        ok = score_subject(v, &e, &r, &drawn, &v->subjects[i], errors, warnings);
    free(texts);
    arena_free(&arena);
    return ok;
}

bool score_pictures(Evaluated *v, Messages *errors, Messages *warnings) {
    const EvaluateOptions *o = v->o;
    Pictures given = { 0 };
    bool ok = scorer_list(&v->scorer, o->images, &v->pictures, errors, warnings);
    ok = scorer_list(&v->scorer, o->pictures, &given, errors, warnings) && ok;
    float *features = NULL, *text = mem_alloc((size_t)scorer_width(&v->scorer) * sizeof *text);
    if (o->text && !scorer_has_text(&v->scorer))
        ok = messages_add(errors, "--text: %s has no text encoder (--clip FOLDER gives a whole CLIP)",
                          v->scorer.path);
    if (ok && o->text) ok = clip_text_feature(&v->scorer.features, o->text, text, errors, warnings);
    if (ok) v->training = scorer_files(&v->scorer, &v->pictures, errors);
    if (v->training) features = scorer_files(&v->scorer, &given, errors);
    if (features) {
        ScoreReferences r = { .training = v->training,
                              .training_count = v->pictures.count,
                              .prompts = 1,
                              .texts = o->text ? text : NULL,
                              .width = scorer_width(&v->scorer) };
        Scores scores = scores_of_set(&r, features, given.count);
        report_pictures(&scores, o->json);
    }
    free(features);
    free(text);
    pictures_free(&given);
    return features != NULL;
}
