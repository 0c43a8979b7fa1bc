/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "cli/resume.h"

#include "cli/progress.h"
#include "inversion/ranks.h"
#include "io/system.h"
#include "io/hash.h"
#include "tensor/gemm.h"
#include "tensor/gemm_bf16.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

RunIdentity identity_new(const TrainOptions *o, const Model *m, const Pictures *pictures,
                         const TrainingPrompts *prompts, const Masks *masks) {
    RunIdentity identity = {
        .options = o->identity,
        .prompts = training_prompts_hash(prompts, pictures->count),
        .text_encoder = store_fingerprint(m->folder.text_encoder),
        .unet = store_fingerprint(m->folder.unet),
        .vae = store_fingerprint(m->folder.vae),
        .picture_count = pictures->count,
    };
    identity.pictures = mem_alloc((size_t)pictures->count * sizeof *identity.pictures);
    for (int64_t i = 0; i < pictures->count; i++) {
        const Image *image = &pictures->images[i];
        size_t bytes = (size_t)image->width * (size_t)image->height * 3;
        identity.pictures[i] = hash_bytes(HASH_START, image->rgb, bytes);
        if (masks)
            identity.pictures[i] = hash_bytes(identity.pictures[i], mask_weights(masks, i, false),
                                              (size_t)masks->count * sizeof(float));
    }
    return identity;
}

void identity_free(RunIdentity *identity) {
    free(identity->pictures);
    *identity = (RunIdentity) { 0 };
}

/* Adds the message that an input has changed. */
static void report_change(const char *path, const char *what, Messages *errors) {
    messages_add(errors, "%s: %s, so the run cannot be resumed (restore it, or begin a new run with --force)",
                 path, what);
}

/* Returns whether the run had a picture with these pixels. */
static bool contains_picture(const RunIdentity *identity, uint64_t picture) {
    for (int64_t i = 0; i < identity->picture_count; i++)
        if (identity->pictures[i] == picture) return true;
    return false;
}

/* Adds a message for each picture that is new. If none is new, adds one with the number of missing pictures.
   If none is missing either, adds one when the order of the pictures has changed, or how often one occurs. */
static void compare_pictures(const RunIdentity *then, const RunIdentity *now, const TrainOptions *o,
                             const Pictures *pictures, Messages *errors) {
    int before = errors->count;
    for (int64_t i = 0; i < now->picture_count; i++)
        if (!contains_picture(then, now->pictures[i]))
            report_change(pictures->paths[i], "is not one of the pictures that the run began with", errors);
    int64_t gone = 0;
    for (int64_t i = 0; i < then->picture_count; i++) gone += !contains_picture(now, then->pictures[i]);
    if (gone > 0 && errors->count == before) {
        char *what = mem_format("lacks %lld of the %lld pictures that the run began with", (long long)gone,
                                (long long)then->picture_count);
        report_change(o->images, what, errors);
        free(what);
    }
    bool same = then->picture_count == now->picture_count;
    for (int64_t i = 0; same && i < now->picture_count; i++) same = then->pictures[i] == now->pictures[i];
    if (!same && errors->count == before)
        report_change(o->images, "has the pictures in another order or number than when the run began",
                      errors);
}

bool identity_same(const RunIdentity *then, const RunIdentity *now, const TrainOptions *o, const Model *m,
                   const Pictures *pictures, Messages *errors) {
    int before = errors->count;
    if (then->options != now->options) {
        char *path = mem_format("%s/%s", o->out, RUN_OPTIONS);
        report_change(path, "has other options than the run began with", errors);
        free(path);
    }
    static const char weights[] = "has other weights than the run began with";
    if (then->text_encoder != now->text_encoder)
        report_change(store_path(m->folder.text_encoder), weights, errors);
    if (then->unet != now->unet) report_change(store_path(m->folder.unet), weights, errors);
    if (then->vae != now->vae) report_change(store_path(m->folder.vae), weights, errors);
    if (then->prompts != now->prompts && o->captions)
        report_change(o->images, "has other captions than the run began with", errors);
    else if (then->prompts != now->prompts && o->templates)
        report_change(o->templates, "has other templates than the run began with", errors);
    else if (then->prompts != now->prompts)
        report_change(m->folder.vocab_path, "or its merges give other tokens than when the run began",
                      errors);
    compare_pictures(then, now, o, pictures, errors);
    return errors->count == before;
}

/* A hash of what the configs of the model say that changes the numbers. */
static uint64_t configs_hash(const Model *m) {
    const NoiseSchedule *s = &m->noise_schedule;
    uint64_t hash = hash_bytes(HASH_START, s->alphas_cumprod,
                               (size_t)s->config.train_timesteps * sizeof *s->alphas_cumprod);
    hash = hash_bytes(hash, &s->config.prediction, sizeof s->config.prediction);
    return hash_bytes(hash, &m->vae.config.scaling_factor, sizeof m->vae.config.scaling_factor);
}

bool identity_shared(const RunIdentity *own, const TrainOptions *o, const Model *m, Messages *errors) {
    uint64_t models[] = { own->text_encoder, own->unet, own->vae, configs_hash(m) };
    uint64_t program[] = { system_program_hash(), hash_bytes(HASH_START, blas_build(), strlen(blas_build())),
                           (uint64_t)bf16_kernel() };
    size_t pictures = (size_t)own->picture_count * sizeof *own->pictures;
    RankFact facts[] = {
        { train_options_hash(o), "other options" },
        { hash_bytes(HASH_START, own->pictures, pictures), "other pictures or masks" },
        { own->prompts, "other captions or templates" },
        { hash_bytes(HASH_START, models, sizeof models), "another model" },
        { program[0], "another build of ti" },
        { hash_bytes(HASH_START, program + 1, sizeof program - sizeof *program),
          "another OpenBLAS or processor" },
    };
    return ranks_agree(facts, sizeof facts / sizeof *facts, errors);
}

bool resume_read(const RunFolder *folder, RunState *state, bool *found, Messages *errors) {
    char *path = run_folder_file(folder, RUN_STATE);
    *state = (RunState) { 0 };
    *found = ranks_file_exists(path);
    bool ok = !*found || state_read(path, state, errors);
    free(path);
    return ok;
}

bool resume_folder(RunFolder *folder, const RunState *state, const Loop *loop, int64_t every,
                   Messages *errors) {
    char *path = run_folder_file(folder, RUN_STATE);
    bool ok = state_fits(state, loop, path, errors) && run_folder_open_losses(folder, state, errors);
    for (int64_t i = 0; ok && i < state->points; i++) {
        int64_t step = (int64_t)state->grid[2 * i];
        bool of_kept = state->finished && state->stop.every > 0 && step == state->step;
        if (!of_kept && (step == 0 || (every > 0 && step % every == 0)))
            run_folder_add_grid_loss(folder, step, state->grid[2 * i + 1]);
    }
    free(path);
    return ok;
}

void resume_check_first_loss(const RunState *state, Loop *loop) {
    if (state->records == 0) return;
    Wait wait;
    Watch watch = wait_start(&wait, "recomputing the first loss", loop->full.plan.forward_flops, NULL);
    watch_go_on(&watch, 0, 1);
    ranks_next(&(RankTask) { TASK_FIRST_LOSS });
    bool same = (double)loop_first_loss(loop) == state->first_loss;
    watch_go_on(&watch, 1, 1);
    if (same || !ranks_go_on()) return;
    fprintf(stderr,
            "ti: warning: the model computes other numbers now than when the run began (another processor, "
            "another build of ti, or a config that was changed): the result will not have the same bits as "
            "that of a run that was never stopped\n");
}

bool resume_early_stop(const RunFolder *folder, RunState *state, const TrainOptions *o, EarlyStop *stop,
                       Messages *errors) {
    if (o->stop == STOP_OFF) return true;
    if (state->stop.every == 0 || memcmp(&state->stop.threshold, &o->stop_threshold, sizeof(double)) != 0 ||
        (o->stop_window > 0 && o->stop_window != state->stop.window)) {
        char *path = run_folder_file(folder, RUN_OPTIONS);
        report_change(path, "has another --stop than the run began with", errors);
        free(path);
        return false;
    }
    *stop = state->stop;
    state->stop = (EarlyStop) { .every = stop->every };
    return true;
}

bool resume_ended_early(const RunState *state) {
    return state->finished && state->step < state->steps && early_stop_reached(&state->stop);
}

bool saver_due(const StateSaver *s) { return system_seconds() >= s->next; }

bool saver_write(StateSaver *s, const Loop *loop, RunFolder *folder, bool finished, Messages *errors) {
    double start = system_seconds();
    RunState state = state_of(loop);
    state.identity = s->identity;
    state.first_loss = s->first_loss;
    state.finished = finished;
    state.steps = loop->options.steps;
    state.initial = (float *)(uintptr_t)s->initial;
    state.records = folder->losses.count;
    state.losses_hash = folder->losses.hash;
    state.losses_bytes = folder->losses.bytes;
    state.points = folder->points;
    state.grid = folder->grid;
    if (s->stop) state.stop = *s->stop;
    char *path = run_folder_file(folder, RUN_STATE);
    bool ok = losses_sync(&folder->losses, errors) && state_write(path, &state, errors);
    free(path);
    double end = system_seconds();
    s->next = end + fmax(1, 50 * (end - start));
    return ok;
}

char *resume_command(const char *folder) {
    char *quoted = text_for_shell(folder), *command = mem_format("ti train --resume --out %s", quoted);
    free(quoted);
    return command;
}
