/* SPDX-License-Identifier: MIT */
#include "cli/keep.h"

#include "inversion/scores.h"

#include <stdlib.h>
#include <string.h>

bool keep_open(Keep *k, const GenerateOptions *o, const Model *m, int threads, Messages *errors,
               Messages *warnings) {
    if (o->keep == 0) return true;
    if (!scorer_open(&k->scorer, o->clip, m->folder.path, (Precision)o->precision, threads, errors, warnings))
        return false;
    if (!k->scorer.path || (!scorer_has_text(&k->scorer) && !o->images))
        return messages_add(errors, "--keep: needs a CLIP%s to score with (--clip FOLDER)",
                            k->scorer.path ? " with a text encoder, or --images," : "");
    if (!o->images) return true;
    Pictures pictures = { 0 };
    if (scorer_list(&k->scorer, o->images, &pictures, errors, warnings))
        k->training = scorer_files(&k->scorer, &pictures, errors);
    k->training_count = pictures.count;
    pictures_free(&pictures);
    return k->training != NULL;
}

void keep_close(Keep *k) {
    scorer_close(&k->scorer);
    free(k->training);
    free(k->scores);
    free(k->order);
    *k = (Keep) { 0 };
}

/* Returns the feature of a prompt's text, or NULL after adding a message; free() it. */
static float *text_feature(Keep *k, const GenerateOptions *o, const Words *words, const char *prompt,
                           Messages *errors, Messages *warnings) {
    float *feature = mem_alloc((size_t)scorer_width(&k->scorer) * sizeof *feature);
    char *text = prompt_text(prompt, (PromptSyntax)o->prompt_syntax, words);
    bool ok = clip_text_feature(&k->scorer.features, text, feature, errors, warnings);
    free(text);
    if (ok) return feature;
    free(feature);
    return NULL;
}

/* Sorts the scores by insertion, and the pictures with them. Pictures of equal scores keep their order. */
static void sort(Keep *k, Image *images, int64_t count) {
    for (int64_t i = 1; i < count; i++)
        for (int64_t j = i; j > 0 && k->scores[j] > k->scores[j - 1]; j--) {
            double score = k->scores[j];
            int64_t number = k->order[j];
            Image image = images[j];
            k->scores[j] = k->scores[j - 1], k->order[j] = k->order[j - 1], images[j] = images[j - 1];
            k->scores[j - 1] = score, k->order[j - 1] = number, images[j - 1] = image;
        }
}

bool keep_rank(Keep *k, const GenerateOptions *o, const Words *words, const char *prompt, Image *images,
               int64_t count, Messages *errors, Messages *warnings) {
    int64_t width = scorer_width(&k->scorer);
    float *text = NULL, *feature = mem_alloc((size_t)width * sizeof *feature);
    bool ok = !scorer_has_text(&k->scorer) || (text = text_feature(k, o, words, prompt, errors, warnings));
    k->scores = mem_grow(k->scores, (size_t)count * sizeof *k->scores);
    k->order = mem_grow(k->order, (size_t)count * sizeof *k->order);
    for (int64_t i = 0; ok && i < count; i++) {
        ok = clip_image_feature(&k->scorer.features, "a picture", &images[i], feature, errors);
        k->scores[i] = text ? score_text(feature, 1, text, width).value : 0;
        if (k->training)
            k->scores[i] += score_images(feature, 1, k->training, k->training_count, width).value;
        k->order[i] = i;
    }
    if (ok) sort(k, images, count);
    free(text);
    free(feature);
    return ok;
}
