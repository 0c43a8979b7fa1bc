/* The scores of `ti evaluate`: opens CLIP, draws pictures with each word and computes their features. */
#include "cli/console.h"
#include "cli/evaluate.h"
#include "cli/progress.h"
#include "exchange/family.h"
#include "inversion/templates.h"
#include "io/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Opens the folder of a CLIP. Returns false when there is none, and adds a message for each fault of one. */
static bool find_clip(const char *clip, const char *model, ClipFolder *folder, Messages *errors,
                      Messages *warnings) {
    if (clip) return clip_folder_open(clip, weights_open, folder, errors, warnings);
    char *own = mem_format("%s/clip", model);
    bool ok = false;
    if (path_is_folder(own))
        ok = clip_folder_open(own, weights_open, folder, errors, warnings);
    else if (clip_folder_has_checker(model))
        ok = clip_folder_open_checker(model, weights_open, folder, errors, warnings);
    free(own);
    return ok;
}

bool open_clip(Evaluated *v, const char *model, Messages *errors, Messages *warnings) {
    int before = errors->count;
    const char *clip = v->o->clip;
    ClipFolder folder;
    if (clip && strcmp(clip, "none") == 0) return true;
    if (!find_clip(clip, model, &folder, errors, warnings)) {
        if (errors->count == before)
            console_line(stderr,
                         "ti: the model has no CLIP to score pictures with (--clip FOLDER gives one)");
        return errors->count == before;
    }
    if (!clip_model_open(folder, &v->clip, errors)) return false;
    v->clip_path = mem_string(v->clip.folder.path);
    console_line(stderr, "ti: CLIP %s%s", v->clip_path,
                 v->clip.tokenizer ? "" : ", which has no text encoder, so that only pictures are compared");
    v->features = clip_features_new(&v->clip, (PlanOptions) { .precision = (Precision)v->o->precision });
    if (!get_arena(&v->clip_arena, clip_features_bytes(&v->features, v->threads), "fewer --threads", errors))
        return false;
    clip_features_bind(&v->features, &v->clip_arena, v->threads);
    return true;
}

void close_clip(Evaluated *v) {
    clip_features_free(&v->features);
    arena_free(&v->clip_arena);
    if (v->clip_path) clip_model_close(&v->clip);
    free(v->clip_path);
    free(v->training);
}

/* Computes the features [pictures, F] of a folder's files, as they are before any resizing for training.
   The paths are those of a list. */
static float *features_of_files(Evaluated *v, const Pictures *p, Messages *errors) {
    int64_t width = v->clip.folder.config.projection_dim;
    float *features = mem_alloc((size_t)(p->count * width) * sizeof *features);
    bool ok = true;
    for (int64_t i = 0; i < p->count; i++) {
        Image image;
        bool read = image_load(p->paths[i], &image, errors);
        ok =
            ok && read && clip_image_feature(&v->features, p->paths[i], &image, features + i * width, errors);
        image_free(&image);
    }
    if (ok) return features;
    free(features);
    return NULL;
}

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
                     .clip = &v->features,
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
                          .width = v->clip.folder.config.projection_dim,
                          .training_count = v->pictures.count };
    double flops;
    int64_t bytes = evaluation_bytes(&e, &flops), sets = v->count * r.prompts;
    float *texts = mem_alloc((size_t)(r.prompts * r.width) * sizeof *texts);
    if (v->clip.tokenizer) r.texts = texts;
    r.training = v->training = features_of_files(v, &v->pictures, errors);
    bool ok = r.training &&
              (!r.texts || evaluation_texts(&v->features, v->prompts, texts, errors, warnings)) &&
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
    PictureFit fit = { (int)v->clip.folder.config.image_size, (int)v->clip.folder.config.image_size, false };
    Pictures given = { 0 };
    bool ok = pictures_list(o->images, fit, &v->pictures, errors, warnings);
    ok = pictures_list(o->pictures, fit, &given, errors, warnings) && ok;
    float *features = NULL, *text = mem_alloc((size_t)v->clip.folder.config.projection_dim * sizeof *text);
    if (o->text && !v->clip.tokenizer)
        ok = messages_add(errors, "--text: %s has no text encoder (--clip FOLDER gives a whole CLIP)",
                          v->clip_path);
    if (ok && o->text) ok = clip_text_feature(&v->features, o->text, text, errors, warnings);
    if (ok) v->training = features_of_files(v, &v->pictures, errors);
    if (v->training) features = features_of_files(v, &given, errors);
    if (features) {
        ScoreReferences r = { .training = v->training,
                              .training_count = v->pictures.count,
                              .prompts = 1,
                              .texts = o->text ? text : NULL,
                              .width = v->clip.folder.config.projection_dim };
        Scores scores = scores_of_set(&r, features, given.count);
        report_pictures(&scores, o->json);
    }
    free(features);
    free(text);
    pictures_free(&given);
    return features != NULL;
}
