/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* unlink */
#include "cli/train_run.h"

#include "cli/common.h"
#include "cli/picture_record.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/train_parts.h"
#include "inversion/grid_loss.h"
#include "inversion/progressive.h"
#include "inversion/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

GridLossData train_grid_data(const Run *r) {
    return (GridLossData) { .posteriors = &r->posteriors,
                            .scaling_factor = r->model.vae.config.scaling_factor,
                            .noise_schedule = &r->model.noise_schedule,
                            .prompts = &r->prompts,
                            .vectors = progressive_learned(r->o->progressive, r->o->vectors, r->loop.step),
                            .shared = r->o->one_by_one };
}

/* Measures a loss over so many fixed points. Returns false when a signal or --for interrupts it. */
static bool measure(Run *r, const char *what, RankTask task, FixedLoss *fixed_loss, int64_t points,
                    double *loss) {
    int64_t passes = ceil_div(points, r->loop.full.batch);
    Wait wait;
    Watch watch = wait_start(&wait, what, (double)passes * r->loop.full.plan.forward_flops, not_interrupted);
    GridLossData data = train_grid_data(r);
    ranks_next(&task);
    ranks_copy(r->words.learned, (size_t)r->loop.adamw.count * sizeof(float));
    *loss = fixed_loss(&data, &r->loop.full, &watch);
    r->interrupted = wait.ended;
    return !wait.ended;
}

bool train_measure_grid(Run *r, double *loss, Messages *errors) {
    if (!measure(r, "fixed-grid loss", TASK_GRID_LOSS, grid_loss, r->pictures.count * GRID_TIMESTEPS, loss))
        return true;
    run_folder_add_grid_loss(&r->folder, r->loop.step, *loss);
    return check_loss(*loss, &r->loop.full, "fixed grid: ", TRAIN_SMALLER_LR, errors);
}

bool train_measure_stop(Run *r, int64_t step, Messages *errors) {
    EarlyStop *s = &r->stop;
    if (s->every == 0) return true;
    bool due = step == s->count * s->every, last = step == r->o->steps && step % s->every != 0;
    double loss;
    if ((!due && !last) ||
        !measure(r, "loss of --stop auto", TASK_STOP_LOSS, deterministic_loss, DETERMINISTIC_POINTS, &loss))
        return true;
    if (due) early_stop_add(s, loss, r->words.learned, r->loop.adamw.count);
    s->last_best = last && loss < s->losses[early_stop_best(s)];
    return check_loss(loss, &r->loop.full, "fixed points: ", TRAIN_SMALLER_LR, errors);
}

bool train_is_last(const Run *r, int64_t step) { return step == r->o->steps || early_stop_reached(&r->stop); }

void train_exchange_best(Run *r) {
    if (early_stop_kept(&r->stop, r->words.learned) == r->words.learned) return;
    for (int64_t i = 0; i < r->stop.elements; i++) {
        float learned = r->words.learned[i];
        r->words.learned[i] = r->stop.best[i];
        r->stop.best[i] = learned;
    }
}

bool train_show_learned(Run *r, int64_t step, Messages *errors) {
    int64_t learned = progressive_learned(r->o->progressive, r->o->vectors, step);
    if (r->words.words[0].vectors == learned) return true;
    words_show(&r->words, r->model.tokenizer, learned);
    if (!r->validation) return true;
    Messages known = { 0 }; /* the warnings about the prompt, which were printed when the run began */
    validation_free(r->validation);
    bool ok = train_validation(r->o, &r->model, &r->words, &r->validation, errors, &known);
    if (ok) sampling_bind(validation_sampling(r->validation), &r->arena, r->threads);
    messages_free(&known);
    return ok;
}

/* Generates the validation picture of a step. When a signal interrupts this, a picture of this name from an
   earlier run is removed, so that a resumed run generates it. */
static bool sample_validation(Run *r, int64_t step, Messages *errors) {
    char *path = run_folder_file(&r->folder, "validation-%lld.png", (long long)step);
    char *word = train_is_last(r, step)
                     ? mem_string("learned_embeds.safetensors")
                     : mem_format("learned_embeds-steps-%lld.safetensors", (long long)step);
    const SamplingOptions *sampling = sampling_options(validation_sampling(r->validation));
    PictureText text;
    Wait wait = { 0 };
    Watch watch = wait_start(&wait, "validation picture, step",
                             sampling_flops(validation_sampling(r->validation)), not_interrupted);
    bool ok = validation_record(r->o, &r->model, &r->words, sampling, step, word, &text, errors) &&
              validation_sample(r->validation, path, &text, &watch, errors);
    r->interrupted = wait.ended;
    if (r->interrupted) unlink(path);
    picture_text_free(&text);
    free(word);
    free(path);
    return ok || r->interrupted;
}

static bool has_picture(const Run *r, int64_t step) {
    char *path = run_folder_file(&r->folder, "validation-%lld.png", (long long)step);
    bool has = access(path, F_OK) == 0;
    free(path);
    return has;
}

bool train_after_update(Run *r, int64_t step, bool done, Messages *errors) {
    const TrainOptions *o = r->o;
    if (!train_show_learned(r, step, errors) || !train_measure_stop(r, step, errors)) return false;
    if (r->interrupted) return true;
    bool last = train_is_last(r, step);
    if (r->validation && (last || (o->validation_every > 0 && step % o->validation_every == 0)) &&
        !(done && has_picture(r, step))) {
        if (last) train_exchange_best(r);
        bool ok = sample_validation(r, step, errors);
        if (last) train_exchange_best(r);
        if (!ok) return false;
    }
    bool measured = r->folder.points > 0 && (int64_t)r->folder.grid[2 * r->folder.points - 2] == step;
    if (o->grid_loss > 0 && step % o->grid_loss == 0 && !last && !measured && !r->interrupted) {
        double loss;
        if (!train_measure_grid(r, &loss, errors)) return false;
        if (!r->interrupted) printf("step %lld: fixed-grid loss %.5f\n", (long long)step, loss);
    }
    return r->interrupted || o->checkpoint_every == 0 || step % o->checkpoint_every != 0 ||
           run_folder_save(&r->folder, step, r->words.learned, r->words.words[0].vectors,
                           r->model.clip.config.hidden_size, errors);
}
