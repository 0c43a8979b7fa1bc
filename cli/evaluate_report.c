/* SPDX-License-Identifier: MIT */
/* How `ti evaluate` shows its numbers. */
#include "cli/console.h"
#include "cli/evaluate.h"
#include "io/image_write.h"
#include "io/plot.h"

#include <math.h>
#include <stdlib.h>

void report_losses(const Evaluated *v) {
    int64_t measured = 0;
    for (int64_t i = 0; i < v->count; i++) measured += isfinite(v->subjects[i].loss);
    for (int64_t i = 0; i < v->count; i++) {
        const Subject *s = &v->subjects[i];
        if (isfinite(s->loss) && measured == 1) printf("fixed-grid loss %.5f\n", s->loss);
        if (isfinite(s->loss) && measured > 1)
            console_line(stdout, "fixed-grid loss %.5f  %s", s->loss, s->name);
    }
}

enum { SCORE_TEXT = 40 };

/* Writes a score as "0.742 +- 0.012", without the error where there is none, and "-" where there is no
   score. */
static const char *score_text_of(Score s, char text[SCORE_TEXT]) {
    if (!isfinite(s.value))
        snprintf(text, SCORE_TEXT, "-");
    else if (!isfinite(s.error))
        snprintf(text, SCORE_TEXT, "%.3f", s.value);
    else
        snprintf(text, SCORE_TEXT, "%.3f +- %.3f", s.value, s.error);
    return text;
}

static void print_row(const char *name, const Scores *s) {
    char image[SCORE_TEXT], text[SCORE_TEXT], of_mean[SCORE_TEXT];
    console_line(stdout, "%-24s  %-16s  %-16s  %s", name, score_text_of(s->image, image),
                 score_text_of(s->text, text), score_text_of(s->text_of_mean, of_mean));
}

static void print_heading(void) {
    printf("\n%-24s  %-16s  %-16s  %s\n", "similarity to", "the pictures", "the text",
           "the text, of the mean");
}

void report_scores(const Evaluated *v) {
    print_heading();
    for (int64_t i = 0; i < v->count; i++) print_row(v->subjects[i].name, &v->subjects[i].scores);
    print_row("the training pictures", &v->training_scores);
}

static NamedPoint point_of(const char *name, const Scores *s, bool reference, bool joined) {
    return (NamedPoint) { .x = s->image.value,
                          .x_error = s->image.error,
                          .y = s->text_of_mean.value,
                          .y_error = s->text_of_mean.error,
                          .name = name,
                          .reference = reference,
                          .joined = joined };
}

bool report_plot(const Evaluated *v, Messages *errors) {
    NamedPoint *points = mem_alloc((size_t)(v->count + 1) * sizeof *points);
    for (int64_t i = 0; i < v->count; i++) {
        const Subject *s = &v->subjects[i];
        points[i] = point_of(s->name, &s->scores, s->reference, s->joined);
    }
    points[v->count] = point_of("the training pictures", &v->training_scores, true, false);
    Image image;
    bool ok = plot_points(points, v->count + 1, "similarity to the pictures", "similarity to the text",
                          &image, errors);
    if (ok) {
        ok = image_write(v->o->plot, &image, NULL, errors);
        image_free(&image);
    }
    free(points);
    return ok;
}

/* Sets a score and its error in a JSON object. */
static void set_score(json_t *o, const char *key, Score s) {
    char *error = mem_format("%s_error", key);
    json_object_set_new(o, key, json_double(s.value));
    json_object_set_new(o, error, json_double(s.error));
    free(error);
}

static void set_scores(json_t *o, const Scores *s) {
    set_score(o, "image_similarity", s->image);
    set_score(o, "text_similarity", s->text);
    set_score(o, "text_similarity_of_mean", s->text_of_mean);
}

static json_t *subjects_json(const Evaluated *v, bool references) {
    json_t *list = json_array();
    for (int64_t i = 0; i < v->count; i++) {
        const Subject *s = &v->subjects[i];
        if (s->reference != references) continue;
        json_t *o = json_pack("{s:s, s:o}", "name", s->name, "fixed_grid_loss", json_double(s->loss));
        if (s->drawn) set_scores(o, &s->scores);
        json_array_append_new(list, o);
    }
    return list;
}

void report_json(const Evaluated *v) {
    const EvaluateOptions *o = v->o;
    json_t *document =
        json_pack("{s:o, s:o}", "words", subjects_json(v, false), "references", subjects_json(v, true));
    if (v->scorer.path) {
        json_t *training = json_object(), *prompts = json_array();
        set_scores(training, &v->training_scores);
        json_object_set_new(document, "training_pictures", training);
        for (int64_t i = 0; i < v->prompts.count; i++)
            json_array_append_new(prompts, json_string(v->prompts.lines[i]));
        json_object_set_new(document, "prompts", prompts);
        bool ays = v->sampler.steps == STEPS_ALIGN_YOUR_STEPS;
        json_t *steps = ays ? json_string("ays") : json_real((double)v->sampler.steps);
        json_t *drawn = json_pack("{s:s, s:f, s:s, s:o, s:f, s:f}", "clip", v->scorer.path, "count",
                                  (double)o->count, "sampler", v->sampler.sampler->name, "steps", steps,
                                  "guidance", o->guidance, "seed", (double)o->seed);
        json_object_set_new(document, "drawn", drawn);
    }
    console_json(document);
}

void report_pictures(const Scores *s, bool json) {
    if (json) {
        json_t *document = json_object();
        set_scores(document, s);
        console_json(document);
    } else {
        print_heading();
        print_row("the given pictures", s);
    }
}
